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

func (s *server) getModel(c call) (any, error) {
	m, err := s.o.Records.Model(c.Context(), c.PathValue("model"))
	if err != nil {
		return nil, err
	}
	view, err := s.modelView(c, m)
	view.Spec = m.Spec
	c.etag(m.Revision)
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
	if s.o.Traffic != nil && m.Running != 0 {
		if rate, ok := s.o.Traffic(view.Name); ok {
			view.Traffic = &Traffic{RequestsPerSecond: rate}
		}
	}
	rel, err := s.o.Records.Release(c.Context(), view.Name, m.Last)
	if err != nil {
		return view, err
	}
	current := s.view(rel.State)
	view.Current = &current
	current.Watch, err = s.standing(c, m, rel.State)
	return view, err
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
	change, err := c.change(req.Reason)
	if err != nil {
		return nil, err
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
	change.Now = s.o.Now()
	stored, changed, err := s.o.Records.ApplyModel(c.Context(), m, change)
	if err != nil {
		return nil, err
	}
	c.etag(stored.Revision)
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
	var err error
	if p.At, err = c.seen(); err != nil {
		return nil, err
	}
	rel, _, err := s.o.Records.Start(c.Context(), p)
	if err != nil {
		return nil, err
	}
	c.etag(rel.Revision)
	return s.view(rel.State), s.publish(c)
}

func (s *server) getRelease(c call) (any, error) {
	rel, err := s.release(c)
	if err != nil {
		return nil, err
	}
	view := s.view(rel.State)
	view.Strata, view.Baseline, view.Spec = rel.State.Strata, rel.State.Baseline, &rel.State.Spec
	c.etag(rel.Revision)
	m, err := s.o.Records.Model(c.Context(), rel.State.Model)
	if err != nil {
		return nil, err
	}
	if view.Watch, err = s.standing(c, m, rel.State); err != nil {
		return nil, err
	}
	view.Decisions, err = s.o.Records.DecisionsOf(c.Context(), rel.State.Model, rel.State.Number)
	return view, err
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
	at, err := c.seen()
	if err != nil {
		return nil, err
	}
	rel, _, err := s.o.Records.ApplyAt(c.Context(), name, n, rollout.Input{Now: s.o.Now(), Command: &cmd}, nil, at)
	if err != nil {
		return nil, err
	}
	c.etag(rel.Revision)
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
		Kind: kind, By: who.Name, Role: who.Role, Roles: append(rolesOf(who.Role), who.Groups...),
		Address: who.Address, Reason: req.Reason, Plan: req.Plan,
	}, nil
}

// rolesOf lists a role and those below it: who may do more may also do less.
func rolesOf(role string) (out []string) {
	for _, r := range []string{records.Viewer, records.Operator, records.Admin} {
		if records.Allows(role, r) {
			out = append(out, r)
		}
	}
	return out
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

func (s *server) verifyAudit(c call) (any, error) {
	return s.o.Records.Verify(c.Context(), c.PathValue("model"))
}

func (s *server) createToken(c call) (any, error) {
	var req TokenRequest
	if err := decodeBody(c, maxBody, &req); err != nil {
		return nil, err
	}
	change, err := c.change(req.Reason)
	if err != nil {
		return nil, err
	}
	change.Now = s.o.Now()
	t := records.Token{Name: req.Name, Role: req.Role, Groups: req.Groups}
	if req.Expires < 0 {
		return nil, badRequest("expires lies in the past", `write a time from now on, like "720h"`)
	}
	if req.Expires > 0 {
		t.Expires = change.Now.Add(time.Duration(req.Expires))
	}
	t, clear, err := s.o.Records.IssueToken(c.Context(), t, change)
	if err != nil {
		return nil, err
	}
	return tokenResponse(t, clear), nil
}

func tokenResponse(t records.Token, clear string) TokenResponse {
	out := TokenResponse{ID: t.ID, Name: t.Name, Role: t.Role, Token: clear}
	if !t.Expires.IsZero() {
		out.Expires = &t.Expires
	}
	return out
}

// tokenCommand serves POST /tokens/{id}:rotate: an admin rotates any token, everybody their own.
func (s *server) tokenCommand(c call) (any, error) {
	id, verb, ok := strings.Cut(c.PathValue("call"), ":")
	if !ok || verb != "rotate" {
		return nil, s.unknownRoute(c.Request)
	}
	var req RotateRequest
	if err := decodeBody(c, maxBody, &req); err != nil {
		return nil, err
	}
	if id != c.who.ID || id == "" {
		if err := records.Require(c.who, records.Admin); err != nil {
			return nil, err
		}
	}
	if req.Grace < 0 || req.Expires < 0 {
		return nil, badRequest("a time lies in the past", `write times from now on, like "24h"`)
	}
	change, err := c.change(req.Reason)
	if err != nil {
		return nil, err
	}
	change.Now = s.o.Now()
	o := records.Rotation{Grace: time.Duration(req.Grace), Lasts: time.Duration(req.Expires)}
	t, clear, err := s.o.Records.RotateToken(c.Context(), id, o, change)
	if err != nil {
		return nil, err
	}
	return tokenResponse(t, clear), nil
}

func (s *server) revokeToken(c call) (any, error) {
	q := c.query("reason")
	if q.err != nil {
		return nil, q.err
	}
	change, err := c.change(q.text("reason"))
	if err != nil {
		return nil, err
	}
	change.Now = s.o.Now()
	id := c.PathValue("id")
	return text{"revoked": id}, s.o.Records.EndToken(c.Context(), id, change)
}

// change says who wants something, why, and which revision of it they have seen.
func (c call) change(reason string) (records.Change, error) {
	if len(reason) > maxReason {
		return records.Change{}, badRequest(fmt.Sprintf("the reason is longer than %d bytes", maxReason), "")
	}
	at, err := c.seen()
	return records.Change{Who: c.who, Reason: reason, At: at}, err
}

func (s *server) listActs(c call) (any, error) {
	q := c.query("limit", "after")
	limit, end := q.limit(), -1
	q.cursor(&end)
	if q.err != nil {
		return nil, q.err
	}
	all, err := s.o.Records.Acts(c.Context())
	if err != nil {
		return nil, err
	}
	page := ActPage{Items: []records.Act{}, OK: true}
	if err := records.VerifyActs(all); err != nil {
		page.OK, page.Fault = false, err.Error()
	}
	if end < 0 || end > len(all) {
		end = len(all)
	}
	for i := end - 1; i >= 0 && len(page.Items) < limit; i-- { // newest first
		page.Items, end = append(page.Items, all[i]), i
	}
	if end > 0 {
		page.Next = cursorOf(end)
	}
	return page, nil
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
