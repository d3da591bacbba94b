package suite

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// expectOf reads an Expect as a case of a file has it.
func expectOf(t *testing.T, text string) *expectation {
	t.Helper()
	return load(t, "  functional:\n    - name: a\n      request: {body: 1}\n      expect: "+text+"\n").functional[0].expect
}

const answered = `{"decision":"approve","p":0.25,"n":3,"big":9007199254740993,"list":[1,2,3],"items":[{"id":"a"},{"id":"b"}],"none":null,"yes":true,"o":{"a":1,"b":[2.0]},"text":"héllo"}`

// TestExpectations: each passes on the left answer and fails, in words, as the right column says.
func TestExpectations(t *testing.T) {
	for _, c := range []struct{ expect, fault string }{
		{"{}", ""},
		{"{status: 200}", ""},
		{"{status: 2xx}", ""},
		{"{status: [404, 2xx]}", ""},
		{"{status: 404}", "status 200, want 404"},
		{"{status: [404, 5xx]}", "status 200, want 404 or 5xx"},
		{"{headers: {content-type: {regex: json$}}}", ""},
		{"{headers: {Content-Type: {equals: text/plain}}}", `header Content-Type is "application/json", want "text/plain"`},
		{"{headers: {X-None: {contains: [x]}}}", `header X-None is "", want "x" in it`},
		{"{body: {contains: [approve, p]}}", ""},
		{"{body: {excludes: [approve]}}", `the body has "approve" in it, which it must not`},
		{"{body: {regex: ^x}}", "does not match ^x"},
		{"{body: {similar: {to: x, atLeast: 0.5}}}", "similar by 0.01, want at least 0.5"},
		{"{json: [{path: text, similar: {to: hello, atLeast: 0.8}}]}", ""},
		{"{json: [{path: text, similar: {to: help, atLeast: 0.8}}]}", "similar by 0.40, want at least 0.8"},
		{"{json: [{path: decision, equals: approve}]}", ""},
		{"{json: [{path: decision, equals: deny}]}", `decision is "approve", want "deny"`},
		{"{json: [{path: none, equals: null}]}", ""},
		{"{json: [{path: p, equals: null}]}", "p is 0.25, want null"},
		{"{json: [{path: yes, equals: true}]}", ""},
		{"{json: [{path: yes, equals: 'true'}]}", `yes is true, want "true"`},
		{"{json: [{path: n, equals: 3.0}]}", ""},
		{"{json: [{path: n, equals: '3'}]}", `n is 3, want "3"`},
		{"{json: [{path: big, equals: 9007199254740993}]}", ""},
		{"{json: [{path: big, equals: 9007199254740992}]}", "big is 9007199254740993, want 9007199254740992"},
		{"{json: [{path: p, equals: 0.26, tolerance: 0.02}]}", ""},
		{"{json: [{path: p, equals: 0.28, tolerance: 0.02}]}", "p is 0.25, want 0.28 within 0.02"},
		{"{json: [{path: o, equals: {b: [2], a: 1}}]}", ""},
		{"{json: [{path: o, equals: {a: 1}}]}", "o is"},
		{"{json: [{path: o, equals: {a: 1, c: [2]}}]}", "o is"},
		{"{json: [{path: list, equals: [1, 2]}]}", "list is [1,2,3], want [1,2]"},
		{"{json: [{path: list, equals: text}]}", "list is"},
		{"{json: [{path: text, equals: [1]}]}", "text is"},
		{"{json: [{path: decision, in: [approve, deny]}]}", ""},
		{"{json: [{path: decision, in: [yes, no]}]}", `decision is "approve", want one of ["yes","no"]`},
		{"{json: [{path: p, min: 0, max: 1}]}", ""},
		{"{json: [{path: p, min: 0.3}]}", "p is 0.25, want at least 0.3"},
		{"{json: [{path: p, max: 0.2}]}", "p is 0.25, want at most 0.2"},
		{"{json: [{path: decision, max: 0.2}]}", `decision is "approve", want a number`},
		{"{json: [{path: n, type: integer}, {path: p, type: number}, {path: o, type: object}, {path: list, type: array}, {path: none, type: 'null'}, {path: yes, type: boolean}, {path: text, type: string}]}", ""},
		{"{json: [{path: p, type: integer}]}", "p is 0.25, want a value of type integer"},
		{"{json: [{path: none, type: string}]}", "none is null, want a value of type string"},
		{"{json: [{path: list, minLength: 3, maxLength: 3}]}", ""},
		{"{json: [{path: list, minLength: 4}]}", "list has length 3, want at least 4"},
		{"{json: [{path: text, maxLength: 4}]}", "text has length 5, want at most 4"},
		{"{json: [{path: p, maxLength: 4}]}", "p is 0.25, which has no length"},
		{"{json: [{path: text, contains: llo, regex: ^h}]}", ""},
		{"{json: [{path: text, contains: x}]}", `want "x" in it`},
		{"{json: [{path: text, regex: x}]}", "does not match x"},
		{"{json: [{path: p, regex: x}]}", "p is 0.25, want text"},
		{"{json: [{path: items.1.id, equals: b}, {path: items.#, equals: 2}, {path: items.#.id, equals: [a, b]}]}", ""},
		{"{json: [{path: items.2.id, equals: b}]}", "items.2.id is missing"},
		{"{json: [{path: nothing, exists: false}]}", ""},
		{"{json: [{path: p, exists: false}]}", "p is there, and must not be"},
		{"{json: [{path: nothing, exists: true}]}", "nothing is missing"},
		{"{schema: {type: object, required: [p], properties: {p: {maximum: 1}}}}", ""},
		{"{schema: {type: object, required: [q]}}", "the body breaks the schema"},
		{"{schema: {properties: {p: {maximum: 0.1}}}}", "'/p': maximum: got 0.25, want 0.1"},
		{"{latency: 10ms}", ""},
		{"{latency: 4ms}", "took 5ms, at most 4ms allowed"},
	} {
		a := &answer{status: 200, header: http.Header{"Content-Type": {"application/json"}}, body: []byte(answered), latency: 5 * time.Millisecond}
		got := strings.Join(expectOf(t, c.expect).judge(a, nil), "; ")
		if c.fault == "" && got != "" || !strings.Contains(got, c.fault) {
			t.Errorf("%s: %q, want %q", c.expect, got, c.fault)
		}
	}
}

// TestExpectationsOfWhatIsNoJSON: nothing is found in it, and no expectation passes on it.
func TestExpectationsOfWhatIsNoJSON(t *testing.T) {
	for _, body := range []string{"", "<html>", `{"decision":"approve"`, `{"decision":"approve"} x`, "\xff", "NaN"} {
		for _, e := range []string{"{json: [{path: decision, equals: approve}]}", "{json: [{path: x, exists: false}]}", "{schema: {}}"} {
			faults := expectOf(t, e).judge(&answer{status: 200, body: []byte(body)}, nil)
			if len(faults) != 1 || !strings.Contains(faults[0], "not JSON") {
				t.Errorf("%q, %s: %q", body, e, faults)
			}
		}
	}
}

func TestFaultsAreSafeToShow(t *testing.T) {
	a := &answer{status: 500, body: []byte("\x1b[31mred\x00\u202e" + strings.Repeat("x", 5000))}
	fault := strings.Join(expectOf(t, "{}").judge(a, nil), "")
	if strings.ContainsAny(fault, "\x1b\x00\u202e\n") || len(fault) > 300 {
		t.Errorf("%q", fault)
	}
}

func TestTemplates(t *testing.T) {
	r := &row{index: 7, values: map[string]any{"n": typed("1.50"), "zip": typed("00123"), "e": typed(""), "b": typed("true"), "t": typed(`a "b" / c`)}}
	for _, c := range []struct{ in, want string }{
		{`{"a": "{{n}}"}`, `{"a":1.50}`},
		{`{"a": "{{n|string}}"}`, `{"a":"1.50"}`},
		{`{"a": "{{zip}}"}`, `{"a":"00123"}`},
		{`{"a": "{{e}}", "b": "{{ b }}"}`, `{"a":null,"b":true}`},
		{`{"a": "{{e|string}}"}`, `{"a":""}`},
		{`{"a": "x{{n}}y{{e}}z"}`, `{"a":"x1.50yz"}`},
		{`{"a": ["{{t}}", {"b": "{{$row}}"}]}`, `{"a":["a \"b\" / c",{"b":7}]}`},
		{`{"a": "u{{$row}}", "b": 1e400}`, `{"a":"u7","b":1e400}`},
	} {
		v, err := decodeJSON([]byte(c.in))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parseTree(v, false)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parsed.value(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := encodeJSON(got)
		if err != nil || string(text) != c.want {
			t.Errorf("%s: %s %v, want %s", c.in, text, err, c.want)
		}
	}
	p, err := parseTemplate("/x/{{t}}?q={{n}}")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.text(r, pathEscape); err != nil || got != "/x/a%20%22b%22%20%2F%20c?q=1.50" {
		t.Errorf("%s %v", got, err)
	}
	if p, err = parseTemplate("{{zip|number}}"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.text(r, asIs); err == nil || !strings.Contains(err.Error(), `row 7: column zip has "00123"`) {
		t.Errorf("a number that is none: %v", err)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("a{{b}}c", "x")
	f.Add("{{b|number}}", "1e5")
	f.Add("{{}}{{{b}}}", "")
	f.Fuzz(func(t *testing.T, text, cell string) {
		p, err := parseTemplate(text)
		if err != nil {
			return
		}
		r := &row{values: map[string]any{"b": typed(cell)}}
		got, err := p.text(r, asIs)
		if err == nil && len(p.places) == 0 && got != text {
			t.Fatalf("%q became %q", text, got)
		}
		v, err := tree{text: &p}.value(r)
		if err != nil {
			return
		}
		if _, err := encodeJSON(v); err != nil {
			t.Fatalf("%q with %q has no JSON form: %v", text, cell, err)
		}
		if s := clean(text, 20); len(s) > 23 || strings.ContainsAny(s, "\n\r\x00\x1b") || !utf8.ValidString(s) {
			t.Fatalf("%q is not clean", s)
		}
	})
}

func FuzzTable(f *testing.F) {
	f.Add("a,b\n1,2\n", true)
	f.Add("{\"a\":1}\n\n{\"b\":null}\n", false)
	f.Fuzz(func(t *testing.T, text string, isCSV bool) {
		name := "x.jsonl"
		if isCSV {
			name = "x.csv"
		}
		table, err := parseTable(name, []byte(text), nil)
		if err != nil {
			return
		}
		if len(table.rows) == 0 || !slices.IsSorted(table.columns) {
			t.Fatalf("%d rows, columns %q", len(table.rows), table.columns)
		}
		if got := table.sample(2, 1); len(got) != min(2, len(table.rows)) {
			t.Fatalf("a sample of 2 has %d rows", len(got))
		}
	})
}
