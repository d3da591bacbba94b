package dialect

import (
	"encoding/binary"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxTensor bounds how many values of a tensor are read, and maxTensors how many tensors: metrics read a
// class, a score or a few of them.
const (
	maxTensor  = 256
	maxTensors = 16
)

// GRPCDocument returns the ModelInferResponse of a gRPC body as the JSON that the same protocol has over
// HTTP, as far as metrics need it: outputs with name, datatype, shape and their first values. So
// json:outputs.0.data.0 means the same for both. nil: it is none, not whole, or compressed.
func GRPCDocument(body []byte) []byte {
	m, ok := grpcMessage(body)
	if !ok {
		return nil
	}
	var outputs, raw [][]byte
	name := ""
	for len(m) > 0 {
		f, n := protoField(m)
		if n <= 0 {
			return nil
		}
		switch {
		case f.bytes == nil:
		case f.number == fieldModelName:
			name = string(f.bytes)
		case f.number == fieldOutputs && len(outputs) < maxTensors:
			outputs = append(outputs, f.bytes)
		case f.number == fieldRawOutputs && len(raw) < maxTensors:
			raw = append(raw, f.bytes)
		}
		m = m[n:]
	}
	doc := []byte(`{"model_name":` + quoted(name) + `,"outputs":[`)
	for i, o := range outputs {
		if i > 0 {
			doc = append(doc, ',')
		}
		var contents []byte
		if i < len(raw) {
			contents = raw[i]
		}
		if doc, ok = appendTensor(doc, o, contents); !ok {
			return nil
		}
	}
	return append(doc, "]}"...)
}

// tensor is an output as far as it is read.
type tensor struct {
	name, kind string
	shape      []int64
	contents   []byte
}

func readTensor(m []byte) (t tensor, ok bool) {
	for len(m) > 0 {
		f, n := protoField(m)
		if n <= 0 {
			return t, false
		}
		switch f.number {
		case fieldTensorName:
			t.name = string(f.bytes)
		case fieldTensorType:
			t.kind = string(f.bytes)
		case fieldTensorShape: // packed, or one by one
			if f.bytes == nil {
				t.shape = appendShape(t.shape, f.bits)
			}
			for rest := f.bytes; len(rest) > 0; {
				v, n := protowire.ConsumeVarint(rest)
				if n <= 0 {
					return t, false
				}
				t.shape, rest = appendShape(t.shape, v), rest[n:]
			}
		case fieldTensorContents:
			t.contents = f.bytes
		}
		m = m[n:]
	}
	return t, true
}

func appendShape(shape []int64, v uint64) []int64 {
	if len(shape) < maxTensors {
		shape = append(shape, int64(v))
	}
	return shape
}

// appendTensor appends a tensor as JSON. raw holds its values if the server sends them outside of it.
func appendTensor(doc, m, raw []byte) ([]byte, bool) {
	t, ok := readTensor(m)
	if !ok {
		return doc, false
	}
	doc = append(doc, `{"name":`+quoted(t.name)+`,"datatype":`+quoted(t.kind)+`,"shape":[`...)
	for i, n := range t.shape {
		if i > 0 {
			doc = append(doc, ',')
		}
		doc = strconv.AppendInt(doc, n, 10)
	}
	doc = append(doc, `],"data":[`...)
	if raw != nil {
		doc = appendRaw(doc, t.kind, raw)
	} else if doc, ok = appendContents(doc, t.contents); !ok {
		return doc, false
	}
	return append(doc, "]}"...), true
}

// values appends a comma-separated list, at most maxTensor long.
type values struct {
	doc []byte
	n   int
}

func (v *values) next() bool {
	if v.n++; v.n > maxTensor {
		return false
	}
	if v.n > 1 {
		v.doc = append(v.doc, ',')
	}
	return true
}

func (v *values) float(f float64, size int) {
	if v.next() {
		if math.IsNaN(f) || math.IsInf(f, 0) { // JSON has none
			v.doc = append(v.doc, "null"...)
			return
		}
		v.doc = strconv.AppendFloat(v.doc, f, 'g', -1, size)
	}
}

func (v *values) int(n int64) {
	if v.next() {
		v.doc = strconv.AppendInt(v.doc, n, 10)
	}
}

func (v *values) uint(n uint64) {
	if v.next() {
		v.doc = strconv.AppendUint(v.doc, n, 10)
	}
}

func (v *values) bool(b bool) {
	if v.next() {
		v.doc = strconv.AppendBool(v.doc, b)
	}
}

func (v *values) text(b []byte) {
	if v.next() {
		v.doc = append(v.doc, quoted(string(b))...)
	}
}

// appendContents appends the values of an InferTensorContents: bool 1, int 2, int64 3, uint 4, uint64 5,
// fp32 6, fp64 7, bytes 8; all but the last packed or one by one.
func appendContents(doc, m []byte) ([]byte, bool) {
	v := values{doc: doc}
	for len(m) > 0 {
		f, n := protoField(m)
		if n <= 0 {
			return doc, false
		}
		switch {
		case f.number == 8 && f.bytes != nil:
			v.text(f.bytes)
		case f.bytes == nil:
			v.scalar(f.number, f.bits)
		case !v.packed(f.number, f.bytes):
			return doc, false
		}
		m = m[n:]
	}
	return v.doc, true
}

func (v *values) scalar(number protowire.Number, bits uint64) {
	switch number {
	case 1:
		v.bool(bits != 0)
	case 2, 3:
		v.int(int64(bits))
	case 4, 5:
		v.uint(bits)
	case 6:
		v.float(float64(math.Float32frombits(uint32(bits))), 32)
	case 7:
		v.float(math.Float64frombits(bits), 64)
	}
}

func (v *values) packed(number protowire.Number, b []byte) bool {
	for len(b) > 0 && v.n <= maxTensor {
		var bits uint64
		var n int
		switch number {
		case 6:
			var u uint32
			u, n = protowire.ConsumeFixed32(b)
			bits = uint64(u)
		case 7:
			bits, n = protowire.ConsumeFixed64(b)
		default:
			bits, n = protowire.ConsumeVarint(b)
		}
		if n <= 0 {
			return false
		}
		v.scalar(number, bits)
		b = b[n:]
	}
	return true
}

// appendRaw appends values in the protocol's raw form: little-endian and packed, BYTES with four bytes of
// length before each.
func appendRaw(doc []byte, kind string, b []byte) []byte {
	v := values{doc: doc}
	size := map[string]int{
		"BOOL": 1, "UINT8": 1, "INT8": 1, "UINT16": 2, "INT16": 2, "UINT32": 4, "INT32": 4, "UINT64": 8, "INT64": 8, "FP32": 4, "FP64": 8, "BYTES": 4,
	}[kind]
	if size == 0 { // FP16, BF16: no number of Go's
		return doc
	}
	for len(b) >= size && v.n <= maxTensor {
		var word [8]byte
		copy(word[:], b[:size])
		bits := binary.LittleEndian.Uint64(word[:])
		b = b[size:]
		switch kind {
		case "BOOL":
			v.bool(bits != 0)
		case "INT8":
			v.int(int64(int8(bits)))
		case "INT16":
			v.int(int64(int16(bits)))
		case "INT32":
			v.int(int64(int32(bits)))
		case "INT64":
			v.int(int64(bits))
		case "FP32":
			v.float(float64(math.Float32frombits(uint32(bits))), 32)
		case "FP64":
			v.float(math.Float64frombits(bits), 64)
		case "BYTES":
			if bits > uint64(len(b)) {
				return v.doc
			}
			v.text(b[:bits])
			b = b[bits:]
		default:
			v.uint(bits)
		}
	}
	return v.doc
}
