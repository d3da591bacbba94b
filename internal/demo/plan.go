package demo

import (
	"embed"
	"fmt"
	"os"
	"strconv"
	"strings"
)

//go:embed *.yaml.tmpl
var plans embed.FS

// planData fills a demo's Model file, in which ${rate} and ${v1} stand for what is known when it runs.
type planData struct {
	URLs   map[string]string
	Shadow bool
	Rate   int // requests per second that are declared: what a busy machine still carries, so that nothing waits for more
}

// modelFile returns a demo's Model file.
func modelFile(name string, d planData) (string, error) {
	text, err := plans.ReadFile(name + ".yaml.tmpl")
	if err != nil {
		return "", err
	}
	var missing error
	filled := os.Expand(string(text), func(word string) string {
		if word == "rate" {
			return strconv.Itoa(d.Rate)
		}
		url, ok := d.URLs[word]
		if !ok {
			missing = fmt.Errorf("the file of the demo %s names ${%s}, which is not there", name, word)
		}
		return url
	})
	if d.Shadow {
		return filled, missing
	}
	var kept strings.Builder
	for line := range strings.Lines(filled) {
		if !strings.HasPrefix(strings.TrimSpace(line), "- shadow:") {
			kept.WriteString(line)
		}
	}
	return kept.String(), missing
}
