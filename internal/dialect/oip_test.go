package dialect

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"sluice.dev/sluice/internal/release"
)

// output is an InferOutputTensor with the contents given as fields of InferTensorContents.
func output(name, kind string, shape []uint64, contents string) string {
	var dims []byte
	for _, n := range shape {
		dims = protowire.AppendVarint(dims, n)
	}
	m := protoText(fieldTensorName, name) + protoText(fieldTensorType, kind) + protoText(fieldTensorShape, string(dims))
	if contents != "" {
		m += protoText(fieldTensorContents, contents)
	}
	return protoText(fieldOutputs, m)
}

func packed32(values ...float32) string {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return string(b)
}

// An answer over gRPC is read by the paths that it would have over HTTP.
func TestGRPCDocument(t *testing.T) {
	var ints, times []byte
	for _, n := range []int64{-1, 7} {
		ints = protowire.AppendVarint(ints, uint64(n))
	}
	times = protowire.AppendFixed64(protowire.AppendTag(times, 7, protowire.Fixed64Type), math.Float64bits(0.1))
	for _, c := range []struct {
		name, message string
		want          map[string]string
	}{
		{"floats", protoText(1, "m") + output("score", "FP32", []uint64{1, 2}, protoText(6, packed32(0.5, float32(math.NaN())))), map[string]string{
			"model_name": "m", "outputs.0.name": "score", "outputs.0.datatype": "FP32", "outputs.0.shape.1": "2", "outputs.0.data.0": "0.5", "outputs.0.data.1": "",
		}},
		{"several", output("a", "INT64", nil, protoText(3, string(ints))) + output("b", "BYTES", nil, protoText(8, "approve")+protoText(8, "de\"cline")), map[string]string{
			"outputs.0.data.0": "-1", "outputs.0.data.1": "7", "outputs.1.data.0": "approve", "outputs.1.data.1": `de"cline`,
		}},
		{"not packed", output("a", "FP64", nil, string(times)), map[string]string{"outputs.0.data.0": "0.1"}},
		{"raw", output("a", "FP32", nil, "") + output("b", "BYTES", nil, "") + protoText(6, packed32(1.5)) + protoText(6, "\x03\x00\x00\x00yes\x00\x00\x00\x00"), map[string]string{
			"outputs.0.data.0": "1.5", "outputs.1.data.0": "yes", "outputs.1.data.1": "",
		}},
		{"raw of all kinds", output("a", "INT8", nil, "") + output("b", "BOOL", nil, "") + output("c", "UINT16", nil, "") + protoText(6, "\xff") + protoText(6, "\x01\x00") + protoText(6, "\xff\xff"), map[string]string{
			"outputs.0.data.0": "-1", "outputs.1.data.0": "true", "outputs.1.data.1": "false", "outputs.2.data.0": "65535",
		}},
	} {
		doc := GRPCDocument(frame([]byte(c.message)))
		if !json.Valid(doc) {
			t.Errorf("%s: %q is no JSON", c.name, doc)
		}
		for path, want := range c.want {
			if got := release.PeekJSON(doc, path, false); got.Text != want {
				t.Errorf("%s: %s is %q, want %q in %s", c.name, path, got.Text, want, doc)
			}
		}
	}
	many := GRPCDocument(frame([]byte(output("a", "UINT8", nil, "") + protoText(6, string(make([]byte, 1<<20))))))
	if len(many) > 4*maxTensor || !json.Valid(many) {
		t.Errorf("a tensor of a million values becomes %d bytes", len(many))
	}
	for _, bad := range [][]byte{nil, {0, 0, 0, 0, 9}, {1, 0, 0, 0, 0}, frame([]byte{0xff}), frame([]byte(protoText(fieldOutputs, "\xff")))} {
		if doc := GRPCDocument(bad); doc != nil {
			t.Errorf("%q is %s", bad, doc)
		}
	}
}
