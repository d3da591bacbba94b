package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice.dev/sluice/examples/credit/scoring"
)

// MaxBody is the longest request body, in bytes.
const MaxBody = 1 << 20

// Options say what a server answers with and how it behaves. Version and Model are required.
type Options struct {
	Version string         // named in each answer
	Model   *scoring.Model // scores the applicants; may use any of credit.Fields and nothing else

	// Delay is the median of the service time of a sound request, drawn from a log-normal distribution whose
	// logarithm has the standard deviation Sigma. 0 means none. It waits on a timer and uses no CPU. Servers with
	// the same Delay and Sigma have the same latency, whatever their models cost, as long as Delay is far longer
	// than scoring (microseconds).
	Delay time.Duration // 0 to 1 min; a single draw is cut at 1 min too
	Sigma float64       // 0 to 3

	FailRate float64 // share in [0, 1] of sound requests answered 500: an injected fault, for tests
	Seed     uint64  // of delays and failures
}

// Server is the http.Handler of one model version. It is safe for concurrent use.
type Server struct {
	ending string // of each answer: the version, as JSON
	scorer *scorer
	chance *chance
	bodies sync.Pool // of *bytes.Buffer
}

// New checks the options and returns the handler.
func New(o Options) (*Server, error) {
	if o.Version == "" {
		return nil, errors.New("server: options: Version is empty")
	}
	if o.Model == nil {
		return nil, errors.New("server: options: Model is nil")
	}
	s, err := newScorer(o.Model)
	if err != nil {
		return nil, fmt.Errorf("server: version %s: %w", o.Version, err)
	}
	c, err := newChance(o)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	version, err := json.Marshal(o.Version)
	if err != nil {
		return nil, fmt.Errorf("server: version %q: %w", o.Version, err)
	}
	return &Server{
		ending: `,"version":` + string(version) + "}\n", scorer: s, chance: c,
		bodies: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}, nil
}

// ServeHTTP routes a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/credit":
		if allow(w, r, http.MethodPost) {
			s.credit(w, r)
		}
	case "/healthz":
		if allow(w, r, http.MethodGet, http.MethodHead) {
			answer(w, []byte(`{"status":"ok"`+s.ending))
		}
	default:
		refuse(w, problem{Status: http.StatusNotFound, Detail: "there are POST /credit and GET /healthz"})
	}
}

// credit answers one application.
func (s *Server) credit(w http.ResponseWriter, r *http.Request) {
	if p := checkMedia(r.Header); p != nil {
		refuse(w, *p)
		return
	}
	body := s.bodies.Get().(*bytes.Buffer)
	defer s.release(body)
	if p := readBody(body, w, r); p != nil {
		refuse(w, *p)
		return
	}
	a, p := parse(body.Bytes())
	if p != nil {
		refuse(w, *p)
		return
	}
	pBad, p := s.scorer.score(a)
	if p != nil {
		refuse(w, *p)
		return
	}
	delay, fail := s.chance.draw()
	if !wait(r.Context(), delay) {
		refuse(w, problem{Status: http.StatusServiceUnavailable, Detail: "the request was cancelled"})
		return
	}
	if fail {
		refuse(w, problem{Status: http.StatusInternalServerError, Detail: "injected failure"})
		return
	}
	out := append(make([]byte, 0, 96), `{"decision":"`...)
	out = append(out, scoring.Decide(pBad)...)
	out = append(out, `","p_bad":`...)
	out = strconv.AppendFloat(out, pBad, 'f', 6, 64)
	answer(w, append(out, s.ending...))
}

// release keeps a body's buffer for later, unless it grew beyond what requests normally need.
func (s *Server) release(b *bytes.Buffer) {
	if b.Cap() <= 64<<10 {
		b.Reset()
		s.bodies.Put(b)
	}
}

// allow says whether the method is one of those, and refuses the request when not.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	for _, m := range methods {
		w.Header().Add("Allow", m)
	}
	refuse(w, problem{
		Status: http.StatusMethodNotAllowed, Detail: fmt.Sprintf("method %.20q is not allowed here, only %v", r.Method, methods),
	})
	return false
}

// checkMedia wants plain JSON, in UTF-8 where a charset is named.
func checkMedia(h http.Header) *problem {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return &problem{Status: http.StatusUnsupportedMediaType, Detail: "want Content-Type: application/json"}
	}
	if c, ok := params["charset"]; ok && !strings.EqualFold(c, "utf-8") {
		return &problem{Status: http.StatusUnsupportedMediaType, Detail: "want JSON in UTF-8"}
	}
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return &problem{Status: http.StatusUnsupportedMediaType, Detail: "want a body without Content-Encoding"}
	}
	return nil
}

func readBody(dst *bytes.Buffer, w http.ResponseWriter, r *http.Request) *problem {
	_, err := io.Copy(dst, http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return &problem{
			Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the body is longer than %d bytes", MaxBody),
		}
	case err != nil:
		return &problem{Status: http.StatusBadRequest, Detail: "the body could not be read to its end"}
	}
	return nil
}
