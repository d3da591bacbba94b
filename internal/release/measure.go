package release

import "strings"

// Measures of an answer, by the names that sources of metrics give them. One more begins with
// MeasureFinishIs.
const (
	MeasureTTFT       = "ttft"             // ms: a stream's first content of any kind
	MeasureTTFTAnswer = "ttft:answer"      // ms: its first content that is no reasoning
	MeasureTPOT       = "tpot"             // ms per output token after the first content
	MeasureInput      = "tokens:input"     // with what came from a cache or went into one
	MeasureOutput     = "tokens:output"    // with reasoning
	MeasureCached     = "tokens:cached"    // of the input, read from a cache
	MeasureReasoning  = "tokens:reasoning" // of the output
	MeasureTotal      = "tokens:total"     // input and output
	MeasureCost       = "cost"             // by the version's price
	MeasureLength     = "length"           // characters of the text
	MeasureSimilarity = "similarity"       // 0 to 1: of a mirrored answer's text to the user's; that of the user's to itself is 1
	MeasureFinish     = "finish"           // why it ended, in the provider's words
	MeasureTruncated  = "truncated"        // 1: the upstream ended early
	MeasureCancelled  = "cancelled"        // 1: the client ended it
	MeasureFellBack   = "fellBack"         // 1: live answered for a candidate that failed

	MeasureFinishIs = "finish:" // 1: it ended for the reason that follows
)

var measures = []string{
	MeasureTTFT, MeasureTTFTAnswer, MeasureTPOT, MeasureInput, MeasureOutput, MeasureCached, MeasureReasoning, MeasureTotal,
	MeasureCost, MeasureLength, MeasureSimilarity, MeasureFinish, MeasureTruncated, MeasureCancelled, MeasureFellBack,
}

// parseMeasure returns the canonical name of a measure.
func parseMeasure(text string) (string, error) {
	text = strings.TrimSpace(text)
	for _, m := range measures {
		if text == m {
			return m, nil
		}
	}
	if reason, ok := strings.CutPrefix(text, MeasureFinishIs); ok && len(reason) <= MaxCategoryLen && isToken(reason) {
		return text, nil
	}
	return "", invalidText("source", text, "one of "+quoteList(measures)+` or a reason like "finish:length"`)
}

// kindsOfMeasure lists the kinds as which a measure can be judged, the default first.
func kindsOfMeasure(name string) []MetricKind {
	switch name {
	case MeasureTTFT, MeasureTTFTAnswer, MeasureTPOT:
		return []MetricKind{MetricLatency}
	case MeasureInput, MeasureOutput, MeasureCached, MeasureReasoning, MeasureTotal, MeasureCost, MeasureLength, MeasureSimilarity:
		return []MetricKind{MetricMean}
	case MeasureFinish:
		return []MetricKind{MetricCategory}
	default:
		return []MetricKind{MetricEvent, MetricProportion}
	}
}

// measureLower says whether nobody could want more of it.
func measureLower(name string) bool {
	switch name {
	case MeasureTTFT, MeasureTTFTAnswer, MeasureTPOT, MeasureCost, MeasureTruncated, MeasureCancelled, MeasureFellBack:
		return true
	default:
		return false
	}
}

// measuredAnywhere says whether the measure needs no knowledge of the dialect.
func measuredAnywhere(name string) bool {
	return name == MeasureTruncated || name == MeasureCancelled || name == MeasureFellBack
}

// Language says whether the dialect is that of a language model.
func (d Dialect) Language() bool {
	return d == DialectOpenAI || d == DialectAnthropic || d == DialectGemini
}

// unitFrom is where requests of a dialect name their unit if the file does not say it: an explicit header, what the
// API has for the purpose, a session, the conversation. API keys are left out: a service asks with
// one key for all of its users, who would be one unit.
func (d Dialect) unitFrom() []Selector {
	const explicit, session = Selector("header:X-Sluice-User"), Selector("header:X-Session-Id")
	switch d {
	case DialectOpenAI:
		return []Selector{explicit, "json:user", "json:safety_identifier", "json:prompt_cache_key", session, Selector(SelectConversation)}
	case DialectAnthropic:
		return []Selector{explicit, "json:metadata.user_id", session, Selector(SelectConversation)}
	case DialectGemini:
		return []Selector{explicit, session, Selector(SelectConversation)}
	default:
		return nil
	}
}
