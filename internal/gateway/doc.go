// Package gateway is the conversation between clients and model servers: a reverse proxy that a team
// puts in front of its models by changing one base URL. It decides nothing. It serves from routes
// that somebody else compiles, draws each unit's arm from them, relays, and tells a sink what
// happened.
//
// # The path of a request
//
//  0. server.go: net/http's server, over TLS, by HTTP/2 and for all that is unusual; before it package front for
//     HTTP/1.1 without TLS (app joins them).
//  1. gateway.go, serve.go: limits, API key, loop guard; one atomic load of the routes (plan.go: what
//     the gateway adds to them: counters, breakers, slots); the model by host, path and headers.
//  2. payload.go: the body into memory if something needs it there (a unit or segment inside it, a
//     mirrored copy, a second try), at most the model's limit and within a time (late.go); otherwise it is streamed.
//  3. unit.go: the unit; assign draws arm, bin and mirror sample. serve.go: while the lease of the
//     routes is over or the candidate's breaker is open (breaker.go), live answers instead.
//  4. shadow.go: a copy to the candidate, if the unit is sampled and there is room.
//  5. relay.go, send.go, headers.go, client.go: the version's server is asked under the version's time
//     limits, by HTTP/1.1 over connections of package upstream, by HTTP/2 over net/http's, and its bytes
//     are relayed as they come; a candidate with failover that fails before its first byte is followed
//     by live. limit.go: queue and slots; hedge.go: a second request when the first is slow; health.go:
//     versions that are asked how they are; grpc.go, upgrade.go: calls of gRPC, and connections that
//     switch to another protocol. observe.go: who reads along; llm.go: requests and answers whose dialect is
//     known, edited in place and read by package dialect.
//  6. signal.go: the values that metrics and segments need; then one exposure into the sink.
//
// own.go and feedback.go answer under /-/sluice/: feedback, healthz, readyz. problem.go holds the
// vocabulary of the gateway's own errors, metrics.go the table of its metrics.
//
// # Invariants
//
//   - A unit's arm depends on the routes and the unit alone. Its exposure names that arm whoever
//     answered (intention to treat); flags say why somebody else did.
//   - Each request that names a unit and got past the body's limits is recorded exactly once: if the
//     client goes away, the upstream is down, hangs or breaks off, or the gateway itself panics.
//     Requests that name no unit are served by live and not recorded (missing: live), or recorded as
//     units of their own (missing: perRequest).
//   - An answer that was not complete never looks complete: the connection is cut.
//   - The upstream's status, headers and body reach the client as they are. The gateway's own errors
//     carry X-Sluice-Error, and nothing else does.
//   - Nothing on the path waits for the sink, a store, a copy or another request.
//   - Unit ids leave as keyed hashes; bodies, paths and keys are neither stored nor logged.
//
// # Known gaps
//
// BUG(gateway): WebSocket over HTTP/2 (RFC 8441) is not offered: net/http's server does not speak it. A
// client that gives up before a hanging candidate's timeout is a cancellation, not the candidate's failure.
package gateway
