package capture

import (
	"encoding/json"
	"strings"
	"testing"
)

// Numbers are the examples of their standards and issuers: card schemes' test numbers, the IBAN registry, GB 11643,
// INSEE, the Spanish ministry's example, and numbers that their issuer has withdrawn for advertising.
func TestPatterns(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"write to Ann.O'Neil+x@mail.example.com, please", "write to [email], please"},
		{"用户 张三@例子.中国 来信", "用户 [email] 来信"},
		{"a%40b.example", "[email]"},
		{"card 4111 1111 1111 1111 exp 12/27", "card [card] exp 12/27"},
		{"378282246310005", "[card]"},
		{"4111 1111 1111 1112", "4111 1111 1111 1112"}, // the check digit is wrong
		{"DE89 3704 0044 0532 0130 00", "[account]"},
		{"GB82WEST12345698765432", "[account]"},
		{"11010519491231002X", "[nationalId]"},
		{"110105194912310021", "110105194912310021"},
		{"255081416802538", "[nationalId]"},
		{"12345678Z", "[nationalId]"},
		{"12345678A", "12345678A"},
		{"RSSMRA85T10A562S", "[nationalId]"},
		{"AB 12 34 56 C", "[nationalId]"},
		{"078-05-1120", "[nationalId]"},
		{"+44 20 7946 0958", "[phone]"},
		{"(555) 010-9999 now", "[phone] now"},
		{"+8613800138000", "[phone]"},
		{"13800138000", "[phone]"},
		{"0049 30 901820", "[phone]"},
		{"on 2026-11-28 we sold 1234567 at 12.50", "on 2026-11-28 we sold 1234567 at 12.50"},
		{"income 52000, 36 months", "income 52000, 36 months"},
	} {
		if got := scrub(c.text); got != c.want {
			t.Errorf("%q became %q, want %q", c.text, got, c.want)
		}
	}
}

func TestClean(t *testing.T) {
	r := NewRedactor([]string{"applicant.id", "messages.#.content", "parts.#.#.t", `a\.b`, "gone"}, 200)
	long := `{"a":"` + strings.Repeat("x", 200) + `"}`
	for _, c := range []struct{ name, media, body, text, notKept string }{
		{"paths", "application/json", `{"applicant":{"id":"u-1","age":30},"n":1.50}`, `{"applicant":{"id":"[removed]","age":30},"n":1.50}`, ""},
		{
			"all of a list", "application/json; charset=utf-8", `{"messages":[{"content":"a"},{"role":"u"},{"content":["b"]}]}`,
			`{"messages":[{"content":"[removed]"},{"role":"u"},{"content":"[removed]"}]}`, "",
		},
		{
			"lists in lists", "application/json", `{"messages":[{"content":[{"text":"a"},{"text":{"b":[]}}]}, 5]}`,
			`{"messages":[{"content":"[removed]"}, 5]}`, "",
		},
		{"a path to all parts", "application/json", `{"parts":[[ {"t" : 1}, {"t":[2]}]]}`, `{"parts":[[ {"t" : "[removed]"}, {"t":"[removed]"}]]}`, ""},
		{"a dot in a name", "application/json", `{"a.b":1,"a":{"b":2}}`, `{"a.b":"[removed]","a":{"b":2}}`, ""},
		{"two values", "application/json", `{} {}`, "", "not the JSON that it says it is"},
		{"escaped", "application/json", `{"x": "bob\u0040mail.example"}`, `{"x": "[email]"}`, ""},
		{"in a name", "application/problem+json", `{"bob@mail.example": [true, null]}`, `{"[email]": [true, null]}`, ""},
		{"a number", "application/json", `[4111111111111111, -1e5]`, `["[card]", -1e5]`, ""},
		{"text", "text/plain", "bob@mail.example", "[email]", ""},
		{"broken", "application/json", `{"x": "bob\u0040mail.example"`, "", "not the JSON that it says it is"},

		{"long", "application/json", long, "", "longer than the limit"},
		{"stream", "text/event-stream", "data: bob@\n\ndata: mail.example\n\n", "", "a stream"},
		{"binary", "image/png", "\x89PNG", "", "neither JSON nor text"},
		{"not utf-8", "text/plain", "\xff\xfe", "", "neither JSON nor text"},
		{"no type", "", "bob", "", "neither JSON nor text"},
		{"empty", "application/json", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := r.Clean(c.media, []byte(c.body), int64(len(c.body)))
			if got.Text != c.text || got.NotKept != c.notKept || got.Size != int64(len(c.body)) {
				t.Errorf("got %+v\nwant text %q, not kept %q", got, c.text, c.notKept)
			}
		})
	}
	if got := r.Clean("text/plain", []byte("part"), 5); got.NotKept == "" {
		t.Error("a part of a body was kept as if it were the whole")
	}
	deep := NewRedactor(nil, 1<<20).Clean("application/json", []byte(strings.Repeat("[", 600)+strings.Repeat("]", 600)), 1200)
	if deep.NotKept == "" {
		t.Error("600 levels were kept")
	}
}

func TestCleanText(t *testing.T) {
	r := NewRedactor(nil, 10)
	if got := r.CleanText("mail bob@mail.example, 张三张三"); got != "mail [emai" {
		t.Errorf("got %q", got)
	}
	if got := r.CleanText("123456789张"); got != "123456789" {
		t.Errorf("a character was cut in two: %q", got)
	}
}

// FuzzClean plants an address in any JSON text: what is kept is valid JSON without it.
func FuzzClean(f *testing.F) {
	f.Add(`{"a":["x",1,{"b":"\u0041"}],"c":null}`, "a.0")
	f.Add(`"\\"`, "b.#.c")
	f.Add(`{"a":{"a":1}}`, "a.a")
	f.Add(`[1,2]`, "#")
	f.Add(`{"a":[{"b":1},{"b":2}]}`, "a.#.b|@reverse")
	f.Fuzz(func(t *testing.T, body, path string) {
		planted, err := json.Marshal(map[string]any{"before": body, "at": "ann@mail.example", body: 1})
		if err != nil {
			t.Fatal(err)
		}
		r := NewRedactor([]string{path}, 1<<20)
		for _, b := range []string{string(planted), body} {
			got := r.Clean("application/json", []byte(b), int64(len(b)))
			if got.NotKept == "" && b != "" && !json.Valid([]byte(got.Text)) {
				t.Fatalf("%q with %q became %q, which is no JSON", b, path, got.Text)
			}
			if strings.Contains(got.Text, "ann@mail") {
				t.Fatalf("kept %q", got.Text)
			}
		}
	})
}
