package app

import (
	"log/slog"
	"strings"
	"testing"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
)

func TestCompareNamesTheVerdictThatDiffers(t *testing.T) {
	then := []judge.Verdict{{Metric: "errors", State: judge.NoWorse, LnNoWorse: 3.25}, {Metric: "slow", State: judge.Undecided}}
	now := append([]judge.Verdict(nil), then...)
	if d, err := compare(now, then); d != "" || err != nil {
		t.Errorf("equal verdicts: %q, %v", d, err)
	}
	now[1].LnHarm = 1e-12
	if d, err := compare(now, then); !strings.HasPrefix(d, "slow: ") || err != nil {
		t.Errorf("one bit off: %q, %v", d, err)
	}
	if d, _ := compare(now[:1], then); !strings.Contains(d, "1 verdicts") {
		t.Errorf("one is missing: %q", d)
	}
}

func TestReplayMakesNoStore(t *testing.T) {
	c := release.DefaultConfig()
	c.Spec.DataDir = t.TempDir()
	_, err := Replay(t.Context(), c, "credit", 1, slog.New(slog.DiscardHandler))
	if release.KindOf(err) != release.KindNotFound {
		t.Errorf("an empty folder: %v", err)
	}
}
