package clients

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/open-feature/go-sdk-contrib/providers/ofrep"
	"github.com/open-feature/go-sdk/openfeature"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

func TestOpenFeature(t *testing.T) {
	w := start(t)
	if err := openfeature.SetProviderAndWait(ofrep.NewProvider(w.gateway + "/-/sluice")); err != nil {
		t.Fatal(err)
	}
	client := openfeature.NewDefaultClient()
	user := openfeature.NewEvaluationContext("go", nil)
	got, err := client.ObjectValueDetails(t.Context(), "chat", nil, user)
	if err != nil || got.Variant != "live" {
		t.Errorf("%+v, %v", got, err)
	}
	if v, ok := got.Value.(map[string]any); !ok || v["version"] != "v1" {
		t.Errorf("the value is %v", got.Value)
	}
	none, err := client.ObjectValueDetails(t.Context(), "no-such-model", "mine", user)
	if err == nil || none.ErrorCode != openfeature.FlagNotFoundCode || none.Value != "mine" {
		t.Errorf("%+v, %v", none, err)
	}
}

func TestOpenInferenceHTTP(t *testing.T) {
	w := start(t)
	resp, err := http.Post(w.gateway+"/v2/models/scorer/infer", "application/json", strings.NewReader(`{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || !strings.Contains(string(body), `"model_name":"scorer-2"`) || resp.Header.Get("X-Sluice-Id") == "" {
		t.Errorf("%s, %v", body, err)
	}
}

// The part of the Open Inference Protocol's gRPC service that is used here: names, numbers and types of fields as
// the protocol has them.
const oipFile = `
name: "oip.proto" package: "inference" syntax: "proto3"
message_type { name: "ModelInferRequest"
  field { name: "model_name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "id" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "InferTensorContents"
  field { name: "fp32_contents" number: 6 type: TYPE_FLOAT label: LABEL_REPEATED } }
message_type { name: "InferOutputTensor"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "datatype" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "contents" number: 5 type: TYPE_MESSAGE type_name: ".inference.InferTensorContents" label: LABEL_OPTIONAL } }
message_type { name: "ModelInferResponse"
  field { name: "model_name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "id" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "outputs" number: 5 type: TYPE_MESSAGE type_name: ".inference.InferOutputTensor" label: LABEL_REPEATED } }
`

var oipTypes = func() protoreflect.FileDescriptor {
	var d descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(oipFile), &d); err != nil {
		panic(err)
	}
	f, err := protodesc.NewFile(&d, nil)
	if err != nil {
		panic(err)
	}
	return f
}()

func oipMessage(name protoreflect.Name) *dynamicpb.Message {
	return dynamicpb.NewMessage(oipTypes.Messages().ByName(name))
}

func set(m *dynamicpb.Message, name protoreflect.Name, v any) {
	m.Set(m.Descriptor().Fields().ByName(name), protoreflect.ValueOf(v))
}

func get(m *dynamicpb.Message, name protoreflect.Name) protoreflect.Value {
	return m.Get(m.Descriptor().Fields().ByName(name))
}

// inference is a gRPC server of the Open Inference Protocol.
type inference struct {
	address string
	stop    func()
}

func newInference() *inference {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "inference.GRPCInferenceService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "ModelInfer", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			q := oipMessage("ModelInferRequest")
			if err := decode(q); err != nil {
				return nil, err
			}
			if id := get(q, "id").String(); id == "bad" {
				return nil, status.Error(codes.InvalidArgument, "bad is not a request")
			}
			a := oipMessage("ModelInferResponse")
			set(a, "model_name", get(q, "model_name").String())
			set(a, "id", get(q, "id").String())
			out := a.Mutable(a.Descriptor().Fields().ByName("outputs")).List()
			tensor := out.AppendMutable().Message()
			fields := tensor.Descriptor().Fields()
			tensor.Set(fields.ByName("name"), protoreflect.ValueOf("score"))
			contents := tensor.Mutable(fields.ByName("contents")).Message()
			contents.Mutable(contents.Descriptor().Fields().ByName("fp32_contents")).List().Append(protoreflect.ValueOf(float32(0.5)))
			return a, nil
		}}},
	}, nil)
	go func() { _ = s.Serve(l) }()
	return &inference{l.Addr().String(), s.Stop}
}

func TestOpenInferenceGRPC(t *testing.T) {
	w := start(t)
	conn, err := grpc.NewClient(strings.TrimPrefix(w.gateway, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ask := func(id string) (*dynamicpb.Message, metadata.MD, error) {
		q, a := oipMessage("ModelInferRequest"), oipMessage("ModelInferResponse")
		set(q, "model_name", "scorer")
		set(q, "id", id)
		var head metadata.MD
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-sluice-user", "go")
		err := conn.Invoke(ctx, "/inference.GRPCInferenceService/ModelInfer", q, a, grpc.Header(&head))
		return a, head, err
	}
	a, head, err := ask("one")
	if err != nil {
		t.Fatal(err)
	}
	if get(a, "model_name").String() != "scorer-2" || get(a, "id").String() != "one" || get(a, "outputs").List().Len() != 1 || len(head.Get("x-sluice-id")) != 1 {
		t.Errorf("%v, %v", a, head)
	}
	if _, _, err := ask("bad"); status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != "bad is not a request" {
		t.Errorf("%v", err)
	}
}
