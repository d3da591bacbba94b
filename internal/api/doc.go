// Package api is Sluice's REST interface: the server, its Go client and the wire types that both use,
// so that they can't drift apart. The command line and the console are clients like any other.
//
// A request goes: route table (routes.go) -> who is it (auth.go) -> decode, one call of records or of
// a joined interface, encode (handlers_*.go) -> one adapter writes status, problem+json and log line
// (problem.go). Nothing is changed by a call that fails.
package api
