package release

// Enum is a type whose values are a closed list of words. The strict reader and the JSON Schema take
// the list from here, so that they can't differ.
type Enum interface {
	// Values lists every word that a file may use, in the order in which help shows them.
	Values() []string
}

// Values implements Enum.
func (Protocol) Values() []string {
	return words(ProtocolAuto, ProtocolH1, ProtocolH2, ProtocolH2C)
}

// Values implements Enum.
func (Dialect) Values() []string {
	return words(DialectJSON, DialectRaw, DialectOpenAI, DialectAnthropic, DialectGemini, DialectOIP)
}

// Values implements Enum.
func (UnitMissing) Values() []string { return words(MissingLive, MissingPerRequest) }

// Values implements Enum.
func (MetricKind) Values() []string {
	return words(MetricEvent, MetricProportion, MetricMean, MetricLatency, MetricCategory)
}

// Values implements Enum.
func (Direction) Values() []string { return words(Lower, Higher) }

// Values implements Enum.
func (Role) Values() []string { return words(Objective, Guardrail, Watch) }

// Values implements Enum.
func (Missing) Values() []string { return words(MissingSkip, MissingZero) }

// Values implements Enum.
func (OnHarm) Values() []string { return words(HarmRollback, HarmPause) }

// Values implements Enum.
func (OnUndecided) Values() []string { return words(UndecidedPause, UndecidedRollback) }

// Values implements Enum.
func (OnNoData) Values() []string { return words(NoDataHold) }

// Values implements Enum.
func (Goal) Values() []string { return words(GoalBetter, GoalNoWorse) }

// words turns typed constants into their texts.
func words[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}
