package api

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/simulate"
)

// SimulateRequest asks how a plan would behave. Model names a stored one, or File is a Model file; all else may be left
// out.
type SimulateRequest struct {
	Model string `json:"model,omitempty"`
	File  string `json:"file,omitempty"`
	// Sweep asks for the curves over the true effect of one metric instead of one report.
	Sweep   bool     `json:"sweep,omitempty"`
	Metric  string   `json:"metric,omitempty"`
	Effects []string `json:"effects,omitempty"`
	simulate.Request
}

// SimulateResponse holds a report and the ends of its runs by time, or curves.
type SimulateResponse struct {
	Report *simulate.Report      `json:"report,omitempty"`
	Ends   []simulate.Ending     `json:"ends,omitempty"`
	Curves *simulate.CurveReport `json:"curves,omitempty"`
}

const (
	simulateTime  = 30 * time.Second // then what is done is answered
	simulateRetry = 5 * time.Second
	maxFile       = 1 << 20
)

// simulate runs one simulation at a time on half of the processors, so that it never takes them from what decides.
func (s *server) simulate(c call) (any, error) {
	var req SimulateRequest
	if err := decodeBody(c, maxFile, &req); err != nil {
		return nil, err
	}
	m, err := s.simulated(c, req)
	if err != nil {
		return nil, err
	}
	select {
	case s.simulating <- struct{}{}:
		defer func() { <-s.simulating }()
	default:
		return nil, &httpError{
			status: http.StatusTooManyRequests, retry: simulateRetry, msg: "another simulation is running", remedy: "repeat it in a few seconds, or run sluice simulate on a machine of your own",
		}
	}
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(simulateTime + writeTime)) // a recorder in a test has none
	ctx, cancel := context.WithTimeout(c.Context(), simulateTime)
	defer cancel()
	out, err := simulated(ctx, m, req)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, release.Unavailable("simulate", nil, "not one run ended within %v", simulateTime).Fix("ask for less traffic or fewer effects, or run sluice simulate on a machine of your own")
	}
	return out, err
}

// simulated finds the model that is meant.
func (s *server) simulated(c call, req SimulateRequest) (*release.Model, error) {
	switch {
	case req.Model != "" && req.File != "" || req.Model == "" && req.File == "":
		return nil, badRequest("a model or a file is needed, one of them", `send {"model": "NAME"}`)
	case req.File != "":
		m, faults := release.ParseModel("model.yaml", []byte(req.File))
		return m, faults.Err()
	}
	m, err := s.o.Records.Model(c.Context(), req.Model)
	if err != nil {
		return nil, err
	}
	if req.Live == "" { // what is live by now, whatever the file says
		m.Spec.Spec.Live = m.Live
	}
	return &m.Spec, nil
}

func simulated(ctx context.Context, m *release.Model, req SimulateRequest) (any, error) {
	workers := max(1, runtime.GOMAXPROCS(0)/2)
	if req.Sweep {
		curves, err := simulate.Curves(ctx, m, simulate.CurveRequest{Request: req.Request, Metric: req.Metric, Effects: req.Effects}, workers)
		return SimulateResponse{Curves: curves}, err
	}
	report, err := simulate.Once(ctx, m, req.Request, workers)
	if err != nil {
		return nil, err
	}
	return SimulateResponse{Report: report, Ends: report.Endings()}, nil
}
