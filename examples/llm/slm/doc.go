// Package slm reads and runs small language models of the llama family: embeddings that are also the output, RMS
// norms, rotary positions, attention, and SiLU-gated layers, without biases.
//
// A model file is little-endian and holds nothing but:
//
//	"SLM1"                      magic
//	V D L H FF                  uint32: tokens, width, layers, heads, inner width
//	embedding                   V rows of D
//	per layer                   norm D; Wq Wk Wv Wo, each D rows of D; norm D; W1 W3, FF rows of D each; W2, D rows of FF
//	norm                        D
//
// A row is a float32 scale and its int8 weights; a norm is float32 numbers. Position p turns the pair (2i, 2i+1) of each
// head by p / 10000^(2i/width of a head).
//
// A tokenizer file is a JSON object of two lists: vocab (the pieces; a leading space is written Ġ; 0 is the start, 1 the
// end of a text) and merges ("a b", most urgent first), as in byte-pair encoding by Sennrich et al. 2016, but over
// characters.
//
// [Parse] and [ParseTokenizer] check everything that running relies on. A Model and a Tokenizer never change and are safe
// for concurrent use; a State belongs to one goroutine.
package slm
