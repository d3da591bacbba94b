package dialect

import (
	"strings"

	"sluice.dev/sluice/internal/release"
)

// Op is what a request asks for.
type Op uint8

// The operations that are understood. Anything else is relayed as it is.
const (
	OpOther      Op = iota
	OpChat          // OpenAI: chat/completions
	OpCompletion    // OpenAI: completions
	OpResponses     // OpenAI: responses
	OpEmbeddings    // OpenAI: embeddings; Gemini: embedContent
	OpMedia         // OpenAI: images and audio
	OpModels        // list of models
	OpMessages      // Anthropic: messages
	OpCount         // count tokens, which generates nothing
	OpGenerate      // Gemini: generateContent, streamGenerateContent
	OpInfer         // OIP: an inference
	OpMeta          // OIP: metadata and health
)

// Generates says whether the operation makes a model answer: what its answer costs and contains is of
// interest.
func (o Op) Generates() bool {
	switch o {
	case OpChat, OpCompletion, OpResponses, OpEmbeddings, OpMedia, OpMessages, OpGenerate, OpInfer:
		return true
	default:
		return false
	}
}

// Call is a request as its dialect understands it.
type Call struct {
	Dialect release.Dialect
	Op      Op
	Stream  bool // the client asked for a stream
	Usage   bool // OpenAI: the client asked for the usage chunk itself
	GRPC    bool // OIP over gRPC
	body    bool // the body was read
	form    string
}

// Knows says whether requests of a dialect are looked into by this package.
func Knows(d release.Dialect) bool {
	switch d {
	case release.DialectOpenAI, release.DialectAnthropic, release.DialectGemini, release.DialectOIP:
		return true
	default:
		return false
	}
}

// Classify says what a request asks for as far as its path tells. Paths are compared by their ends, because
// providers and proxies put different things before them (/v1, /openai/deployments/NAME, /v1/projects/...).
func Classify(d release.Dialect, path string) Op {
	path = strings.TrimSuffix(path, "/")
	switch d {
	case release.DialectOpenAI:
		return classifyOpenAI(path)
	case release.DialectAnthropic:
		switch {
		case strings.HasSuffix(path, "/messages"):
			return OpMessages
		case strings.HasSuffix(path, "/messages/count_tokens"):
			return OpCount
		case lists(path, "/models"):
			return OpModels
		}
	case release.DialectGemini:
		return classifyGemini(path)
	case release.DialectOIP:
		return classifyOIP(path)
	}
	return OpOther
}

func classifyOpenAI(path string) Op {
	for _, c := range [...]struct {
		end string
		op  Op
	}{
		{"/chat/completions", OpChat},
		{"/completions", OpCompletion},
		{"/responses", OpResponses},
		{"/embeddings", OpEmbeddings},
		{"/images/generations", OpMedia},
		{"/images/edits", OpMedia},
		{"/images/variations", OpMedia},
		{"/audio/speech", OpMedia},
		{"/audio/transcriptions", OpMedia},
		{"/audio/translations", OpMedia},
	} {
		if strings.HasSuffix(path, c.end) {
			return c.op
		}
	}
	if lists(path, "/models") {
		return OpModels
	}
	return OpOther
}

// lists says whether a path ends in a collection or in one item of it.
func lists(path, collection string) bool {
	if strings.HasSuffix(path, collection) {
		return true
	}
	i := strings.LastIndexByte(path, '/')
	return i > 0 && strings.HasSuffix(path[:i], collection)
}

func classifyGemini(path string) Op {
	i := strings.LastIndexByte(path, ':')
	if i < 0 {
		if lists(path, "/models") {
			return OpModels
		}
		return OpOther
	}
	switch path[i+1:] {
	case "generateContent", "streamGenerateContent":
		return OpGenerate
	case "countTokens":
		return OpCount
	case "embedContent", "batchEmbedContents":
		return OpEmbeddings
	}
	return OpOther
}

func classifyOIP(path string) Op {
	switch {
	case strings.HasSuffix(path, "/infer"), strings.HasSuffix(path, grpcInfer):
		return OpInfer
	case strings.HasPrefix(path, grpcService), strings.HasSuffix(path, "/ready"), strings.HasSuffix(path, "/live"),
		path == "/v2", lists(path, "/models"), lists(path, "/versions"):
		return OpMeta
	}
	return OpOther
}

const (
	grpcService = "/inference.GRPCInferenceService/"
	grpcInfer   = grpcService + "ModelInfer"
)

// Read says what a request asks for. body is the whole body, or nil if it is not in memory: then Stream and
// Usage are false unless the path says so, and Edits changes nothing. contentType is the header's value.
func Read(d release.Dialect, path, contentType string, body []byte) Call {
	c := Call{Dialect: d, Op: Classify(d, path), body: body != nil, GRPC: isGRPC(contentType)}
	if d == release.DialectGemini {
		c.Stream = strings.HasSuffix(strings.TrimSuffix(path, "/"), ":streamGenerateContent")
	}
	if boundary := multipartBoundary(contentType); boundary != "" {
		c.form = boundary
		return c
	}
	if d != release.DialectOpenAI && d != release.DialectAnthropic || !c.Op.Generates() {
		return c
	}
	doc := cursor{doc: body}
	if !doc.open('{') {
		return c
	}
	for key, v, more := doc.member(); more; key, v, more = doc.member() {
		switch keyOf(key) {
		case "stream":
			c.Stream = string(v.of(body)) == "true"
		case "stream_options":
			c.Usage = string(find(v.of(body), "include_usage")) == "true"
		}
	}
	return c
}

func isGRPC(contentType string) bool { return strings.HasPrefix(contentType, "application/grpc") }

// Model returns the name of the model that a request asks for, in whatever dialect: as its body says it, or its
// path, escaped as it came; "" if neither does.
func Model(escaped, contentType string, body []byte) (name string) {
	boundary := multipartBoundary(contentType)
	switch {
	case boundary != "":
		name = formModel(boundary, body)
	case isGRPC(contentType):
		name = grpcModel(body)
	default:
		name = text(find(body, "model"))
	}
	for _, d := range [...]release.Dialect{release.DialectGemini, release.DialectOpenAI, release.DialectAnthropic, release.DialectOIP} {
		if name == "" {
			name = PathModel(d, escaped)
		}
	}
	return name
}
