package demo

import (
	"embed"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sluice.dev/sluice/internal/rollout"
)

// Scenario is one of the demos: a model with its versions, users, and what should become of its releases.
type Scenario struct {
	Name  string // of the demo and of its model
	Short string // what is released, for people
	Rate  int    // requests per second unless told otherwise

	path, media string   // of requests
	least       float64  // requests per second that are sent even when the machine is busy
	declared    float64  // share of the rate that the Model file declares: what a busy machine still carries
	files       embed.FS // of the example: its suite
	versions    []string // in the order of release; the first one is live
	handler     func(version string, seed uint64) (http.Handler, error)
	source      func(seed uint64) (source, error)
	releases    []planned
}

// planned is one release of a scenario.
type planned struct {
	version, reason string
	expect          []rollout.Phase // any of these is how it should end
}

// source makes the requests of a scenario, one after the other. It is used by one goroutine, its jobs by many.
type source interface {
	next() job
}

// job is one request ready to be sent.
type job struct {
	user  string
	body  []byte
	learn func(answer []byte) []fact // what the application tells later; called once, with the answer's body
	delay time.Duration              // until it is told
}

// fact is one thing that is known of a request after a while.
type fact struct {
	metric string
	value  any // a text or a number
}

// scenarios lists the demos; the first is the default.
func scenarios() []*Scenario {
	return []*Scenario{creditScenario(), diagnosisScenario(), imagesScenario(), llmScenario()}
}

// Names returns the names of the demos.
func Names() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.Name)
	}
	return names
}

// Find returns the demo of a name.
func Find(name string) (*Scenario, error) {
	all := scenarios()
	i := slices.IndexFunc(all, func(s *Scenario) bool { return s.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("there is no demo %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return all[i], nil
}
