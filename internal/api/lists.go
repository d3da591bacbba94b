package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/rollout"
)

const (
	defaultLimit = 100
	maxLimit     = 500
	maxParameter = 256 // bytes in one parameter of a query
)

// query reads a call's parameters and remembers the first fault. Unknown names are faults too: a filter
// that is not applied shows what was not asked for.
type query struct {
	values url.Values
	err    error
}

func (c call) query(known ...string) *query {
	q := &query{}
	var err error
	if q.values, err = url.ParseQuery(c.URL.RawQuery); err != nil {
		q.fail("the query can't be read: %v", err)
		return q
	}
	for name, all := range q.values {
		if !slices.Contains(known, name) {
			q.err = badRequest(fmt.Sprintf("there is no parameter %.40q", name), "use "+strings.Join(known, ", "))
		}
		for _, v := range all {
			if len(v) > maxParameter {
				q.fail("%s is longer than %d bytes", name, maxParameter)
			}
		}
	}
	return q
}

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = badRequest(fmt.Sprintf(format, args...), "GET /api/openapi.json shows the parameters")
	}
}

func (q *query) text(name string) string { return q.values.Get(name) }

// integer returns a number within its bounds, or def.
func (q *query) integer(name string, least, most, def int) int {
	s := q.values.Get(name)
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		q.fail("%s=%s: it is a number from %d to %d", name, s, least, most)
		return def
	}
	return n
}

func (q *query) limit() int { return q.integer("limit", 1, maxLimit, defaultLimit) }

func (q *query) time(name string) time.Time {
	s := q.values.Get(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		q.fail("%s=%s: it is a time like 2026-01-02T15:04:05Z", name, s)
	}
	return t
}

// oneOf returns a word of a list; the first one is the default.
func (q *query) oneOf(name string, words ...string) string {
	s := q.values.Get(name)
	if s == "" {
		return words[0]
	}
	if !slices.Contains(words, s) {
		q.fail("%s=%s: it is one of %s", name, s, strings.Trim(strings.Join(words, ", "), ", "))
	}
	return s
}

// cursor reads what cursorOf wrote.
func (q *query) cursor(into any) bool {
	s := q.values.Get("after")
	if s == "" {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		q.fail("after=%s: it is the next of an earlier page", s)
		return false
	}
	return true
}

// cursorOf writes the key of the last item of a page. Clients take it as it is.
func cursorOf(key any) string {
	raw, err := json.Marshal(key)
	if err != nil {
		return "" // our keys are names, numbers and times
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// phases reads a list of phases, of which running, paused and ended stand for several.
func (q *query) phases() func(rollout.Phase) bool {
	s := q.values.Get("phase")
	if s == "" {
		return func(rollout.Phase) bool { return true }
	}
	var tests []func(rollout.Phase) bool
	for word := range strings.SplitSeq(s, ",") {
		switch word {
		case "running":
			tests = append(tests, func(p rollout.Phase) bool { return p != "" && !p.Ended() })
		case "paused":
			tests = append(tests, func(p rollout.Phase) bool { return p == rollout.Paused })
		case "ended":
			tests = append(tests, rollout.Phase.Ended)
		default:
			if !slices.Contains(allPhases, rollout.Phase(word)) {
				q.fail("phase=%s: there is no such phase", s)
			}
			tests = append(tests, func(p rollout.Phase) bool { return string(p) == word })
		}
	}
	return func(p rollout.Phase) bool {
		return slices.ContainsFunc(tests, func(test func(rollout.Phase) bool) bool { return test(p) })
	}
}

var allPhases = []rollout.Phase{
	rollout.Pending, rollout.Testing, rollout.Shadowing, rollout.Experimenting, rollout.Ramping, rollout.Watching,
	rollout.Optimizing, rollout.Paused, rollout.Succeeded, rollout.RolledBack, rollout.Stopped, rollout.Undone,
}

func (s *server) listModels(c call) (any, error) {
	q := c.query("limit", "after", "q", "phase", "running")
	limit, text, keep, running := q.limit(), q.text("q"), q.phases(), q.oneOf("running", "", "true", "false")
	byPhase := q.text("phase") != ""
	var after string
	q.cursor(&after)
	if q.err != nil {
		return nil, q.err
	}
	models, err := s.o.Records.Models(c.Context())
	if err != nil {
		return nil, err
	}
	page := Page[Model]{Items: []Model{}}
	for _, m := range models {
		name := m.Spec.Metadata.Name
		if name <= after || !strings.Contains(name, text) || running != "" && (running == "true") != (m.Running != 0) {
			continue
		}
		if len(page.Items) == limit {
			page.Next = cursorOf(page.Items[limit-1].Name)
			break
		}
		view, err := s.modelView(c, m)
		if err != nil {
			return nil, err
		}
		if !byPhase || view.Current != nil && keep(view.Current.Phase) {
			page.Items = append(page.Items, view)
		}
	}
	return page, nil
}

func (s *server) listReleases(c call) (any, error) {
	q := c.query("limit", "after", "phase", "order")
	keep, limit := q.phases(), q.limit()
	find := records.ReleaseQuery{Newest: q.oneOf("order", "asc", "desc") == "desc", Limit: limit}
	find.Keep = func(st rollout.State) bool { return keep(st.Phase) }
	q.cursor(&find.After)
	if q.err != nil {
		return nil, q.err
	}
	found, more, err := s.o.Records.FindReleases(c.Context(), c.PathValue("model"), find)
	if err != nil {
		return nil, err
	}
	page := Page[Release]{Items: make([]Release, 0, len(found))}
	for _, r := range found {
		page.Items = append(page.Items, s.view(r.State))
	}
	if more {
		page.Next = cursorOf(found[len(found)-1].State.Number)
	}
	return page, nil
}

// listAudit serves the decisions of one model, oldest first, and of all models, newest first.
func (s *server) listAudit(c call) (any, error) {
	q := c.query("limit", "after", "model", "release", "what", "by", "from", "to", "q", "order", "format")
	model := c.PathValue("model")
	order := "desc"
	if model != "" {
		order = "asc"
	}
	find := records.DecisionQuery{
		Model: model, Release: uint32(q.integer("release", 0, 1<<31-1, 0)), What: q.text("what"), By: q.text("by"), //nolint:gosec // within its bounds
		Text: q.text("q"), From: q.time("from"), To: q.time("to"), Limit: q.limit(),
	}
	if model == "" {
		find.Model = q.text("model")
	}
	find.Oldest = q.oneOf("order", order, "asc", "desc") == "asc"
	q.cursor(&find.After)
	format := q.oneOf("format", "json", "jsonl", "csv")
	if q.err != nil {
		return nil, q.err
	}
	if format != "json" {
		find.Limit = 0
		return s.exportAudit(c, find, format)
	}
	found, more, err := s.o.Records.FindDecisions(c.Context(), find)
	if err != nil {
		return nil, err
	}
	page := Page[rollout.Decision]{Items: found}
	if more {
		page.Next = cursorOf(records.KeyOf(found[len(found)-1]))
	}
	return page, nil
}

func (s *server) listTokens(c call) (any, error) {
	q := c.query("limit", "after")
	limit := q.limit()
	var after string
	q.cursor(&after)
	if q.err != nil {
		return nil, q.err
	}
	tokens, err := s.o.Records.Tokens(c.Context()) // sorted by id
	if err != nil {
		return nil, err
	}
	page := Page[records.Token]{Items: []records.Token{}}
	for _, t := range tokens {
		if t.ID <= after {
			continue
		}
		if len(page.Items) == limit {
			page.Next = cursorOf(page.Items[limit-1].ID)
			break
		}
		page.Items = append(page.Items, t)
	}
	return page, nil
}
