package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/release"
)

// follow shows a release until it ends: on a terminal a view that is drawn again in place, otherwise
// a line per change. It survives a server that restarts. A release that waits for a person is
// followed further: a person may come.
func (e *env) follow(ctx context.Context, client *api.Client, model string, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	s := &screen{e: e}
	var last api.Release
	see := func(r api.Release) bool {
		last = r
		s.show(r)
		return !r.Phase.Ended()
	}
	for {
		err := client.Watch(ctx, model, see)
		switch {
		case err == nil:
			return codeOf(last.Phase)
		case ctx.Err() != nil:
			return s.left(ctx.Err(), model)
		case release.KindOf(err) != release.KindUnavailable:
			return err
		}
		s.note("the server is away, trying again")
		select {
		case <-ctx.Done():
			return s.left(ctx.Err(), model)
		case <-time.After(time.Second):
		}
	}
}

// screen draws a view in place, or line by line where there is no terminal.
type screen struct {
	e     *env
	lines int    // of the view drawn last
	said  string // the line written last, without its counters
}

func (s *screen) show(r api.Release) {
	if s.e.output == "json" {
		b, err := json.Marshal(r)
		if err == nil {
			fmt.Fprintf(s.e.out, "%s\n", b)
		}
		return
	}
	width, tty := terminal(s.e.out)
	if !tty {
		s.say(summary(r), fmt.Sprintf("%s %d %s", r.Phase, r.Number, r.Share))
		return
	}
	view := s.e.view(r, width)
	s.clear()
	fmt.Fprint(s.e.out, view)
	s.lines = strings.Count(view, "\n")
}

func (s *screen) clear() {
	if s.lines > 0 {
		fmt.Fprintf(s.e.out, "\x1b[%dA\x1b[J", s.lines)
		s.lines = 0
	}
}

func (s *screen) note(msg string) {
	s.lines = 0
	fmt.Fprintln(s.e.err, msg)
}

// counters are what changes in a reason while nothing happens: spans, counts, percentages.
var counters = regexp.MustCompile(`[0-9][0-9.,a-z]*`)

// left says that a release needs nobody who watches it, and passes err on.
func (s *screen) left(err error, model string) error {
	s.note("the release goes on without being watched; come back with: sluice status " + model + " -w")
	return err
}

// say writes a line unless only counters differ from the last one; state is what counts all the same.
// A hold of a day is one line then and not 86,400.
func (s *screen) say(line, state string) {
	if key := state + counters.ReplaceAllString(line, "#"); key != s.said {
		fmt.Fprintln(s.e.out, line)
		s.said = key
	}
}

// summary is a release in one line.
func summary(r api.Release) string {
	return fmt.Sprintf("%s/%d %s %s at %s: %s", r.Model, r.Number, r.Candidate, r.Phase, r.Share, r.Reason)
}
