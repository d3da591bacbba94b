package release

import "math"

// badBatch is the error of a batch that breaks a rule of its format.
func badBatch(format string, args ...any) *Error {
	return Invalid("read batch of telemetry", format, args...)
}

// check says whether the batch keeps every bound that DecodeBatch demands, but for its encoded size.
func (b *Batch) check() error {
	switch {
	case len(b.Producer) > MaxProducerLen:
		return badBatch("its producer's name has %d bytes, at most %d are allowed", len(b.Producer), MaxProducerLen)
	case len(b.Exposures)+len(b.Feedback) > MaxBatchEvents:
		return badBatch("it has %d events, at most %d are allowed", len(b.Exposures)+len(b.Feedback), MaxBatchEvents)
	case len(b.Counts) > MaxBatchCounts:
		return badBatch("it has %d counts, at most %d are allowed", len(b.Counts), MaxBatchCounts)
	case len(b.Dict) > MaxBatchDict:
		return badBatch("its dictionary has %d strings, at most %d are allowed", len(b.Dict), MaxBatchDict)
	case len(b.Marks) > MaxBatchMarks:
		return badBatch("it has %d marks, at most %d are allowed", len(b.Marks), MaxBatchMarks)
	}
	for _, s := range b.Dict {
		if len(s) > MaxDictLen {
			return badBatch("a string of its dictionary has %d bytes, at most %d are allowed", len(s), MaxDictLen)
		}
	}
	for i := range b.Counts {
		if b.Counts[i].Arm >= MaxArms {
			return badBatch("count %d names arm %d of %d", i, b.Counts[i].Arm, MaxArms)
		}
	}
	for i := range b.Exposures {
		if err := b.Exposures[i].check(len(b.Dict)); err != nil {
			return badBatch("exposure %d: %s", i, err.Msg)
		}
	}
	for i := range b.Feedback {
		if err := b.Feedback[i].check(len(b.Dict)); err != nil {
			return badBatch("feedback %d: %s", i, err.Msg)
		}
	}
	return nil
}

// check says whether every field of the exposure is in its range; dict is the size of the dictionary.
func (e *Exposure) check(dict int) *Error {
	switch {
	case e.Arm >= MaxArms:
		return badBatch("arm %d of %d", e.Arm, MaxArms)
	case e.Bin >= Bins:
		return badBatch("bin %d of %d", e.Bin, Bins)
	case e.Kind > ExposureOutside:
		return badBatch("unknown kind %d", e.Kind)
	case e.Fault > FaultGateway:
		return badBatch("unknown fault %d", e.Fault)
	case e.N > MaxSignals:
		return badBatch("%d values, at most %d are allowed", e.N, MaxSignals)
	case !validTime(e.Time):
		return badBatch("time %d is out of range", e.Time)
	}
	for i := range e.Values[:e.N] {
		if err := e.Values[i].check(dict); err != nil {
			return err
		}
	}
	return nil
}

func (f *Feedback) check(dict int) *Error {
	switch {
	case f.Arm >= MaxArms:
		return badBatch("arm %d of %d", f.Arm, MaxArms)
	case f.Bin >= Bins:
		return badBatch("bin %d of %d", f.Bin, Bins)
	case f.Kind > ExposureOutside:
		return badBatch("unknown kind %d", f.Kind)
	case !validTime(f.Time) || !validTime(f.Exposed):
		return badBatch("time %d of an exposure at %d is out of range", f.Time, f.Exposed)
	case uint64(f.Name) >= uint64(dict):
		return badBatch("name %d of a dictionary of %d", f.Name, dict)
	}
	return f.Value.check(dict)
}

func (v *Value) check(dict int) *Error {
	switch v.Kind {
	case ValueNone:
	case ValueNumber:
		if math.IsNaN(v.Num) || math.IsInf(v.Num, 0) {
			return badBatch("a value is not a finite number")
		}
	case ValueCategory:
		if uint64(v.Cat) >= uint64(dict) {
			return badBatch("category %d of a dictionary of %d", v.Cat, dict)
		}
	default:
		return badBatch("unknown kind of value %d", v.Kind)
	}
	return nil
}

func validTime(ms int64) bool { return ms >= 0 && ms < maxTime }
