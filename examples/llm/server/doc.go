// Package server answers as the OpenAI API does, with one version of the small language model.
//
//	POST /v1/completions       {"prompt": "rename: assign a new", "max_tokens": 8}
//	POST /v1/chat/completions  {"messages": [{"role": "user", "content": "rename:"}]}
//	GET  /v1/models            the model
//	GET  /healthz              {"status": "ok", "version": "v2"}
//
// Both take model (wordnet-lm, or left out), max_tokens, temperature, stop, stream, stream_options.include_usage, seed, n
// (1 only), user; completions echo and logprobs (0 or 1, not streamed: the probability of each token, with max_tokens 0
// those of the prompt); chat takes max_completion_tokens too, and answers the last message of the user. With "stream": true the
// answer is text/event-stream, one chunk per token that adds text, closed by [DONE]. usage counts the model's tokens. The
// version is told as system_fingerprint.
//
// What is not known is refused and not ignored, in OpenAI's form: {"error": {"message", "type", "param", "code"}}. A prompt
// and its completion hold at most 256 tokens together. Texts of the same seed are the same; without one, drawn anew.
//
// At most as many texts as there are processors are made at once; others wait, and a client that goes away frees its place.
package server
