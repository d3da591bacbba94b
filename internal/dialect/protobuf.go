package dialect

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of the Open Inference Protocol's messages (kserve/open-inference-protocol, grpc service).
const (
	fieldModelName = 1 // ModelInferRequest, ModelInferResponse

	fieldOutputs    = 5 // ModelInferResponse
	fieldRawOutputs = 6

	fieldTensorName     = 1 // InferOutputTensor
	fieldTensorType     = 2
	fieldTensorShape    = 3
	fieldTensorContents = 5
)

// grpcHead is a gRPC message's prefix: a byte that says whether it is compressed, four of length.
const grpcHead = 5

// grpcMessage returns the first message of a gRPC body, if it is whole and not compressed.
func grpcMessage(body []byte) ([]byte, bool) {
	if len(body) < grpcHead || body[0] != 0 {
		return nil, false
	}
	n := binary.BigEndian.Uint32(body[1:])
	if uint64(n) > uint64(len(body)-grpcHead) {
		return nil, false
	}
	return body[grpcHead : grpcHead+int(n)], true
}

// field is one field of a protobuf message.
type field struct {
	number protowire.Number
	bytes  []byte // of length-delimited fields, not nil
	bits   uint64 // of the others
	kind   protowire.Type
}

// protoField reads the field that m begins with and returns its length, 0 or less if it is malformed. Groups,
// which are long out of use and nest, are refused.
func protoField(m []byte) (field, int) {
	number, kind, n := protowire.ConsumeTag(m)
	if n < 0 {
		return field{}, n
	}
	f := field{number: number, kind: kind}
	size := -1
	switch kind {
	case protowire.VarintType:
		f.bits, size = protowire.ConsumeVarint(m[n:])
	case protowire.Fixed32Type:
		var v uint32
		v, size = protowire.ConsumeFixed32(m[n:])
		f.bits = uint64(v)
	case protowire.Fixed64Type:
		f.bits, size = protowire.ConsumeFixed64(m[n:])
	case protowire.BytesType:
		f.bytes, size = protowire.ConsumeBytes(m[n:])
		if size >= 0 && f.bytes == nil {
			f.bytes = []byte{}
		}
	case protowire.StartGroupType, protowire.EndGroupType:
	}
	if size < 0 {
		return field{}, size
	}
	return f, n + size
}

func appendProtoString(dst []byte, number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, number, protowire.BytesType), s)
}

// grpcModel returns the model that a ModelInferRequest names.
func grpcModel(body []byte) (model string) {
	m, ok := grpcMessage(body)
	for ok && len(m) > 0 {
		f, n := protoField(m)
		if n <= 0 {
			return model
		}
		if f.number == fieldModelName && f.bytes != nil {
			model = string(f.bytes)
		}
		m = m[n:]
	}
	return model
}
