// Package telemetry sends traces and metrics of requests by the OpenTelemetry protocol, under the names of OpenTelemetry's
// GenAI conventions where a language model answers, and of its HTTP conventions elsewhere.
//
//	Begin (what the client sent) -> Inject (what the upstream gets) -> End (what is known when it is over)
//
// A client that sends a traceparent decides whether its request is traced; the share of the configuration decides for all
// others. Metrics are of all requests. Both leave the process in batches; what finds no room is dropped by the SDK, and
// requests never wait. No body, prompt, header or unit is ever an attribute.
//
// All names stand in names.go. The GenAI conventions have the status "development": a rename is a change of one line.
package telemetry
