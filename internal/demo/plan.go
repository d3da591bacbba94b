package demo

import (
	"bytes"
	_ "embed"
	"text/template"
)

//go:embed credit.yaml.tmpl
var creditPlan string

// planData fills the template of a demo's Model file.
type planData struct {
	URLs   map[string]string
	Shadow bool
	Rate   int // requests per second that are declared: what a busy machine still carries, so that nothing waits for more
}

// modelFile returns the demo's Model file.
func modelFile(d planData) (string, error) {
	t, err := template.New("credit.yaml").Option("missingkey=error").Parse(creditPlan)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, d)
	return b.String(), err
}
