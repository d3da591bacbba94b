package telemetry

import "go.opentelemetry.io/otel/attribute"

// Attributes of the GenAI semantic conventions, v1.41.
const (
	keyOperation     = attribute.Key("gen_ai.operation.name")
	keyProvider      = attribute.Key("gen_ai.provider.name")
	keyRequestModel  = attribute.Key("gen_ai.request.model")
	keyStream        = attribute.Key("gen_ai.request.stream")
	keyResponseModel = attribute.Key("gen_ai.response.model")
	keyFinish        = attribute.Key("gen_ai.response.finish_reasons")
	keyFirstChunk    = attribute.Key("gen_ai.response.time_to_first_chunk")
	keyInput         = attribute.Key("gen_ai.usage.input_tokens")
	keyOutput        = attribute.Key("gen_ai.usage.output_tokens")
	keyCached        = attribute.Key("gen_ai.usage.cache_read.input_tokens")
	keyCacheWrite    = attribute.Key("gen_ai.usage.cache_creation.input_tokens")
	keyReasoning     = attribute.Key("gen_ai.usage.reasoning.output_tokens")
	keyTokenType     = attribute.Key("gen_ai.token.type")
)

// Attributes of the HTTP and general conventions.
const (
	keyMethod    = attribute.Key("http.request.method")
	keyStatus    = attribute.Key("http.response.status_code")
	keyErrorType = attribute.Key("error.type")
	keyServer    = attribute.Key("server.address")
	keyPort      = attribute.Key("server.port")
)

// Sluice's own attributes: few values each, so that they may be on metrics.
const (
	keyModel    = attribute.Key("sluice.model")
	keyArm      = attribute.Key("sluice.arm")
	keyVersion  = attribute.Key("sluice.version")
	keyRelease  = attribute.Key("sluice.release")  // on spans only
	keyExposure = attribute.Key("sluice.exposure") // on spans only: the id without its signature
	keyMirrored = attribute.Key("sluice.mirrored")
	keyDiverted = attribute.Key("sluice.diverted")
)

// Metrics. The first four are of the GenAI conventions, the last of the HTTP ones.
const (
	metricTokens     = "gen_ai.client.token.usage"
	metricDuration   = "gen_ai.client.operation.duration"
	metricFirstChunk = "gen_ai.client.operation.time_to_first_chunk"
	metricPerChunk   = "gen_ai.client.operation.time_per_output_chunk"
	metricHTTP       = "http.client.request.duration"
)

// Buckets that the conventions ask for; those of the first chunk reach further, because models that reason first take longer.
var (
	bucketsTokens     = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
	bucketsSeconds    = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	bucketsFirstChunk = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 30, 60}
	bucketsHTTP       = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
)

// maxSeries bounds the series of each metric: names of models in requests are the clients' words. Further ones are counted
// together, as the SDK's otel.metric.overflow.
const maxSeries = 2000
