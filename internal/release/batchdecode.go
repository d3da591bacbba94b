package release

import (
	"encoding/binary"
	"encoding/json"
	"math"
)

// DecodeBatch reads an encoded batch into into, reusing its slices and those strings that are the same
// as before: decoding many batches from one producer into one Batch allocates almost nothing. Every
// field is checked against its range, the claimed lengths against the bytes that are there; an error
// is of kind invalid and leaves into in an unspecified but usable state. Bytes behind the batch are an
// error. data is not kept.
func DecodeBatch(data []byte, into *Batch) error {
	if len(data) > MaxBatchBytes {
		return badBatch("it has %d bytes, at most %d are allowed", len(data), MaxBatchBytes)
	}
	if len(data) == 0 {
		return badBatch("it is empty")
	}
	if data[0] != batchVersion {
		return badBatch("it has version %d, this build reads %d", data[0], batchVersion).
			Fix("update every node of the fleet to the same release of Sluice")
	}
	r := reader{data: data, off: 1}
	if err := r.batch(into); err != nil {
		return err
	}
	switch {
	case r.bad:
		return badBatch("it ends early or has a malformed number before byte %d of %d", r.off, len(data))
	case r.off != len(data):
		return badBatch("%d bytes follow its end", len(data)-r.off)
	}
	return into.check()
}

// reader walks over encoded data. After the first fault it is bad and yields zeros, so callers check
// once per section.
type reader struct {
	data []byte
	off  int
	bad  bool
}

func (r *reader) batch(b *Batch) error {
	b.Producer = r.text(b.Producer, MaxProducerLen)
	b.Incarnation = r.uvarint()
	b.Seq = r.uvarint()
	b.Counts = resize(b.Counts, r.length(MaxBatchCounts, 6))
	for i := range b.Counts {
		r.count(&b.Counts[i])
	}
	b.Dict = resize(b.Dict, r.length(MaxBatchDict, 1))
	for i := range b.Dict {
		b.Dict[i] = r.text(b.Dict[i], MaxDictLen)
	}
	var ctx contexts
	var before int64
	b.Exposures = resize(b.Exposures, r.length(MaxBatchEvents, minExposureBytes))
	for i := range b.Exposures {
		r.exposure(&b.Exposures[i], &ctx, &before)
	}
	b.Feedback = resize(b.Feedback, r.length(MaxBatchEvents, minFeedbackBytes))
	for i := range b.Feedback {
		r.feedback(&b.Feedback[i], &ctx, &before)
	}
	return r.marks(b)
}

// The fewest bytes that an event takes: a claimed number of events above what the rest of the data can
// hold is refused before memory is made for it.
const (
	minExposureBytes = 1 + 8 + 8 + 8
	minFeedbackBytes = 1 + 8 + 8 + 4
)

func (r *reader) fail() {
	r.bad = true
	r.data = r.data[:r.off] // whatever is read from now on fails too
}

func (r *reader) uvarint() uint64 {
	if r.off < len(r.data) {
		if b := r.data[r.off]; b < 0x80 {
			r.off++
			return uint64(b)
		}
	}
	return r.longUvarint()
}

func (r *reader) longUvarint() uint64 {
	v, n := binary.Uvarint(r.data[r.off:])
	if n <= 0 || n != uvarintLen(v) { // short, too long, or padded with zeros
		r.fail()
		return 0
	}
	r.off += n
	return v
}

// atMost reads a number that must be at most most.
func (r *reader) atMost(most uint64) uint64 {
	v := r.uvarint()
	if v > most {
		r.fail()
		return 0
	}
	return v
}

// length reads a number of elements of at least size bytes each.
func (r *reader) length(most, size int) int {
	n := int(r.atMost(uint64(most)))
	if n*size > len(r.data)-r.off {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) byte() byte {
	if r.off >= len(r.data) {
		r.fail()
		return 0
	}
	r.off++
	return r.data[r.off-1]
}

func (r *reader) uint64() uint64 {
	if len(r.data)-r.off < 8 {
		r.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.data[r.off:])
	r.off += 8
	return v
}

func (r *reader) bytes(most int) []byte {
	n := r.length(most, 1)
	r.off += n
	return r.data[r.off-n : r.off]
}

// text reads a string; if it equals old, old is returned and nothing allocated.
func (r *reader) text(old string, most int) string {
	b := r.bytes(most)
	if string(b) == old {
		return old
	}
	return string(b)
}

func (r *reader) count(c *ArmCount) {
	c.Model = ModelKey(r.atMost(math.MaxUint32))
	c.Release = uint32(r.atMost(math.MaxUint32))
	c.Stratum = uint16(r.atMost(math.MaxUint16))
	c.Arm = r.byte()
	c.Seen = r.uvarint()
	c.Dropped = r.uvarint()
}

// context reads an event's tag and, if it is new, the context.
func (r *reader) context(ctx *contexts) *context {
	tag := int(r.byte())
	switch {
	case tag < ctx.used:
		return &ctx.ring[tag]
	case tag != tagNew:
		r.fail()
		return &context{}
	}
	slot := ctx.next
	ctx.add(context{
		model:   ModelKey(r.atMost(math.MaxUint32)),
		release: uint32(r.atMost(math.MaxUint32)),
		stratum: uint16(r.atMost(math.MaxUint16)),
		epoch:   r.byte(),
		arm:     r.byte(),
		kind:    ExposureKind(r.byte()),
	})
	return &ctx.ring[slot]
}

func (r *reader) exposure(e *Exposure, ctx *contexts, before *int64) {
	x := r.context(ctx)
	e.Model, e.Release, e.Stratum, e.Epoch, e.Arm, e.Kind = x.model, x.release, x.stratum, x.epoch, x.arm, x.kind
	e.ID = r.uint64()
	e.Unit = r.uint64()
	*before += unzigzag(r.uvarint())
	e.Time = *before
	e.Latency = uint32(r.atMost(math.MaxUint32))
	e.TTFB = r.ttfb(e.Latency)
	e.ReqLen = uint32(r.atMost(math.MaxUint32))
	e.RespLen = uint32(r.atMost(math.MaxUint32))
	e.Status = uint16(r.atMost(math.MaxUint16))
	packed := r.atMost(MaxSignals<<13 | 1<<13 - 1)
	e.Bin, e.Fault, e.N = uint16(packed&(Bins-1)), Fault(packed>>10&7), uint8(packed>>13)
	e.Flags = uint16(r.atMost(math.MaxUint16))
	if e.N > MaxSignals {
		r.fail()
		e.N = 0
	}
	var forms uint64
	if e.N > 0 {
		forms = r.atMost(1<<(2*e.N) - 1)
	}
	clear(e.Values[e.N:])
	for i := range e.Values[:e.N] {
		r.value(&e.Values[i], forms>>(2*i)&3)
	}
}

func (r *reader) ttfb(latency uint32) uint32 {
	v := int64(latency) - unzigzag(r.atMost(1<<33))
	if v < 0 || v > math.MaxUint32 {
		r.fail()
		return 0
	}
	return uint32(v)
}

func (r *reader) feedback(f *Feedback, ctx *contexts, before *int64) {
	x := r.context(ctx)
	f.Model, f.Release, f.Stratum, f.Epoch, f.Arm, f.Kind = x.model, x.release, x.stratum, x.epoch, x.arm, x.kind
	f.Exposure = r.uint64()
	f.Unit = r.uint64()
	*before += unzigzag(r.uvarint())
	f.Time = *before
	f.Exposed = f.Time - unzigzag(r.uvarint())
	packed := r.atMost(1<<12 - 1)
	f.Bin = uint16(packed & (Bins - 1))
	f.Name = uint32(r.atMost(math.MaxUint32))
	r.value(&f.Value, packed>>10)
}

func (r *reader) value(v *Value, form uint64) {
	*v = Value{}
	switch form {
	case formFloat:
		v.Kind, v.Num = ValueNumber, math.Float64frombits(r.uint64())
	case formInt:
		v.Kind, v.Num = ValueNumber, float64(r.atMost(maxFormInt))
	case formCat:
		v.Kind, v.Cat = ValueCategory, uint32(r.atMost(math.MaxUint32))
	}
}

func (r *reader) marks(b *Batch) error {
	b.Marks = resize(b.Marks[:0], r.length(MaxBatchMarks, 3))
	for i := range b.Marks {
		m := &b.Marks[i]
		*m = Mark{Model: ModelKey(r.atMost(math.MaxUint32)), Release: uint32(r.atMost(math.MaxUint32))}
		text := r.bytes(maxBaseline)
		if len(text) == 0 {
			continue
		}
		m.Baseline = new(Baseline)
		if err := json.Unmarshal(text, m.Baseline); err != nil {
			return &Error{Kind: KindInvalid, Op: "read batch of telemetry", Msg: "a baseline is malformed", Cause: err}
		}
	}
	return nil
}
