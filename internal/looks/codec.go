package looks

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// header describes the columns that follow it.
type header struct {
	Looks   int      `json:"looks"`
	Columns []column `json:"columns"`
	States  []string `json:"states"`
	Units   []string `json:"units"`
}

type column struct {
	Metric string `json:"metric"`
	Arm    uint8  `json:"arm"`
}

const (
	maxEncoded = 64 << 20 // bytes that one chunk may inflate to
	maxLooks   = 1 << 16  // in one chunk, many times ChunkLen
	maxNames   = 255      // states and units: an index is one byte, 0 says that there is no point
)

// Encode returns the looks as bytes. It fails only for more than 255 different states or units.
func Encode(all []Look) ([]byte, error) {
	e := encoder{columns: map[column]int{}, states: map[string]byte{}, units: map[string]byte{}}
	e.head.Looks = len(all)
	for i := range all {
		for j := range all[i].Points {
			e.name(&all[i].Points[j])
		}
	}
	if len(e.head.States) > maxNames || len(e.head.Units) > maxNames {
		return nil, errors.New("looks: too many states or units")
	}
	head, err := json.Marshal(e.head)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e.w, err = flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	e.raw = binary.AppendUvarint(nil, uint64(len(head)))
	e.raw = append(e.raw, head...)
	e.body(all)
	if _, err := e.w.Write(e.raw); err != nil {
		return nil, err
	}
	if err := e.w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

type encoder struct {
	head    header
	columns map[column]int
	states  map[string]byte
	units   map[string]byte
	raw     []byte
	w       *flate.Writer
}

func (e *encoder) name(p *Point) {
	c := column{p.Metric, p.Arm}
	if _, ok := e.columns[c]; !ok {
		e.columns[c] = len(e.head.Columns)
		e.head.Columns = append(e.head.Columns, c)
	}
	if _, ok := e.states[p.State]; !ok {
		e.head.States = append(e.head.States, p.State)
		e.states[p.State] = byte(len(e.head.States)) //nolint:gosec // more than 255 are refused by Encode
	}
	if _, ok := e.units[p.Unit]; !ok {
		e.head.Units = append(e.head.Units, p.Unit)
		e.units[p.Unit] = byte(len(e.head.Units)) //nolint:gosec // as above
	}
}

func (e *encoder) body(all []Look) {
	e.integers(len(all), func(i int) uint64 { return uint64(all[i].Time) }) //nolint:gosec // as bits, there and back
	e.integers(len(all), func(i int) uint64 { return all[i].Live })
	e.integers(len(all), func(i int) uint64 { return all[i].Candidate })
	none := Point{}
	grid := make([][]*Point, len(e.head.Columns))
	for c := range grid {
		grid[c] = make([]*Point, len(all))
		for i := range grid[c] {
			grid[c][i] = &none
		}
	}
	for i := range all {
		for j := range all[i].Points {
			p := &all[i].Points[j]
			grid[e.columns[column{p.Metric, p.Arm}]][i] = p
		}
	}
	for _, points := range grid {
		for _, p := range points {
			e.raw = append(e.raw, e.states[p.State])
		}
		for _, p := range points {
			e.raw = append(e.raw, e.units[p.Unit])
		}
		for _, field := range numbers {
			e.floats(points, field)
		}
		for _, field := range counts {
			e.integers(len(points), func(i int) uint64 { return *field(points[i]) })
		}
	}
}

// numbers and counts list a point's fields in their stored order, which only grows at the end.
var (
	numbers = []func(*Point) *float64{
		func(p *Point) *float64 { return &p.Estimate },
		func(p *Point) *float64 { return &p.Lo },
		func(p *Point) *float64 { return &p.Hi },
		func(p *Point) *float64 { return &p.Live },
		func(p *Point) *float64 { return &p.Candidate },
		func(p *Point) *float64 { return &p.LnHarm },
		func(p *Point) *float64 { return &p.LnNoWorse },
		func(p *Point) *float64 { return &p.LnBetter },
	}
	counts = []func(*Point) *uint64{
		func(p *Point) *uint64 { return &p.LiveN },
		func(p *Point) *uint64 { return &p.CandidateN },
	}
)

func (e *encoder) integers(n int, at func(int) uint64) {
	var last uint64
	for i := range n {
		v := at(i)
		e.raw = binary.AppendVarint(e.raw, int64(v-last)) //nolint:gosec // wraps around, there and back
		last = v
	}
}

// floats writes the four planes of bytes: neighbours share their upper bytes, which deflates well.
func (e *encoder) floats(points []*Point, field func(*Point) *float64) {
	for shift := 0; shift < 32; shift += 8 {
		for _, p := range points {
			e.raw = append(e.raw, byte(math.Float32bits(float32(*field(p)))>>shift)) //nolint:gosec // one plane
		}
	}
}

// Decode reads what Encode wrote. Damaged bytes are an error, never a panic.
func Decode(data []byte) ([]Look, error) {
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data)), maxEncoded))
	if err != nil {
		return nil, fmt.Errorf("looks: inflate: %w", err)
	}
	d := decoder{raw: raw}
	n, size := binary.Uvarint(raw)
	if size <= 0 || n > uint64(len(raw)-size) {
		return nil, errors.New("looks: the header is cut off")
	}
	var h header
	if err := json.Unmarshal(raw[size:size+int(n)], &h); err != nil { //nolint:gosec // bounded by the line above
		return nil, fmt.Errorf("looks: read the header: %w", err)
	}
	d.raw = raw[size+int(n):] //nolint:gosec // as above
	if h.Looks < 0 || h.Looks > maxLooks {
		return nil, fmt.Errorf("looks: the header counts %d looks", h.Looks)
	}
	return d.body(h)
}

type decoder struct {
	raw []byte
	err error
}

func (d *decoder) body(h header) ([]Look, error) {
	out := make([]Look, h.Looks)
	d.integers(len(out), func(i int, v uint64) { out[i].Time = int64(v) }) //nolint:gosec // as bits
	d.integers(len(out), func(i int, v uint64) { out[i].Live = v })
	d.integers(len(out), func(i int, v uint64) { out[i].Candidate = v })
	points := make([]Point, h.Looks)
	for _, c := range h.Columns {
		clear(points)
		states, units := d.take(len(points)), d.take(len(points))
		for i := range states {
			points[i] = Point{Metric: c.Metric, Arm: c.Arm, State: d.named(h.States, states[i]), Unit: d.named(h.Units, units[i])}
		}
		for _, field := range numbers {
			d.floats(points, field)
		}
		for _, field := range counts {
			d.integers(len(points), func(i int, v uint64) { *field(&points[i]) = v })
		}
		if d.err != nil {
			return nil, d.err
		}
		for i := range states {
			if states[i] != 0 {
				out[i].Points = append(out[i].Points, points[i])
			}
		}
	}
	return out, d.err
}

func (d *decoder) named(names []string, i byte) string {
	if i == 0 {
		return ""
	}
	if int(i) > len(names) {
		d.err = errors.New("looks: an index leads outside its table")
		return ""
	}
	return names[i-1]
}

func (d *decoder) take(n int) []byte {
	if n > len(d.raw) {
		d.err = errors.New("looks: the columns are cut off")
		return nil
	}
	out := d.raw[:n]
	d.raw = d.raw[n:]
	return out
}

func (d *decoder) integers(n int, set func(int, uint64)) {
	var last uint64
	for i := range n {
		diff, size := binary.Varint(d.raw)
		if size <= 0 {
			d.err = errors.New("looks: the columns are cut off")
			return
		}
		d.raw = d.raw[size:]
		last += uint64(diff) //nolint:gosec // wraps around, there and back
		set(i, last)
	}
}

func (d *decoder) floats(points []Point, field func(*Point) *float64) {
	planes := d.take(4 * len(points))
	if planes == nil {
		return
	}
	n := len(points)
	for i := range points {
		bits := uint32(planes[i]) | uint32(planes[n+i])<<8 | uint32(planes[2*n+i])<<16 | uint32(planes[3*n+i])<<24
		*field(&points[i]) = float64(math.Float32frombits(bits))
	}
}

// EncodeHead returns a head as bytes: its count and latest time, then each level's tail.
func EncodeHead(h *Head) ([]byte, error) {
	out := binary.AppendUvarint(nil, h.Count)
	out = binary.AppendVarint(out, h.Last)
	for _, tail := range h.Tails {
		data, err := Encode(tail)
		if err != nil {
			return nil, err
		}
		out = binary.AppendUvarint(out, uint64(len(data)))
		out = append(out, data...)
	}
	return out, nil
}

// DecodeHead reads what EncodeHead wrote.
func DecodeHead(data []byte) (*Head, error) {
	h := &Head{}
	cut := errors.New("looks: the head is cut off")
	count, size := binary.Uvarint(data)
	if size <= 0 {
		return nil, cut
	}
	h.Count, data = count, data[size:]
	if h.Last, size = binary.Varint(data); size <= 0 {
		return nil, cut
	}
	data = data[size:]
	for level := range Levels {
		n, size := binary.Uvarint(data)
		if size <= 0 || n > uint64(len(data)-size) {
			return nil, cut
		}
		tail, err := Decode(data[size : size+int(n)]) //nolint:gosec // bounded by the line above
		if err != nil {
			return nil, err
		}
		if uint64(len(tail)) != h.Len(level)%ChunkLen {
			return nil, fmt.Errorf("looks: level %d has a tail of %d, want %d", level, len(tail), h.Len(level)%ChunkLen)
		}
		h.Tails[level], data = tail, data[size+int(n):] //nolint:gosec // as above
	}
	return h, nil
}
