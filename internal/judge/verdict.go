package judge

import "sluice.dev/sluice/internal/release"

// State is what the data say on one metric.
type State string

// The states. Only Worse is harm; only NoWorse and Better let a release advance.
const (
	Worse      State = "worse"       // harm beyond what is tolerated is shown
	NoWorse    State = "noWorse"     // a loss of the margin is excluded
	Better     State = "better"      // better than live is shown (and no worse)
	Undecided  State = "undecided"   // neither
	NoData     State = "noData"      // nothing arrived
	Waiting    State = "waiting"     // for its baseline
	BurnIn     State = "burnIn"      // too few observations for the method to hold
	TooFewUnit State = "tooFewUnits" // too few independent users behind the observations
)

// Arm is one side of a comparison. Exposures are the observations of the metric over all strata that are judged, Units
// those of the present stratum. Value is in the metric's own unit: a rate 0..1 for events and
// proportions, milliseconds for latency (the declared quantile), bits of entropy for categories.
type Arm struct {
	Value     float64 `json:"value"`
	Exposures uint64  `json:"exposures"`
	Units     uint64  `json:"units"`
	KEff      float64 `json:"kEff"` // effective number of independent bins, N^2 / sum n_b^2
}

// Verdict is what the data say on one metric of one candidate, with every number that it rests on.
type Verdict struct {
	Metric    string             `json:"metric"`
	Role      release.Role       `json:"role"`
	Kind      release.MetricKind `json:"kind"`
	Arm       uint8              `json:"arm"`
	State     State              `json:"state"`
	Harm      bool               `json:"harm"`    // latched: stays true within the release
	NoWorse   bool               `json:"noWorse"` // holds now
	Better    bool               `json:"better"`  // holds now
	Live      Arm                `json:"live"`
	Candidate Arm                `json:"candidate"`
	// Estimate and the interval Lo..Hi are candidate minus live, in Unit, positive = larger value. In the unit "x" they
	// are candidate over live: 1 is no difference. Level 0: there is no interval yet, and Lo = Hi = Estimate.
	Estimate  float64             `json:"estimate"`
	Lo        float64             `json:"lo"`
	Hi        float64             `json:"hi"`
	Unit      string              `json:"unit"`      // "pp", "x", "bits", or the metric's own
	Level     float64             `json:"level"`     // 1 - 2 alpha, of the interval
	Alpha     float64             `json:"alpha"`     // of this metric's harm decision
	LnHarm    float64             `json:"lnHarm"`    // largest weighted ln e-value for harm so far; harm at ln(1/alpha of the release)
	LnNoWorse float64             `json:"lnNoWorse"` // evidence now; no worse at ln(1/alpha)
	LnBetter  float64             `json:"lnBetter"`
	Margin    release.Margin      `json:"margin"`
	Tolerate  release.Margin      `json:"tolerate"`
	Needs     *Needs              `json:"needs,omitempty"` // what a decision still needs; nil when decided
	Reason    string              `json:"reason"`          // one plain sentence
	Class     release.MetricClass `json:"class,omitempty"`
	Bayes     *Bayes              `json:"bayes,omitempty"`    // beside the verdict; nil where the sums hold no plain difference
	Calls     []Call              `json:"calls,omitempty"`    // only when Input.Explain asks for them
	Adjusted  *Adjustment         `json:"adjusted,omitempty"` // nil: estimate and evidence rest on the raw values
	Warnings  []string            `json:"warnings,omitempty"`
}

// Adjustment says that estimate and evidence were adjusted for what the same users did in the shadow step (CUPED).
type Adjustment struct {
	Saved       float64 `json:"saved"`       // share of the estimate's variance that is gone: as many fewer exposures are needed
	Coefficient float64 `json:"coefficient"` // of the latest adjusted stratum, 0..1
	Strata      int     `json:"strata"`      // serving strata that were adjusted
}

// Needs is a forecast of what a verdict still needs, at the present rate.
type Needs struct {
	Exposures float64 `json:"exposures"`
	Units     float64 `json:"units"`
	Seconds   float64 `json:"seconds"` // 0: unknown
	Text      string  `json:"text"`
}

// Ratio is the sample-ratio check: are as many units on each arm as the shares say.
type Ratio struct {
	Units    []uint64  `json:"units"`    // by arm
	Expected []float64 `json:"expected"` // by arm, shares
	LnE      float64   `json:"lnE"`
	Alarm    bool      `json:"alarm"` // freezes the release, never rolls it back
	Warn     bool      `json:"warn"`
	Reason   string    `json:"reason"`
}

// Assessment is all that the data say at one moment. It is a pure function of the tally, the model,
// the baseline, the strata and the memory of what was shown before.
type Assessment struct {
	Verdicts  []Verdict `json:"verdicts"`
	Harm      bool      `json:"harm"`
	HarmBy    string    `json:"harmBy,omitempty"` // the metric that shows it most
	Ratio     Ratio     `json:"ratio"`
	Outcomes  Ratio     `json:"outcomes"`  // the same over units with an outcome
	Pairs     uint64    `json:"pairs"`     // shadow: complete pairs
	Scored    uint64    `json:"scored"`    // of those, with feedback of every agree metric
	Exposures []uint64  `json:"exposures"` // by arm, of the present step
	Total     []uint64  `json:"total"`     // by arm, exposures of users over all serving strata of the release
	Loss      []float64 `json:"loss"`      // by arm, share of exposures never recorded
	Memory    Memory    `json:"memory"`
	// Diagnostics are side questions under control of the false discovery rate, most evidence first; none decides.
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
}

// Memory is what judge must remember between looks because the promise is about suprema: the largest
// weighted ln e-value for harm per metric (and component), and harm once shown.
type Memory struct {
	Sup  map[string]float64 `json:"sup,omitempty"`
	Harm map[string]bool    `json:"harm,omitempty"`
}
