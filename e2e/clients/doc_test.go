// Package clients runs the client libraries that teams use against a gateway: what they send must arrive, what comes
// back must be what they expect, with streams, tools, errors, retries and cancellation. It is a module of its own, so that
// users of Sluice don't inherit its dependencies.
//
// One test process starts everything on free ports of this machine: a scripted provider (provider_test.go) that stands
// for OpenAI, Anthropic, Gemini and a server of the Open Inference Protocol, the language model of examples/llm, and
// `sluice serve` built from this tree with one Model file for each. The Go libraries run here, those of npm in
// npm/*.test.mjs under Node's own test runner, which TestNPM starts.
package clients
