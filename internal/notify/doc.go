// Package notify tells people outside of decisions, by webhook.
//
// One message is one POST: the decision as JSON, or a text in the form that Slack takes. It says what was decided on
// which release and why; no unit, request, answer, verdict's data, address of a person or secret is part of an Event,
// so none can leave.
//
// A message carries
//
//	X-Sluice-Key        names the notification for ever: a receiver that has seen it passes over a repetition
//	X-Sluice-Timestamp  Unix seconds of this attempt
//	X-Sluice-Signature  v1=HEX: HMAC-SHA256, by the shared secret, of the timestamp, a dot and the body
//
// Delivery is at least once. What may pass (no connection, time-out, 408, 425, 429, 5xx) is tried again with growing
// pauses, for a while within one call of Notify and in later calls until the event is a day old; what will not pass
// (any other status) is given up at once and logged. Redirects are not followed: a signed message goes where the
// config says or nowhere. Answers are not read.
package notify
