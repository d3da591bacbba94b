// Package dialect knows what clients and model servers say to each other: the APIs of OpenAI, Anthropic and
// Gemini and the Open Inference Protocol. It reads along and changes nothing that it was not asked to
// change. It is pure: bytes and durations in, values out; no clock, no I/O, no goroutine.
//
// A request and its answer pass through it like this:
//
//  1. call.go: Read says what is asked for (Op), whether as a stream, under which model name. Classify
//     says as much as the path alone tells, for bodies that are not in memory.
//  2. unit.go: who asks, where the request does not say so in a header: the API key, the conversation.
//  3. edit.go: Edits and Path put the version's own model name in place and ask a stream for its usage: a
//     list of replacements, never decoded and encoded, so every other byte is as it was.
//  4. reader.go: a Reader gets a copy of the answer's bytes as they come. sse.go and array.go cut them into
//     events, openai.go, anthropic.go, gemini.go and oip.go say what an event means; it finds first
//     content, tokens (usage.go), the reason why it ended, errors told inside of a 200, and whether the end was
//     a real one. It takes the usage chunk that the client did not ask for out again.
//     measure.go gives what was found, and a stream as the document that it would have been (tools.go); similarity.go
//     compares two texts.
//  5. problem.go: the gateway's own errors in the dialect's form.
//
// # Bounds
//
// Every reader is bounded: an event by 1 MiB (a larger one is relayed and counted, not read), an answer's
// text by what the caller allows, and no recursion anywhere. Malformed input gives less knowledge, never an
// error: what a server or client sent is relayed either way.
//
// # Tokens
//
// Providers count differently; Tokens has one meaning. Input includes what came from a cache and what went
// into one, Output includes reasoning. OpenAI's prompt_tokens include cached tokens; Anthropic's input_tokens
// exclude both cache_read_input_tokens and cache_creation_input_tokens; Gemini's candidatesTokenCount
// excludes thoughtsTokenCount.
//
// BUG(dialect): keys are compared by case, though some servers don't.
package dialect
