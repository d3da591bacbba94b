package demo

import (
	"bytes"
	"embed"
	"text/template"
)

//go:embed *.yaml.tmpl
var plans embed.FS

// planData fills the template of a demo's Model file.
type planData struct {
	URLs   map[string]string
	Shadow bool
	Rate   int // requests per second that are declared: what a busy machine still carries, so that nothing waits for more
}

// modelFile returns a demo's Model file.
func modelFile(name string, d planData) (string, error) {
	t, err := template.New(name+".yaml.tmpl").Option("missingkey=error").ParseFS(plans, name+".yaml.tmpl")
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, d)
	return b.String(), err
}
