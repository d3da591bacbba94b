package api

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

type text map[string]string

func (s *server) healthz(call) (any, error) { return text{"status": "ok"}, nil }

func (s *server) readyz(call) (any, error) {
	if s.o.Ready != nil {
		if err := s.o.Ready(); err != nil {
			return nil, &release.Error{Kind: release.KindUnavailable, Op: "serve", Msg: "not ready", Cause: err}
		}
	}
	return text{"status": "ready"}, nil
}

func (s *server) version(call) (any, error) { return text{"version": s.o.Version}, nil }

func (s *server) whoami(c call) (any, error) { return c.who, nil }

func (s *server) listModels(c call) (any, error) {
	models, err := s.o.Records.Models(c.Context())
	if err != nil {
		return nil, err
	}
	page := Page[Model]{Items: make([]Model, 0, len(models))}
	for _, m := range models {
		view, err := s.modelView(c, m)
		if err != nil {
			return nil, err
		}
		page.Items = append(page.Items, view)
	}
	return page, nil
}

func (s *server) getModel(c call) (any, error) {
	m, err := s.o.Records.Model(c.Context(), c.PathValue("model"))
	if err != nil {
		return nil, err
	}
	view, err := s.modelView(c, m)
	view.Spec = m.Spec
	return view, err
}

func (s *server) modelView(c call, m records.Model) (Model, error) {
	view := Model{
		Name: m.Spec.Metadata.Name, Live: m.Live, FileLive: m.Spec.Spec.Live, Hash: m.Hash, Applied: m.Applied, By: m.By,
		Versions: records.VersionNames(m.Spec), Last: m.Last, Running: m.Running, Undoable: m.Success,
	}
	if m.Last == 0 {
		return view, nil
	}
	rel, err := s.o.Records.Release(c.Context(), view.Name, m.Last)
	if err != nil {
		return view, err
	}
	current := s.view(rel.State)
	view.Current = &current
	return view, nil
}

func (s *server) applyModel(c call) (any, error) {
	var req ApplyRequest
	if err := decodeBody(c, maxApply, &req); err != nil {
		return nil, err
	}
	name := req.Name
	if name == "" {
		name = "model.yaml"
	}
	m, faults := release.ParseModel(name, []byte(req.File))
	if err := faults.Err(); err != nil {
		return nil, err
	}
	m = m.Normalise()
	suites, err := attach(m, req.Files)
	if err != nil {
		return nil, err
	}
	for hash, content := range suites {
		if err := s.o.Records.PutFile(c.Context(), hash, content); err != nil {
			return nil, err
		}
	}
	stored, changed, err := s.o.Records.PutModel(c.Context(), m, c.who, s.o.Now())
	if err != nil {
		return nil, err
	}
	if changed {
		err = s.publish(c)
	}
	return ApplyResponse{
		Model: m.Metadata.Name, Hash: stored.Hash, Changed: changed, Created: changed && stored.Applied.Equal(stored.Created),
		Live: stored.Live, Warnings: warnings(faults, m, stored),
	}, err
}

// warnings says what is worth knowing about an applied file and no fault.
func warnings(faults release.Faults, m *release.Model, stored records.Model) []string {
	var out []string
	for _, w := range faults.Warnings() {
		out = append(out, w.String())
	}
	if m.Spec.Live != stored.Live {
		out = append(out, fmt.Sprintf("the file says live: %s; %s is live and stays so until a release changes it", m.Spec.Live, stored.Live))
	}
	return out
}

func (s *server) publish(c call) error {
	if s.o.Publish == nil {
		return nil
	}
	return s.o.Publish(c.Context())
}

// modelCommand serves POST /models/{model}:undo.
func (s *server) modelCommand(c call) (any, error) {
	name, verb, ok := strings.Cut(c.PathValue("call"), ":")
	if !ok || verb != "undo" {
		return nil, s.unknownRoute(c.Request)
	}
	var req CommandRequest
	if err := decodeBody(c, maxBody, &req); err != nil {
		return nil, err
	}
	if err := needReason(req.Reason); err != nil {
		return nil, err
	}
	return s.begin(c, records.StartParams{Model: name, Undo: true, Reason: req.Reason})
}

func (s *server) startRelease(c call) (any, error) {
	var req StartRequest
	if err := decodeBody(c, maxBody, &req); err != nil {
		return nil, err
	}
	if req.To == "" {
		return nil, badRequest("the version to release is missing", `send {"to": "VERSION"}`)
	}
	if req.Reason == "" {
		req.Reason = "release " + req.To // the one command whose purpose is plain
	}
	if err := needReason(req.Reason); err != nil {
		return nil, err
	}
	return s.begin(c, records.StartParams{Model: c.PathValue("model"), Candidate: req.To, Reason: req.Reason})
}

func (s *server) begin(c call, p records.StartParams) (any, error) {
	p.Who, p.Now, p.Salt = c.who, s.o.Now(), s.o.Salt()
	rel, _, err := s.o.Records.Start(c.Context(), p)
	if err != nil {
		return nil, err
	}
	return s.view(rel.State), s.publish(c)
}

func (s *server) listReleases(c call) (any, error) {
	releases, err := s.o.Records.Releases(c.Context(), c.PathValue("model"))
	if err != nil {
		return nil, err
	}
	if len(releases) == 0 {
		if _, err := s.o.Records.Model(c.Context(), c.PathValue("model")); err != nil {
			return nil, err
		}
	}
	page := Page[Release]{Items: make([]Release, 0, len(releases))}
	for _, r := range releases {
		page.Items = append(page.Items, s.view(r.State))
	}
	return page, nil
}

func (s *server) getRelease(c call) (any, error) {
	n, err := number(c.PathValue("n"))
	if err != nil {
		return nil, err
	}
	rel, err := s.o.Records.Release(c.Context(), c.PathValue("model"), n)
	if err != nil {
		return nil, err
	}
	view := s.view(rel.State)
	view.Strata, view.Baseline, view.Spec = rel.State.Strata, rel.State.Baseline, &rel.State.Spec
	decisions, _, err := s.o.Records.Decisions(c.Context(), rel.State.Model, 0)
	if err != nil {
		return nil, err
	}
	for _, d := range decisions {
		if d.Release == rel.State.Number {
			view.Decisions = append(view.Decisions, d)
		}
	}
	return view, nil
}

// releaseCommand serves POST /models/{model}/releases/{n}:{verb}.
func (s *server) releaseCommand(c call) (any, error) {
	first, verb, ok := strings.Cut(c.PathValue("call"), ":")
	if !ok {
		return nil, s.unknownRoute(c.Request)
	}
	n, err := number(first)
	if err != nil {
		return nil, err
	}
	var req CommandRequest
	if err := decodeBody(c, maxBody, &req); err != nil {
		return nil, err
	}
	cmd, err := command(verb, req, c.who)
	if err != nil {
		return nil, err
	}
	name := c.PathValue("model")
	if n == 0 {
		rel, err := s.o.Records.Release(c.Context(), name, 0)
		if err != nil {
			return nil, err
		}
		n = rel.State.Number
	}
	rel, _, err := s.o.Records.Apply(c.Context(), name, n, rollout.Input{Now: s.o.Now(), Command: &cmd}, nil)
	if err != nil {
		return nil, err
	}
	return s.view(rel.State), s.publish(c)
}

var verbs = map[string]rollout.CommandKind{
	"promote": rollout.CmdPromote, "pause": rollout.CmdPause, "resume": rollout.CmdResume, "abort": rollout.CmdAbort,
	"retry": rollout.CmdRetry, "approve": rollout.CmdApprove, "adjust": rollout.CmdAdjust,
}

func command(verb string, req CommandRequest, who records.Who) (rollout.Command, error) {
	kind, ok := verbs[verb]
	if !ok {
		return rollout.Command{}, &httpError{status: 404, msg: fmt.Sprintf("there is no command %q", verb), remedy: "use promote, pause, resume, abort, retry, approve or adjust"}
	}
	if err := needReason(req.Reason); err != nil {
		return rollout.Command{}, err
	}
	return rollout.Command{
		Kind: kind, By: who.Name, Role: who.Role, Roles: append([]string{who.Role}, who.Groups...),
		Address: who.Address, Reason: req.Reason, Plan: req.Plan,
	}, nil
}

const maxReason = 1000

func needReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return badRequest("a reason is needed: it goes on record", `send {"reason": "..."}`)
	case len(reason) > maxReason:
		return badRequest(fmt.Sprintf("the reason is longer than %d bytes", maxReason), "")
	}
	return nil
}

func (s *server) getReport(c call) (any, error) {
	n, err := number(c.PathValue("n"))
	if err != nil {
		return nil, err
	}
	rel, err := s.o.Records.Release(c.Context(), c.PathValue("model"), n)
	if err != nil {
		return nil, err
	}
	if rel.State.Test == nil || rel.State.Test.Report == "" {
		return nil, &release.Error{Kind: release.KindNotFound, Op: "find report", Msg: "this release has no test report"}
	}
	b, err := s.o.Records.GetReport(c.Context(), rel.State.Test.Report)
	return rawJSON(b), err
}

func (s *server) listAudit(c call) (any, error) {
	name := c.PathValue("model")
	if _, err := s.o.Records.Model(c.Context(), name); err != nil {
		return nil, err
	}
	decisions, _, err := s.o.Records.Decisions(c.Context(), name, 0)
	if err != nil {
		return nil, err
	}
	if decisions == nil {
		decisions = []rollout.Decision{}
	}
	return Page[rollout.Decision]{Items: decisions}, nil
}

func (s *server) verifyAudit(c call) (any, error) {
	return s.o.Records.Verify(c.Context(), c.PathValue("model"))
}

func (s *server) listTokens(c call) (any, error) {
	tokens, err := s.o.Records.Tokens(c.Context())
	return Page[records.Token]{Items: tokens}, err
}

func (s *server) createToken(c call) (any, error) {
	var req TokenRequest
	if err := decodeBody(c, maxBody, &req); err != nil {
		return nil, err
	}
	t := records.Token{Name: req.Name, Role: req.Role, Groups: req.Groups, By: c.who.Name}
	if req.Expires > 0 {
		t.Expires = s.o.Now().Add(time.Duration(req.Expires))
	}
	t, clear, err := s.o.Records.CreateToken(c.Context(), t, s.o.Now())
	if err != nil {
		return nil, err
	}
	return TokenResponse{ID: t.ID, Name: t.Name, Role: t.Role, Token: clear}, nil
}

func (s *server) revokeToken(c call) (any, error) {
	id := c.PathValue("id")
	return text{"revoked": id}, s.o.Records.RevokeToken(c.Context(), id, s.o.Now())
}

// number reads a release number; "latest" and "0" ask for the latest.
func number(s string) (uint32, error) {
	if s == "latest" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, &release.Error{Kind: release.KindNotFound, Op: "find release", Msg: fmt.Sprintf("%q is not a release number", s), Remedy: "use a number, or latest"}
	}
	return uint32(n), nil
}
