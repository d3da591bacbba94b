// Package server answers requests for a diagnosis over HTTP with one version of the model.
//
//	POST /diagnose {"id": "s17", "mean_radius": 17.99, ...} -> {"diagnosis": "malignant", "p": 0.987654, "version": "v2"}
//	GET /healthz   {"status": "ok", "version": "v2"}
//
// All 30 measurements are required, each a number in 0..1e6, whatever the version uses of them: a missing one is
// refused, not guessed, because an answer from half the measurements would look like any other. "id" is a string of
// at most 256 bytes, optional, and not the model's business. Unknown and repeated members are refused.
package server

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"

	"sluice.dev/sluice/examples/credit/scoring"
	"sluice.dev/sluice/examples/diagnosis"
	"sluice.dev/sluice/examples/web"
)

const (
	maxBody   = 64 << 10
	maxNumber = 1e6 // of any measurement: areas are some thousands
	maxID     = 256
)

// Server is the http.Handler of one version. It is safe for concurrent use.
type Server struct {
	version string
	model   *scoring.Model
	places  map[string]int // of the measurements
	names   []string
	inputs  []int // by feature of the model: the place of its measurement
	delay   *web.Delay
}

// New returns the handler of an embedded version.
func New(f web.Flags) (*Server, error) {
	s := &Server{version: f.Version, places: map[string]int{}}
	var err error
	if s.model, err = diagnosis.Load(f.Version); err != nil {
		return nil, err
	}
	if s.delay, err = web.NewDelay(f.Delay, f.Seed); err != nil {
		return nil, err
	}
	if s.names, err = diagnosis.Measurements(); err != nil {
		return nil, err
	}
	for i, name := range s.names {
		s.places[name] = i
	}
	for _, name := range s.model.Features() {
		at, ok := s.places[name]
		if !ok {
			return nil, fmt.Errorf("version %s asks for %q, which is no measurement", f.Version, name)
		}
		s.inputs = append(s.inputs, at)
	}
	return s, nil
}

// ServeHTTP routes a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/diagnose":
		if web.Allow(w, r, http.MethodPost) {
			s.diagnose(w, r)
		}
	case "/healthz":
		web.Health(w, r, s.version)
	default:
		web.Refuse(w, web.Refusef(http.StatusNotFound, "there are POST /diagnose and GET /healthz"))
	}
}

func (s *Server) diagnose(w http.ResponseWriter, r *http.Request) {
	body, p := web.Body(w, r, "application/json", maxBody)
	if p != nil {
		web.Refuse(w, p)
		return
	}
	values, p := s.parse(body)
	if p != nil {
		web.Refuse(w, p)
		return
	}
	if !s.delay.Wait(r.Context()) {
		web.Refuse(w, web.Refusef(http.StatusServiceUnavailable, "the request was cancelled"))
		return
	}
	x := make([]float64, len(s.inputs))
	for i, at := range s.inputs {
		x[i] = values[at]
	}
	pMalignant := s.model.Score(x)
	web.Answer(w, answer{diagnosis.Diagnose(pMalignant), math.Round(pMalignant*1e6) / 1e6, s.version})
}

type answer struct {
	Diagnosis string  `json:"diagnosis"`
	P         float64 `json:"p"` // of malignant
	Version   string  `json:"version"`
}

// parse returns the measurements by place.
func (s *Server) parse(body []byte) ([]float64, *web.Problem) {
	values := make([]float64, len(s.names))
	for i := range values {
		values[i] = math.NaN()
	}
	p := web.Members(body, func(name string, value *json.Decoder) *web.Problem {
		var v any
		if err := value.Decode(&v); err != nil {
			return web.Refusef(http.StatusBadRequest, "%.64q: %v", name, err)
		}
		if name == "id" {
			return checkID(v)
		}
		at, ok := s.places[name]
		if !ok {
			return web.Refusef(http.StatusBadRequest, "%.64q is no measurement", name)
		}
		n, _ := v.(json.Number)
		x, err := n.Float64()
		if err != nil || x < 0 || x > maxNumber {
			return web.Refusef(http.StatusUnprocessableEntity, "%s: want a number from 0 to 1e6", name)
		}
		values[at] = x
		return nil
	})
	if p != nil {
		return nil, p
	}
	for i, v := range values {
		if math.IsNaN(v) {
			return nil, web.Refusef(http.StatusUnprocessableEntity, "%s is missing: all %d measurements are needed", s.names[i], len(s.names))
		}
	}
	return values, nil
}

func checkID(v any) *web.Problem {
	if id, ok := v.(string); !ok || id == "" || len(id) > maxID {
		return web.Refusef(http.StatusUnprocessableEntity, "id: want a string of 1 to %d bytes", maxID)
	}
	return nil
}
