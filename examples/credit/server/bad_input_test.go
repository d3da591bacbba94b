package server

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// call is a request to be refused. Zero values stand for POST, /credit and application/json.
type call struct {
	name, method, path, media, body string
	header                          map[string]string
	status                          int
	want                            string // in the detail
}

func badCalls() []call {
	in := func(member string) string { return `{"applicant":{"id":"u1",` + member + `}}` }
	return []call{
		{name: "GET", method: http.MethodGet, status: 405, want: "[POST]"},
		{name: "strange method", method: "BREW", status: 405, want: `"BREW"`},
		{name: "POST to healthz", path: "/healthz", status: 405, want: "[GET HEAD]"},
		{name: "other path", path: "/", status: 404, want: "POST /credit"},
		{name: "longer path", path: "/credit/x", status: 404, want: "POST /credit"},
		{name: "no media type", media: "-", status: 415, want: "application/json"},
		{name: "form", media: "application/x-www-form-urlencoded", status: 415, want: "application/json"},
		{name: "broken media type", media: "application/json; charset", status: 415, want: "application/json"},
		{name: "latin-1", media: "application/json; charset=latin1", status: 415, want: "UTF-8"},
		{name: "gzip", header: map[string]string{"Content-Encoding": "gzip"}, status: 415, want: "Content-Encoding"},
		{name: "1 MiB and a byte", body: strings.Repeat(" ", MaxBody+1), status: 413, want: "1048576"},
		{name: "empty", body: "", status: 400, want: "not JSON: unexpected end"},
		{name: "1 MiB of blanks", body: strings.Repeat(" ", MaxBody), status: 400, want: "not JSON"},
		{name: "cut short", body: `{"applicant":{"age":30`, status: 400, want: "at byte 22"},
		{name: "two values", body: `{"applicant":{}} {}`, status: 400, want: "at byte 18"},
		{name: "comma at the end", body: in(`"age":30,`), status: 400, want: "not JSON"},
		{name: "NaN", body: in(`"age":NaN`), status: 400, want: "not JSON"},
		{name: "not UTF-8", body: in("\"home\":\"\xff\""), status: 400, want: "not UTF-8"},
		{name: "byte order mark", body: "\ufeff" + in(`"age":30`), status: 400, want: "not JSON"},
		{name: "half a million brackets", body: strings.Repeat("[", 500_000), status: 400, want: "depth"},
		{name: "an array", body: `[]`, status: 422, want: "the body: want an object"},
		{name: "null", body: `null`, status: 422, want: "the body: want an object"},
		{name: "nothing", body: `{}`, status: 422, want: "/applicant: is required"},
		{name: "applicant null", body: `{"applicant":null}`, status: 422, want: "/applicant: want an object"},
		{name: "applicant list", body: `{"applicant":[{"age":[1]},2]}`, status: 422, want: "/applicant: want an object"},
		{name: "foreign member", body: `{"applicant":{},"model":{"a":[1,{}]}}`, status: 400, want: "/model: unknown"},
		{name: "applicant twice", body: `{"applicant":{},"applicant":{}}`, status: 400, want: "/applicant: is there twice"},
		{name: "misspelt", body: in(`"incom":[{"x":[]}],"age":30`), status: 400, want: "/applicant/incom: unknown"},
		{name: "other case", body: in(`"Age":30`), status: 400, want: "/applicant/Age: unknown"},
		{name: "the label", body: in(`"status":"good"`), status: 400, want: "/applicant/status: unknown"},
		{name: "name with slash", body: in(`"a/b~c":1`), status: 400, want: "/applicant/a~1b~0c: unknown"},
		{name: "long name", body: in(`"` + strings.Repeat("é", 5000) + `":1`), status: 400, want: "é…: unknown"},
		{name: "twice", body: in(`"age":30,"age":31`), status: 400, want: "/applicant/age: is there twice"},
		{name: "text for a number", body: in(`"age":"30"`), status: 422, want: "/applicant/age: want a number"},
		{name: "true for a number", body: in(`"age":true`), status: 422, want: "/applicant/age: want a number"},
		{name: "list for a number", body: in(`"age":[30,[]]`), status: 422, want: "/applicant/age: want a number"},
		{name: "object for a text", body: in(`"home":{"a":{}}`), status: 422, want: "/applicant/home: want a string"},
		{name: "number for a text", body: in(`"records":1`), status: 422, want: "/applicant/records: want a string"},
		{name: "negative", body: in(`"income":-1`), status: 422, want: "/applicant/income: want a number from 0"},
		{name: "huge", body: in(`"income":1e10`), status: 422, want: "/applicant/income: want a number from 0"},
		{name: "beyond floats", body: in(`"income":1e999`), status: 422, want: "/applicant/income: want a number from 0"},
		{name: "id number", body: `{"applicant":{"id":7}}`, status: 422, want: "/applicant/id: want a string"},
		{name: "id empty", body: `{"applicant":{"id":""}}`, status: 422, want: "/applicant/id: has 0 bytes"},
		{name: "id long", body: `{"applicant":{"id":"` + strings.Repeat("x", 257) + `"}}`, status: 422, want: "has 257 bytes"},
		{name: "age band", body: in(`"age_band":"old"`), status: 422, want: `/applicant/age_band: want "under-30"`},
		{name: "age band number", body: in(`"age_band":30`), status: 422, want: `/applicant/age_band: want "under-30"`},
		{name: "unknown and wrong type", body: in(`"foo":1,"age":"x"`), status: 400, want: "/applicant/foo: unknown"},
		{name: "wrong type and unknown", body: in(`"age":"x","foo":1`), status: 400, want: "/applicant/age: want a number"},
	}
}

func (c call) request() *http.Request {
	method, path, media := c.method, c.path, c.media
	if method == "" {
		method = http.MethodPost
	}
	if path == "" {
		path = "/credit"
	}
	if media == "" {
		media = "application/json"
	}
	r := httptest.NewRequest(method, path, strings.NewReader(c.body))
	if media != "-" {
		r.Header.Set("Content-Type", media)
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	return r
}

func TestBadInputIsRefusedInWords(t *testing.T) {
	for _, version := range []string{"v1", "v2"} {
		s := newServer(t, version, nil)
		for _, c := range badCalls() {
			t.Run(version+"/"+c.name, func(t *testing.T) {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, c.request())
				if w.Code != c.status || w.Header().Get("Content-Type") != "application/problem+json" {
					t.Fatalf("%d %v: %s, want %d", w.Code, w.Header(), w.Body, c.status)
				}
				if w.Body.Len() > 4096 {
					t.Errorf("the refusal has %d bytes", w.Body.Len())
				}
				got := decode(t, w)
				if got.Status != float64(c.status) || got.Title != http.StatusText(c.status) || got.Type != "about:blank" {
					t.Errorf("%+v", got)
				}
				if !strings.Contains(got.Detail, c.want) {
					t.Errorf("detail %q, want %q in it", got.Detail, c.want)
				}
				if c.status == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
					t.Error("no Allow")
				}
			})
		}
	}
}

func TestRefusalListsAllFaultsUpToALimit(t *testing.T) {
	s := newServer(t, "v2", nil)
	got := decode(t, post(s, `{"applicant":{"age":"x","home":1,"income":-5},"extra":1}`))
	var places []string
	for _, f := range got.Errors {
		places = append(places, f.Pointer)
	}
	if want := "/applicant/age /applicant/home /applicant/income /extra"; strings.Join(places, " ") != want {
		t.Errorf("faults at %v, want %s", places, want)
	}
	many := `{"applicant":{` + strings.Repeat(`"x":1,`, 1000) + `"y":1}}`
	if got := decode(t, post(s, many)); len(got.Errors) != maxFaults {
		t.Errorf("%d faults listed, want %d", len(got.Errors), maxFaults)
	}
}

// broken is a body that ends in an error, as when a client goes away.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection lost") }

func TestBrokenBody(t *testing.T) {
	s := newServer(t, "v2", nil)
	r := httptest.NewRequest(http.MethodPost, "/credit", io.MultiReader(strings.NewReader(`{"app`), broken{}))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("%d, want 400", w.Code)
	}
	if got := post(s, `{"applicant":{}}`); got.Code != http.StatusOK {
		t.Errorf("the next request: %d %s", got.Code, got.Body)
	}
}

// FuzzCredit: whatever the body and its media type, the answer is a decision or a refusal of the 4xx, in JSON.
func FuzzCredit(f *testing.F) {
	for _, c := range badCalls() {
		if len(c.body) < 1000 {
			f.Add([]byte(c.body), c.media)
		}
	}
	f.Add([]byte(`{"applicant":{"id":"u1","age":30,"home":"rent","income":null}}`), "application/json")
	s := newServer(f, "v2", nil)
	f.Fuzz(func(t *testing.T, body []byte, media string) {
		r := httptest.NewRequest(http.MethodPost, "/credit", bytes.NewReader(body))
		r.Header.Set("Content-Type", media)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		got := decode(t, w)
		switch {
		case w.Code == http.StatusOK:
			if got.PBad == nil || *got.PBad < 0 || *got.PBad > 1 || (got.Decision != "approve" && got.Decision != "deny") {
				t.Errorf("%+v", got)
			}
		case w.Code < 400 || w.Code > 499 || got.Detail == "":
			t.Errorf("%d %+v", w.Code, got)
		}
	})
}
