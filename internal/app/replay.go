package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"sluice.dev/sluice/internal/controller"
	"sluice.dev/sluice/internal/ingest"
	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/natsstore"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

// Replayed is one stored decision, judged again.
type Replayed struct {
	Number  uint64       `json:"number"`
	Time    time.Time    `json:"time"`
	Step    string       `json:"step"`
	What    rollout.What `json:"what"`
	Judged  bool         `json:"judged"` // it rests on verdicts; false: a person's, or one by time alone
	Same    bool         `json:"same"`   // the tally and every verdict are the same, bit for bit
	Differs string       `json:"differs,omitempty"`
}

// Replay folds the telemetry of a stored release again from the start of the log and repeats the judgement of each
// decision. It opens the embedded store of a data folder whose server does not run, and changes nothing in it. The suprema of
// the looks between two decisions are taken from the decision's record; all else is computed from the log.
func Replay(ctx context.Context, c *release.Config, model string, number uint32, log *slog.Logger) (_ []Replayed, err error) {
	s, err := openStored(ctx, c, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return replay(ctx, s, model, number)
}

// openStored opens the embedded store of a data folder whose server does not run.
func openStored(ctx context.Context, c *release.Config, log *slog.Logger) (store.Store, error) {
	spec := c.Spec
	dir := filepath.Join(spec.DataDir, "store")
	if _, err := os.Stat(dir); err != nil { // opening would make one
		return nil, release.NotFound("replay", "there is no stored data in %s", spec.DataDir).Fix("name the server's data folder with --data")
	}
	s, err := natsstore.OpenEmbedded(ctx, natsstore.Options{
		Namespace: spec.Namespace, Logger: log.With("part", "store"), Dir: dir,
	})
	switch {
	case errors.Is(err, store.ErrLocked):
		return nil, release.Conflict("replay", "%v", err).Fix("stop the server that runs on this folder, or replay a copy of it")
	case err != nil:
		return nil, release.Unavailable("open the store", err, "it does not start")
	}
	return s, nil
}

func replay(ctx context.Context, s store.Store, model string, number uint32) ([]Replayed, error) {
	r := records.New(s)
	rel, err := r.Release(ctx, model, number)
	if err != nil {
		return nil, err
	}
	decisions, _, err := r.Decisions(ctx, model, 0)
	if err != nil {
		return nil, err
	}
	m, arms, _, err := r.Counted(ctx, release.ModelKeyOf(model), number)
	if err != nil {
		return nil, err
	}
	again := ingest.NewReplay(m, number, arms, func(ctx context.Context, partition int, after uint64) iter.Seq2[ingest.Entry, error] {
		return readStored(ctx, s, partition, after)
	})
	gone := reachesBack(ctx, s, rel.State.Created)
	var out []Replayed
	for _, d := range decisions {
		if d.Release != number {
			continue
		}
		x := Replayed{Number: d.Number, Time: d.Time, Step: string(d.Step), What: d.What, Judged: d.Tally != ""}
		if x.Judged {
			if x.Differs, err = differs(ctx, again, rel.State, &d); err != nil {
				return out, err
			}
			if x.Differs != "" && gone != nil {
				x.Differs += "; " + gone.Error()
			}
		}
		x.Same = x.Judged && x.Differs == ""
		out = append(out, x)
	}
	return out, nil
}

// readStored yields what a log holds after a sequence. A log that no longer begins there is read from where it does: the
// hash of the tally says whether anything of the release is gone.
func readStored(ctx context.Context, s store.Store, partition int, after uint64) iter.Seq2[ingest.Entry, error] {
	return func(yield func(ingest.Entry, error) bool) {
		first, _, err := s.Bounds(ctx, logName(partition))
		if err != nil {
			yield(ingest.Entry{}, err)
			return
		}
		if uint64(first) > after+1 {
			after = uint64(first) - 1
		}
		for r, err := range s.Read(ctx, logName(partition), store.Seq(after), false) {
			if !yield(ingest.Entry{Seq: uint64(r.Seq), Data: r.Data, Time: r.Time}, err) {
				return
			}
		}
	}
}

// differs repeats one judgement; "" if it is the same. An error is the store's.
func differs(ctx context.Context, again *ingest.Replay, s rollout.State, d *rollout.Decision) (string, error) {
	if d.Look == nil {
		return "the record does not hold what it was judged with (it is of an earlier build)", nil
	}
	view, hash, err := again.To(ctx, d.Look.Positions)
	switch {
	case release.KindOf(err) == release.KindInvalid && err != nil:
		return err.Error(), nil //nolint:nilerr // what can't be repeated is an answer
	case err != nil:
		return "", err
	case view == nil:
		return "the log holds no telemetry of the release any more", nil
	case hash != d.Tally:
		return fmt.Sprintf("the log gives the tally %.12s, the record has %.12s: part of the log is gone or was changed", hash, d.Tally), nil
	}
	in := controller.Judged(s, *d.Look, view)
	in.Explain = true
	return compare(judge.Assess(in).Verdicts, d.Verdicts)
}

// compare names the first verdict whose stored form is another one.
func compare(now, then []judge.Verdict) (string, error) {
	if len(now) != len(then) {
		return fmt.Sprintf("%d verdicts, the record has %d", len(now), len(then)), nil
	}
	for i := range now {
		a, errA := json.Marshal(now[i])
		b, errB := json.Marshal(then[i])
		if err := errors.Join(errA, errB); err != nil {
			return "", err
		}
		if !bytes.Equal(a, b) {
			return fmt.Sprintf("%s: now %s\nthen %s", now[i].Metric, a, b), nil
		}
	}
	return "", nil
}
