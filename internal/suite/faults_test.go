package suite

import (
	"strings"
	"testing"
)

// TestFaultsOfTexts: what can't be asked of a language model is told with its place and a remedy.
func TestFaultsOfTexts(t *testing.T) {
	gate := func(g string) string {
		return "  functional: [{name: a, data: {file: d.jsonl}, request: {prompt: '{{q}}'}, gates: [{" + g + "}]}]\n"
	}
	const openai, judged = "  target: {dialect: openai}\n", "  target: {dialect: openai}\n  judge: {url: 'http://x', model: m}\n"
	for _, c := range []struct{ spec, words string }{
		{"  functional: [{name: a, request: {prompt: x}}]\n", "need a dialect that makes a body"},
		{"  target: {generation: {maxTokens: 3}}\n" + simple, "generation needs the dialect"},
		{openai + "  functional: [{name: a, request: {prompt: x, body: {a: 1}}}]\n", "the request has 2 bodies"},
		{openai + "  functional: [{name: a, request: {prompt: x, messages: [{role: user, content: b}]}}]\n", "the request has 2 bodies"},
		{openai + "  functional: [{name: a, request: {system: x}}]\n", "system and generation stand beside a prompt"},
		{openai + "  functional: [{name: a, request: {messages: [{content: b}]}}]\n", "messages[0].role"},
		{openai + "  functional: [{name: a, request: {path: /v1/completions, messages: [{role: user, content: b}]}}]\n", "continues a text and takes no messages"},
		{openai + "  functional: [{name: a, request: {prompt: x, generation: {echo: true}}}]\n", "only completions echo a prompt"},
		{openai + "  functional: [{name: a, request: {prompt: x, path: /v1/completions, generation: {echo: true, stream: true}}}]\n", "remove stream and maxTokens"},
		{openai + "  functional: [{name: a, request: {prompt: x, generation: {temperature: 3}}}]\n", "write a number from 0 to 2"},
		{openai + "  functional: [{name: a, request: {prompt: x, generation: {more: [1]}}}]\n", "it is no object"},
		{"  target: {dialect: anthropic, generation: {logprobs: true}}\n  functional: [{name: a, request: {prompt: x}}]\n", "tells no probabilities"},
		{"  functional: [{name: a, request: {body: 1}, expect: {text: {equals: x}}}]\n", "the text of an answer is read with the dialects"},
		{openai + "  functional: [{name: a, request: {prompt: x}, expect: {text: {language: xx}}}]\n", "no language that is told apart"},
		{openai + "  functional: [{name: a, request: {prompt: x}, expect: {text: {}}}]\n", "nothing is expected"},
		{openai + "  functional: [{name: a, request: {prompt: x}, expect: {text: {maxWords: -1}}}]\n", "-1 is negative"},
		{openai + gate("metric: perplexity, label: t"), "the gate asks for nothing"},
		{openai + gate("metric: perplexity, noWorseThanLive: 3pp"), "write a factor from 1x"},
		{strings.Replace(openai, "openai", "anthropic", 1) + gate("metric: perplexity, atMost: 3"), "tells no probabilities of tokens"},
		{openai + gate("metric: rate, prediction: $mood, positive: good, atMost: 0.5"), "write $text, $refusal, $language or $finish"},
		{openai + gate("metric: preference, rubric: r, noWorseThanLive: 5pp"), "needs a judge"},
		{judged + gate("metric: preference, noWorseThanLive: 5pp"), "needs a rubric"},
		{judged + gate("metric: preference, rubric: r, atLeast: 0.5"), "preference compares with live"},
		{judged + gate("metric: judged, rubric: r, noWorseThanLive: 5pp"), "use metric: preference"},
		{judged + gate("metric: exactMatch, label: t, rubric: r, atLeast: 0.5"), "the judge is not asked about exactMatch"},
		{"  judge: {model: m}\n" + simple, "judge.url: it is missing"},
		{"  judge: {url: 'http://x', model: m, path: x}\n" + simple, "is no path"},
		{"  performance: [{name: p, rate: 5/s, duration: 1s, ramp: 2m, request: {body: 1}}]\n", "ramp"},
		{"  performance: [{name: p, rate: 5/s, duration: 1s, limits: {perToken: 1s}, request: {body: 1}}]\n", "the speed of tokens needs the dialect"},
		{openai + "  performance: [{name: p, rate: 5/s, duration: 1s, againstLive: {firstToken: 0.5x}, request: {prompt: x}}]\n", "is no such factor"},
		{"  exceptions: [{battery: all, only: [tensor], request: {body: {}}}]\n", "tensors"},
	} {
		_, err := withFiles(t, c.spec, map[string]string{"d.jsonl": rowsOf(40, func(int) string { return "x" })})
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s\n%v\nwant %q", c.spec, err, c.words)
		}
	}
}
