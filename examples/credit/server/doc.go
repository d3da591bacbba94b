// Package server answers credit applications over HTTP with one version of the credit model.
//
//	POST /credit   {"applicant": {...}} -> {"decision": "approve", "p_bad": 0.123456, "version": "v2"}
//	GET /healthz   {"status": "ok", "version": "v2"}
//
// A request takes this way: method, media type, length (at most MaxBody), JSON syntax, then the
// members, then the score; only a sound request waits out the service delay, and then it may fail by injection.
//
// The members of applicant: the 13 of credit.Fields, each of which may be null or absent and is missing then;
// "id", a string of at most 256 bytes, and "age_band", "under-30" or "30-plus", both optional and not the
// model's business. Numbers lie in 0..1e9. A category that the model does not know is missing to it, as the
// model format says. Every version takes the same members and leaves out what it has no use for, so that
// versions can be exchanged. An unknown or repeated member is refused: a misspelt field would otherwise be a
// missing value, and the decision wrong in silence.
//
// Refusals are problem details (RFC 9457), which list up to 16 faults, each with a JSON Pointer:
// 400 bad syntax, encoding, unknown or repeated members; 404; 405 with Allow; 413; 415; 422 a member of the
// wrong type or range. A refusal for what the client sent is never a 5xx.
package server
