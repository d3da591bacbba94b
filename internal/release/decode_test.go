package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// sample has a field of every type that the decoder knows.
type sample struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Text       string           `json:"text,omitempty"`
	Flag       bool             `json:"flag,omitempty"`
	Count      int              `json:"count,omitempty"`
	Small      int32            `json:"small,omitempty"`
	Ratio      float64          `json:"ratio,omitempty"`
	Share      Share            `json:"share,omitzero"`
	Role       Role             `json:"role,omitempty"`
	Any        any              `json:"any,omitempty"`
	Raw        json.RawMessage  `json:"raw,omitempty"`
	List       []Share          `json:"list,omitempty"`
	Map        map[string]int64 `json:"map,omitempty"`
	Inner      *inner           `json:"inner,omitempty"`
	Ignored    int              `json:"-"`
}

type inner struct {
	Must string `json:"must"`
}

const sampleHead = "apiVersion: sluice.dev/v1alpha1\nkind: Suite\n"

func TestDecodeStrict(t *testing.T) {
	got, at, faults := DecodeStrict[sample]("s.yaml", []byte(sampleHead+`
text: |
  two
  lines
flag: true
count: -3
small: 7
ratio: 0.5
share: 12.5%
role: watch
any: {a: [1, 2.50, true, null, "x"], "b.c": {d: e}}
raw: {"k": [1, {"z": 0.10}]}
list: [1%, 2%]
map: {x: 1, "y z": 2}
inner:
  must: "yes"
`), KindSuite)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	want := &sample{
		APIVersion: APIVersion, Kind: KindSuite, Text: "two\nlines\n", Flag: true, Count: -3, Small: 7, Ratio: 0.5,
		Share: 125_000, Role: Watch,
		Any: map[string]any{
			"a":   []any{json.Number("1"), json.Number("2.50"), true, nil, "x"},
			"b.c": map[string]any{"d": "e"},
		},
		Raw:  json.RawMessage(`{"k":[1,{"z":0.10}]}`),
		List: []Share{10_000, 20_000}, Map: map[string]int64{"x": 1, "y z": 2}, Inner: &inner{Must: "yes"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n%+v, want\n%+v", got, want)
	}
	for path, pos := range map[string]Pos{
		"text": {4, 7}, "share": {11, 8}, "any.a[3]": {13, 26}, "list[1]": {15, 12}, "inner.must": {18, 9}, "inner": {17, 1}, "inner.may": {17, 1},
		`any["b.c"].d`: {13, 49}, "list[9]": {15, 7}, "nowhere": {1, 1}, `map["y z"]`: {16, 20},
	} {
		if got := at.At(path); got != pos {
			t.Errorf("%s is at %v, want %v", path, got, pos)
		}
	}
	if !at.Written("inner.must") || at.Written("inner.may") {
		t.Error("Written is wrong")
	}
}

func TestDecodeStrictFaults(t *testing.T) {
	for text, want := range map[string]string{
		"text: 1.5":                          `text: it must be text, not a number (put it in quotes: "1.5")`,
		"text: {a: b}":                       "text: it must be text, not a mapping (write text)",
		"text: " + strings.Repeat("x", 17e3): "text: it has 17000 bytes, at most 16384 are read",
		"flag: yes":                          "flag: it must be true or false, not text",
		"count: 1.5":                         `count: "1.5" is not a whole number`,
		"count: 0x10":                        `count: "0x10" is not a whole number`,
		"count: [1]":                         "count: a list is not a whole number",
		"small: 3000000000":                  `small: "3000000000" is not a whole number`,
		"ratio: 10%":                         `ratio: "10%" is not a number`,
		"ratio: .inf":                        "ratio:",
		"share: [1%]":                        "share: it must be a value like 20%, not a list",
		"role: [watch]":                      "role: it must be a word, not a list",
		"role: Watch":                        `did you mean "watch"?`,
		"any: {a: 1, a: 2}":                  "any.a: it is given twice",
		"any: .nan":                          "any:",
		"raw: [0x10]":                        `raw[0]: "0x10" is not a number of JSON`,
		"list: 1%":                           "list: it must be a list, not text (write [20%])",
		"list: [1%, 200%]":                   "list[1]: \"200%\" is not a valid share",
		"map: [1]":                           "map: it must be a mapping, not a list",
		"map: {a: b}":                        `map.a: "b" is not a whole number`,
		"inner:":                             "inner: it is empty (write {...} or remove the field)",
		"inner: {}":                          "inner.must: it is missing (add must, like must: text)",
		"Ignored: 1":                         "Ignored: there is no such field",
		"? [a]\n: b":                         "",
	} {
		_, _, faults := DecodeStrict[sample]("s.yaml", []byte(sampleHead+text+"\n"), KindSuite)
		if len(faults) == 0 || !strings.Contains(faults.Error(), want) {
			t.Errorf("%.60s: faults\n%v\nwant one with %s", text, faults, want)
		}
	}
	list := "list: [" + strings.Repeat("1%,", maxListLen) + "1%]"
	if _, _, faults := DecodeStrict[sample]("s.yaml", []byte(sampleHead+list), KindSuite); !strings.Contains(faults.Error(), "at most 10000") {
		t.Errorf("%.200v", faults)
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("disk full")
	for _, tt := range []struct {
		err  error
		kind ErrorKind
		text string
	}{
		{Invalid("read file", "line %d", 3).Fix("remove %q", "it"), KindInvalid, `read file: line 3 (remove "it")`},
		{NotFound("", "no model"), KindNotFound, "no model"},
		{Conflict("promote", "nothing runs"), KindConflict, "promote: nothing runs"},
		{Denied("abort", "viewers may not"), KindDenied, "abort: viewers may not"},
		{Unavailable("append", cause, "try again"), KindUnavailable, "append: try again: disk full"},
		{Internal("fold", cause, "batch %d", 7), KindInternal, "fold: batch 7: disk full"},
		{fmt.Errorf("outside: %w", Denied("x", "y")), KindDenied, "outside: x: y"},
		{cause, KindInternal, "disk full"},
	} {
		if KindOf(tt.err) != tt.kind || tt.err.Error() != tt.text {
			t.Errorf("%v of kind %s, want %s of kind %s", tt.err, KindOf(tt.err), tt.text, tt.kind)
		}
	}
	if !errors.Is(Internal("", cause, ""), cause) {
		t.Error("the cause is lost")
	}
	base := Invalid("", "x")
	if base.Fix("y"); base.Remedy != "" {
		t.Error("Fix changed its receiver")
	}
}

func TestEvents(t *testing.T) {
	if Partition(0) != 0 || Partition(63) != 0 || Partition(64) != 1 || Partition(Bins-1) != Partitions-1 {
		t.Error("partitions are not runs of bins")
	}
	for f, want := range map[Fault]bool{FaultNone: false, FaultClient: false, FaultUpstream: true, FaultTimeout: true, FaultGateway: false} {
		if e := (Exposure{Fault: f}); e.Failed() != want {
			t.Errorf("fault %d counts as failed: %v", f, !want)
		}
	}
}

func TestFaults(t *testing.T) {
	var none Faults
	if none.Err() != nil || none.Error() != "" {
		t.Error("no faults are an error")
	}
	f := Faults{
		{File: "b.yaml", Line: 9, Col: 2, Field: "x", Msg: "late"},
		{File: "b.yaml", Line: 2, Col: 7, Msg: "early", Remedy: "fix it"},
		{File: "b.yaml", Line: 2, Col: 3, Msg: "doubt", Warning: true},
	}
	want := "b.yaml:2:3: warning: doubt\nb.yaml:2:7: early (fix it)\nb.yaml:9:2: x: late"
	if got := f.Sorted().Error(); got != want {
		t.Errorf("%s", got)
	}
	if got := f.Sorted().Err().Error(); got != "read b.yaml: 2 faults: b.yaml:2:7: early (fix it)\nb.yaml:9:2: x: late" {
		t.Errorf("%s", got)
	}
	var inside Faults
	if !errors.As(f.Err(), &inside) || len(inside) != 2 {
		t.Errorf("the error holds %v", inside)
	}
	if f[2:].Err() != nil || f[2:3].Warnings() == nil {
		t.Error("a warning is an error, or lost")
	}
}
