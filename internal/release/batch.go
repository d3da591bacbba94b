package release

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/bits"
	"slices"
)

// Bounds of a batch. They keep an entry of the log far below the store's message limit and make the
// memory that a forged one can claim small. A producer closes its batch before it reaches them.
const (
	MaxBatchEvents = 2000      // exposures and feedback together
	MaxBatchBytes  = 256 << 10 // encoded
	MaxBatchCounts = 4096
	MaxBatchDict   = 8192
	MaxBatchMarks  = 16
	MaxDictLen     = 255     // bytes of one string of the dictionary
	MaxProducerLen = 128     // bytes of a producer's name
	maxTime        = 1 << 45 // Unix milliseconds: the year 3084
	maxBaseline    = 128 << 10
)

// Layout of an encoded batch, version 1. Numbers are unsigned LEB128 unless said otherwise; "zigzag" is
// a signed difference folded into an unsigned number; fixed numbers are little-endian.
//
//	byte     version
//	text     producer: length, bytes
//	number   incarnation, sequence
//	counts   how many, then per count: model, release, stratum, arm, seen, dropped
//	dict     how many, then texts
//	events   how many, then exposures
//	feedback how many, then feedback
//	marks    how many, then per mark: model, release, text of the baseline's JSON (empty: none)
//
// What is the same for many events (model, release, stratum, epoch, arm, kind) is a context. An event
// begins with a tag: 0 to 15 is one of the latest 16 contexts, 16 says that a new one follows, which
// takes the place of the oldest. An event's time is the zigzag difference to the event before it.
const batchVersion = 1

// context is what neighbouring events share.
type context struct {
	model   ModelKey
	release uint32
	stratum uint16
	epoch   uint8
	arm     uint8
	kind    ExposureKind
}

const (
	contextSlots = 16
	tagNew       = contextSlots
)

// contexts is the ring of the latest contexts, kept alike by both sides.
type contexts struct {
	ring [contextSlots]context
	used int // slots that hold a context
	next int // slot that the next new one takes
}

func (c *contexts) find(x context) int {
	for i := range c.ring[:c.used] {
		if c.ring[i] == x {
			return i
		}
	}
	return -1
}

func (c *contexts) add(x context) {
	c.ring[c.next] = x
	c.next = (c.next + 1) % contextSlots
	c.used = min(c.used+1, contextSlots)
}

// Forms of an encoded value, two bits each.
const (
	formNone  = 0
	formFloat = 1 // 8 bytes
	formCat   = 2 // number: index into the dictionary
	formInt   = 3 // number: a small non-negative whole Num
)

// maxFormInt is the largest number written as formInt: up to there it is shorter than 8 bytes.
const maxFormInt = 1 << 35

// AppendBinary appends the encoded batch to dst. It implements encoding.BinaryAppender. It fails, with
// dst as it was, for a batch that DecodeBatch would refuse; the error says which limit is broken. It
// allocates nothing but for marks.
func (b *Batch) AppendBinary(dst []byte) ([]byte, error) {
	if err := b.check(); err != nil {
		return dst, err
	}
	start, out := len(dst), dst
	out = append(out, batchVersion)
	out = appendText(out, b.Producer)
	out = binary.AppendUvarint(out, b.Incarnation)
	out = binary.AppendUvarint(out, b.Seq)
	out = binary.AppendUvarint(out, uint64(len(b.Counts)))
	for i := range b.Counts {
		out = appendCount(out, &b.Counts[i])
	}
	out = binary.AppendUvarint(out, uint64(len(b.Dict)))
	for _, s := range b.Dict {
		out = appendText(out, s)
	}
	var ctx contexts
	var before int64
	out = binary.AppendUvarint(out, uint64(len(b.Exposures)))
	for i := range b.Exposures {
		out, before = appendExposure(out, &ctx, before, &b.Exposures[i])
	}
	out = binary.AppendUvarint(out, uint64(len(b.Feedback)))
	for i := range b.Feedback {
		out, before = appendFeedback(out, &ctx, before, &b.Feedback[i])
	}
	out, err := appendMarks(out, b.Marks)
	if err != nil {
		return dst, err
	}
	if len(out)-start > MaxBatchBytes {
		return dst, badBatch("it has %d bytes, at most %d are allowed", len(out)-start, MaxBatchBytes).
			Fix("send fewer events per batch")
	}
	return out, nil
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendCount(dst []byte, c *ArmCount) []byte {
	dst = binary.AppendUvarint(dst, uint64(c.Model))
	dst = binary.AppendUvarint(dst, uint64(c.Release))
	dst = binary.AppendUvarint(dst, uint64(c.Stratum))
	dst = append(dst, c.Arm)
	dst = binary.AppendUvarint(dst, c.Seen)
	return binary.AppendUvarint(dst, c.Dropped)
}

func appendContext(dst []byte, ctx *contexts, x context) []byte {
	if slot := ctx.find(x); slot >= 0 {
		return append(dst, byte(slot))
	}
	ctx.add(x)
	dst = append(dst, tagNew)
	dst = binary.AppendUvarint(dst, uint64(x.model))
	dst = binary.AppendUvarint(dst, uint64(x.release))
	dst = binary.AppendUvarint(dst, uint64(x.stratum))
	return append(dst, x.epoch, x.arm, byte(x.kind))
}

func appendExposure(dst []byte, ctx *contexts, before int64, e *Exposure) ([]byte, int64) {
	dst = appendContext(dst, ctx, context{e.Model, e.Release, e.Stratum, e.Epoch, e.Arm, e.Kind})
	dst = binary.LittleEndian.AppendUint64(dst, e.ID)
	dst = binary.LittleEndian.AppendUint64(dst, e.Unit)
	dst = binary.AppendUvarint(dst, zigzag(e.Time-before))
	dst = binary.AppendUvarint(dst, uint64(e.Latency))
	dst = binary.AppendUvarint(dst, zigzag(int64(e.Latency)-int64(e.TTFB)))
	dst = binary.AppendUvarint(dst, uint64(e.ReqLen))
	dst = binary.AppendUvarint(dst, uint64(e.RespLen))
	dst = binary.AppendUvarint(dst, uint64(e.Status))
	// Bin has 10 bits, Fault 3 and N 5: most events say all three in two bytes.
	dst = binary.AppendUvarint(dst, uint64(e.N)<<13|uint64(e.Fault)<<10|uint64(e.Bin))
	dst = binary.AppendUvarint(dst, uint64(e.Flags))
	if e.N == 0 {
		return dst, e.Time
	}
	var forms uint64
	for i := range e.Values[:e.N] {
		forms |= formOf(&e.Values[i]) << (2 * i)
	}
	dst = binary.AppendUvarint(dst, forms)
	for i := range e.Values[:e.N] {
		dst = appendValue(dst, &e.Values[i], forms>>(2*i)&3)
	}
	return dst, e.Time
}

func appendFeedback(dst []byte, ctx *contexts, before int64, f *Feedback) ([]byte, int64) {
	dst = appendContext(dst, ctx, context{f.Model, f.Release, f.Stratum, f.Epoch, f.Arm, f.Kind})
	dst = binary.LittleEndian.AppendUint64(dst, f.Exposure)
	dst = binary.LittleEndian.AppendUint64(dst, f.Unit)
	dst = binary.AppendUvarint(dst, zigzag(f.Time-before))
	dst = binary.AppendUvarint(dst, zigzag(f.Time-f.Exposed))
	form := formOf(&f.Value)
	dst = binary.AppendUvarint(dst, form<<10|uint64(f.Bin))
	dst = binary.AppendUvarint(dst, uint64(f.Name))
	return appendValue(dst, &f.Value, form), f.Time
}

func formOf(v *Value) uint64 {
	switch v.Kind {
	case ValueNumber:
		// Minus zero has a sign bit, so it fails the comparison of bits and travels as a float.
		if n := uint64(max(0, min(v.Num, maxFormInt))); math.Float64bits(float64(n)) == math.Float64bits(v.Num) {
			return formInt
		}
		return formFloat
	case ValueCategory:
		return formCat
	default:
		return formNone
	}
}

func appendValue(dst []byte, v *Value, form uint64) []byte {
	switch form {
	case formFloat:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.Num))
	case formInt:
		return binary.AppendUvarint(dst, uint64(v.Num))
	case formCat:
		return binary.AppendUvarint(dst, uint64(v.Cat))
	default:
		return dst
	}
}

func appendMarks(dst []byte, marks []Mark) ([]byte, error) {
	dst = binary.AppendUvarint(dst, uint64(len(marks)))
	for _, m := range marks {
		dst = binary.AppendUvarint(dst, uint64(m.Model))
		dst = binary.AppendUvarint(dst, uint64(m.Release))
		var text []byte
		if m.Baseline != nil {
			var err error
			if text, err = json.Marshal(m.Baseline); err != nil {
				return nil, &Error{Kind: KindInvalid, Op: "encode batch", Msg: "a baseline has no JSON form", Cause: err}
			}
		}
		if len(text) > maxBaseline {
			return nil, badBatch("a baseline has %d bytes, at most %d are allowed", len(text), maxBaseline)
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(text))), text...)
	}
	return dst, nil
}

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// resize returns s with length n, keeping its memory and the contents of what it had.
func resize[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return slices.Grow(s[:cap(s)], n-cap(s))[:n]
}

// uvarintLen is the number of bytes of an encoded number.
func uvarintLen(v uint64) int { return max(1, (bits.Len64(v)+6)/7) }
