// Package web is what the HTTP servers of the examples have in common: refusals as problem details
// (RFC 9457), the checks of a request that come before its content, a service delay, and a main loop.
//
// A refusal for what the client sent is a 4xx, never a 5xx: 400 syntax, 404, 405 with Allow, 413 too long,
// 415 another media type, 422 a value of the wrong type or range.
package web
