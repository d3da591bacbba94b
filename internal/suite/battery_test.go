package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"sluice.dev/sluice/internal/release"
)

// strict is a server that treats every trouble as it should: {"name": text, "n": number from 0 to 100, "tags":
// list of texts or absent}, nothing else, at most 64 KiB.
func strict(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, why string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":%q}`, why)
	}
	if r.Method != http.MethodPost {
		refuse(405, "method")
		return
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		refuse(413, "too large")
		return
	}
	var in struct {
		Name *string
		N    *float64
		Tags []string
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || !utf8.Valid(data) {
		refuse(400, "no JSON of the right shape")
		return
	}
	if _, err := d.Token(); err != io.EOF || in.Name == nil || in.N == nil || *in.N < 0 || *in.N > 100 {
		refuse(422, "values")
		return
	}
	fmt.Fprint(w, `{"class":"a","score":0.5}`)
}

const batterySample = "  target: {timeout: 30s}\n  sample: {body: {name: x, n: 5, tags: [y]}}\n  exceptions:\n    - {battery: all, oversize: 100KiB, burst: 20, patience: 250ms"

func battery1(more string) string { return batterySample + more + "}\n" }

func TestBatteryPassesASoundServer(t *testing.T) {
	r := run(t, battery1(", expect: {json: [{path: score, min: 0, max: 1}]}"), strict)
	parts := jsonTroubles()
	if !r.Passed() || len(r.Results) != len(parts) {
		var b strings.Builder
		if err := r.WriteTable(&b); err != nil {
			t.Fatal(err)
		}
		t.Error(b.String())
	}
	for i, c := range r.Results {
		if c.Name != "battery: "+string(parts[i]) || c.Numbers["requests"] < 1 || c.Seconds <= 0 {
			t.Errorf("result %d: %+v", i, c)
		}
	}
}

// jsonTroubles are the parts that concern a JSON body without a schema.
func jsonTroubles() []Trouble {
	return slices.DeleteFunc(troubles(), func(t Trouble) bool {
		return slices.Contains([]Trouble{TroubleQuery, TroubleSchema, TroubleCorrupted, TroubleParameters, TroubleMessages, TroubleTensors, TroubleStreamGone}, t)
	})
}

// body reads a request's body for a server that is about to misbehave.
func body(r *http.Request) string {
	b, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(b))
	return string(b)
}

// TestBatteryFindsBadServers: each server is sound but for one fault, which the part of the battery that is
// meant for it finds and tells.
func TestBatteryFindsBadServers(t *testing.T) {
	crash := func() { panic(http.ErrAbortHandler) }
	var busy atomic.Int32
	// What a server may wait for, so that no pace of the machine lets its fault slip: requests at once, and half a body.
	third, second, half := make(chan struct{}), make(chan struct{}), make(chan struct{})
	halved := sync.OnceFunc(func() { close(half) })
	hold := func(r *http.Request, until <-chan struct{}) {
		select {
		case <-until:
		case <-r.Context().Done():
		case <-time.After(20 * time.Second):
		}
	}
	for _, c := range []struct {
		part  Trouble
		words string
		bad   func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	}{
		{TroubleEmpty, "no body: status 500, want a refusal by 4xx", func(w http.ResponseWriter, r *http.Request) bool {
			if body(r) != "" {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}},
		{TroubleEmpty, "no body: the connection was closed without an answer", func(_ http.ResponseWriter, r *http.Request) bool {
			if body(r) == "" {
				crash()
			}
			return false
		}},
		{TroubleTruncated, "status 200, want a refusal by 4xx", func(w http.ResponseWriter, r *http.Request) bool {
			if b := body(r); !strings.HasPrefix(b, "{") || json.Valid([]byte(b)) {
				return false
			}
			okJSON(w, r)
			return true
		}},
		{TroubleNotJSON, "the body hello: status 502", func(w http.ResponseWriter, r *http.Request) bool {
			if body(r) != "hello" {
				return false
			}
			w.WriteHeader(http.StatusBadGateway)
			return true
		}},
		{TroubleMistyped, "n of a wrong type: status 200", func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(body(r), `"n":{`) {
				return false
			}
			okJSON(w, r)
			return true
		}},
		{TroubleMissing, "n left out: status 500", func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(body(r), `"n"`) {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}},
		{TroubleUnknown, "unknown members: status 500", func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(body(r), "sluice_unknown") {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}},
		{TroubleOversized, "status 507", func(w http.ResponseWriter, r *http.Request) bool {
			if len(body(r)) < 64<<10 {
				return false
			}
			w.WriteHeader(http.StatusInsufficientStorage)
			return true
		}},
		{TroubleNested, "status 500", func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(body(r), "[[[[") {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}},
		{TroubleMedia, "Content-Type nonsense: status 500", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Content-Type") != "nonsense" {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}},
		{TroubleEncoding, "UTF-16: status 500", func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(body(r), "\xff\xfe") {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}},
		{TroubleNumbers, "with a body that is not JSON", func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(body(r), "1e308") {
				return false
			}
			fmt.Fprint(w, `{"class":"a","score":NaN}`)
			return true
		}},
		{TroubleInjection, "the text was executed", func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(body(r), "{{7919*7907}}") {
				return false
			}
			fmt.Fprint(w, `{"class":"62615533"}`)
			return true
		}},
		{TroubleMethods, "method DELETE: status 500", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodDelete {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}},
		{TroubleHeaders, "100 more headers: status 500", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("X-Sluice-Test-99") == "" {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}},
		{TroubleSlow, "another client was not served", func(_ http.ResponseWriter, r *http.Request) bool {
			if n := busy.Add(1); n == 2 || n == 3 { // after the sound one: the slow client and the other, in any order
				first := make([]byte, 1024)
				n, _ := r.Body.Read(first)
				if int64(n) == r.ContentLength {
					crash()
				}
				r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(first[:n]), r.Body))
			}
			return false
		}},
		{TroubleGone, "no longer healthy: status 503", func(w http.ResponseWriter, r *http.Request) bool {
			if got, err := io.ReadAll(r.Body); err != nil && len(got) > 0 {
				halved() // half a body arrived, and then its client was gone
				return true
			}
			if busy.Add(1) == 1 { // the sound one
				okJSON(w, r)
				return true
			}
			hold(r, half)
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}},
		{TroubleBurst, "were not answered", func(_ http.ResponseWriter, r *http.Request) bool {
			switch n := busy.Add(1); { // after the sound one: two are held until the third is there as well
			case n == 4:
				close(third)
				crash()
			case n > 4:
				crash()
			case n > 1:
				hold(r, third)
			}
			return false
		}},
		{TroubleDuplicates, "was answered", func(w http.ResponseWriter, r *http.Request) bool {
			switch n := busy.Add(1); { // after the sound one: one is held until another is there as well
			case n == 2:
				hold(r, second)
			case n == 3:
				close(second)
				fallthrough
			case n > 3:
				w.WriteHeader(http.StatusConflict)
				return true
			}
			return false
		}},
	} {
		busy.Store(0)
		r := run(t, battery1(", only: ["+string(c.part)+"]"), func(w http.ResponseWriter, r *http.Request) {
			if !c.bad(w, r) {
				strict(w, r)
			}
		})
		want(t, r, "battery: "+string(c.part), Failed, c.words)
		if r.Passed() {
			t.Errorf("%s: passed", c.part)
		}
	}
}

func TestBatteryDoesNotWaitForAServerThatHangs(t *testing.T) {
	began := time.Now()
	r := run(t, strings.Replace(battery1(", only: [mistyped, boundaryNumbers]"), "timeout: 30s", "timeout: 2s", 1), func(w http.ResponseWriter, r *http.Request) {
		b := body(r)
		if strings.Contains(b, "unexpected") || strings.Contains(b, "1e308") {
			<-r.Context().Done()
			return
		}
		strict(w, r)
	})
	want(t, r, "battery: mistyped", Failed, "hangs: no answer within 2s")
	want(t, r, "battery: boundaryNumbers", Failed, "hangs: no answer within 2s")
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %s", took)
	}
}

// TestBatteryFindsAServerThatDies: it is told once what killed it, and that nobody is there afterwards.
func TestBatteryFindsAServerThatDies(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute}
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body(r) == "NaN" {
			_ = srv.Close()
			panic(http.ErrAbortHandler)
		}
		strict(w, r)
	})
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	r, err := Run(context.Background(), load(t, battery1(", only: [truncated, notJson, burst]")), Options{BaseURL: "http://" + l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	<-done
	want(t, r, "battery: truncated", Passed, "healthy after")
	want(t, r, "battery: notJson", Failed, "no longer healthy: cannot connect")
	want(t, r, "battery: burst", Failed, "cannot connect")
}

func TestBatteryOfASampleThatFails(t *testing.T) {
	r := run(t, battery1(""), func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusInternalServerError) })
	if len(r.Results) != 1 {
		t.Errorf("%d results", len(r.Results))
	}
	want(t, r, "battery", Failed, "the sound request fails already: status 500: down")
	r = run(t, battery1(", expect: {json: [{path: class, equals: b}]}"), strict)
	want(t, r, "battery", Failed, `class is "a", want "b"`)
}

func TestBatteryAcceptAndExcept(t *testing.T) {
	lax := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); okJSON(w, r) }
	r := run(t, battery1(", accept: [mistyped], only: [mistyped, empty, truncated], except: [empty]"), lax)
	if len(r.Results) != 2 {
		t.Fatalf("%+v", r.Results)
	}
	want(t, r, "battery: mistyped", Passed, "answered")
	want(t, r, "battery: truncated", Failed, "status 200, want a refusal by 4xx")
}

// TestBatteryOfRawBodies: what is no JSON is not changed as JSON; parts of JSON are left out, or skipped in words if they
// are asked for.
func TestBatteryOfRawBodies(t *testing.T) {
	spec := "  target: {dialect: raw}\n  sample: {text: hello}\n  exceptions: [{battery: all, oversize: 100KiB, burst: 5, patience: 20ms}]\n"
	r := run(t, spec, func(w http.ResponseWriter, r *http.Request) {
		if len(body(r)) < 4 {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	for _, c := range r.Results {
		if c.Status != Passed {
			t.Errorf("%+v", c)
		}
	}
	want(t, r, "battery: empty", Passed, "refused")
	want(t, r, "battery: corrupted", Passed, "refused")
	r = run(t, strings.Replace(spec, "battery: all", "battery: all, only: [mistyped]", 1), okJSON)
	want(t, r, "battery: mistyped", Skipped, "nothing that this could be made from")
}

func TestOwnExceptions(t *testing.T) {
	const spec = "  exceptions:\n    - {name: a, request: {text: '{'}}\n    - {name: b, request: {text: '{{7*7}}'}, expect: {status: 200}}\n"
	var seen []string
	var mu sync.Mutex
	r := run(t, spec, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, body(r))
		mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
	})
	want(t, r, "a", Passed, "answered 400")
	want(t, r, "b", Failed, "status 400, want 200")
	if !slices.Contains(seen, "{{7*7}}") {
		t.Errorf("a text without data is sent as it is: %q", seen)
	}
}

// TestEveryTroubleIsAWordOfTheFile: the list that the file may use is the list that runs.
func TestEveryTroubleIsAWordOfTheFile(t *testing.T) {
	var e release.Enum = TroubleEmpty
	if len(e.Values()) != 25 {
		t.Errorf("%d parts, want 25", len(e.Values()))
	}
	for _, part := range troubles() {
		s := load(t, battery1(", only: ["+string(part)+"]"))
		if got := s.exceptions[0].parts; len(got) != 1 || got[0] != part {
			t.Errorf("%s: %v", part, got)
		}
	}
}
