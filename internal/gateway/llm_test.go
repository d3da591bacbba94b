package gateway

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

const eventType = "text/event-stream; charset=utf-8"

// speaking makes the model of credit one of a dialect, under /v1/ and /v1beta/, with the sources given as signals.
func speaking(d release.Dialect, sources ...string) func(*assign.RouteSpec) {
	return func(m *assign.RouteSpec) {
		m.Dialect, m.Match.Path = d, "/"
		m.Unit.From = []release.Selector{"header:X-User-Id"}
		m.Signals = nil
		for _, s := range sources {
			sel, category := strings.CutSuffix(s, " category")
			m.Signals = append(m.Signals, release.Signal{From: release.FromAnswer, Selector: release.Selector(sel), Number: !category})
		}
	}
}

// stream answers with pieces of a stream, each flushed.
func stream(contentType string, pieces ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", contentType)
		for _, p := range pieces {
			_, _ = io.WriteString(rw, p)
			_ = http.NewResponseController(rw).Flush()
		}
	}
}

// provider is a file of dialect's testdata.
func provider(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("../dialect/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// values are an exposure's signals as text.
func (w *world) values(e *release.Exposure) (out []string) {
	for i := range e.Values[:e.N] {
		switch v := e.Values[i]; v.Kind {
		case release.ValueNumber:
			out = append(out, fmt.Sprint(v.Num))
		case release.ValueCategory:
			out = append(out, w.sink.word(v))
		default:
			out = append(out, "-")
		}
	}
	return out
}

const chatPath, askStream = "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":true}`

// 3.2: the usage of a stream is asked for if a metric needs it, read, and taken out again; a client that asked
// itself gets it.
func TestWire3_2_UsageThroughTheGateway(t *testing.T) {
	with := provider(t, "openai-chat.sse")
	i := strings.Index(with, `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"small-1","system_fingerprint":"fp_1","choices":[]`)
	without := with[:i] + with[i+strings.Index(with[i:], "\n\n")+2:]
	var asked atomic.Pointer[string]
	w := newWorld(t, credit(0, speaking(release.DialectOpenAI, "measure:tokens:input", "measure:tokens:output", "measure:tokens:cached", "measure:tokens:total", "measure:cost"), func(m *assign.RouteSpec) {
		m.Arms[0].Spec.Price = release.Price{Input: 2, Output: 10}
	}))
	w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		text := string(b)
		asked.Store(&text)
		if !strings.Contains(text, `"include_usage":true`) {
			stream(eventType, without)(rw, r)
			return
		}
		stream(eventType, with[:700], with[700:i+9], with[i+9:i+40], with[i+40:])(rw, r)
	})
	got := w.do("POST", chatPath, askStream, "X-User-Id", "u", "Content-Type", "application/json")
	if got.body != without || got.err != nil {
		t.Errorf("the client got %v\n%q, want\n%q", got.err, got.body, without)
	}
	if want := `{"stream_options":{"include_usage":true},` + askStream[1:]; *asked.Load() != want {
		t.Errorf("the upstream was asked %s, want %s", *asked.Load(), want)
	}
	own := strings.TrimSuffix(askStream, "}") + `,"stream_options":{"include_usage":true}}`
	if got := w.do("POST", chatPath, own, "X-User-Id", "u"); got.body != with || *asked.Load() != own {
		t.Errorf("a client that asked itself got %q", got.body)
	}
	for i, e := range w.sink.wait(t, 2) {
		if got := w.values(&e); !slices.Equal(got, []string{"19", "5", "8", "24", "8.8e-05"}) || e.Fault != release.FaultNone || e.Flags != 0 {
			t.Errorf("request %d recorded %q %+v", i, got, e)
		}
	}
}

// 3.2: nothing is asked for that no metric needs.
func TestWire3_2_NoUsageWithoutNeed(t *testing.T) {
	w := newWorld(t, credit(0, speaking(release.DialectOpenAI, "measure:ttft")))
	var asked string
	w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked = string(b)
		stream(eventType, provider(t, "openai-chat.sse"))(rw, r)
	})
	if got := w.do("POST", chatPath, askStream, "X-User-Id", "u"); got.body != provider(t, "openai-chat.sse") || asked != askStream {
		t.Errorf("asked %s, relayed %q", asked, got.body)
	}
}

// 3.2: a server that refuses stream_options is asked again without, and never again with it; a refusal
// of something else is the client's to see.
func TestWire3_2_RefusalIsRemembered(t *testing.T) {
	w := newWorld(t, credit(0, speaking(release.DialectOpenAI, "measure:tokens:output")))
	var requests, with int
	w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		requests++
		switch {
		case strings.Contains(string(b), "bad"):
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(rw, `{"error":{"message":"bad parameter"}}`)
		case strings.Contains(string(b), "stream_options"):
			with++
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(rw, `{"error":{"message":"Unrecognized request argument supplied: stream_options"}}`)
		default:
			stream(eventType, provider(t, "openai-completion.sse"))(rw, r)
		}
	})
	if got := w.do("POST", "/v1/completions", `{"bad":1,"stream":true}`, "X-User-Id", "u"); got.status != 400 || got.body != `{"error":{"message":"bad parameter"}}` || requests != 1 {
		t.Errorf("another refusal: %+v after %d requests", got, requests)
	}
	requests = 0
	for range 3 {
		if got := w.do("POST", "/v1/completions", `{"stream":true}`, "X-User-Id", "u"); got.status != 200 || got.body != provider(t, "openai-completion.sse") {
			t.Errorf("got %+v", got)
		}
	}
	if requests != 4 || with != 1 {
		t.Errorf("%d requests, %d with the option; want 4 and 1", requests, with)
	}
	spec := credit(0, speaking(release.DialectOpenAI, "measure:tokens:output"))
	spec.Generation++
	w.serve(spec) // new routes, the same version
	w.do("POST", "/v1/completions", `{"stream":true}`, "X-User-Id", "u")
	if with != 1 {
		t.Error("the refusal was forgotten with the routes")
	}
	for i, e := range w.sink.wait(t, 5)[1:] {
		if got := w.values(&e); got[0] != "2" || e.Flags != release.FlagEstimated {
			t.Errorf("request %d recorded %q, flags %b: want 2 tokens, estimated", i, got, e.Flags)
		}
	}
}

// 3.3: the gateway's own errors in the dialect of the model, with X-Sluice-Error.
func TestWire3_3_OwnErrorsInTheDialect(t *testing.T) {
	for d, path := range map[release.Dialect]string{
		release.DialectOpenAI: "error.type", release.DialectAnthropic: "error.type", release.DialectGemini: "error.details.0.reason",
		release.DialectOIP: "error", release.DialectJSON: "kind",
	} {
		w := newWorld(t, credit(0, speaking(d), func(m *assign.RouteSpec) { m.Limits.Body = 10 }))
		for _, body := range []string{"", "more than ten bytes"} {
			kind, status := "upstream_unreachable", 502 // nobody listens
			if body != "" {
				kind, status = "body_too_large", 413
			}
			got := w.do("POST", "/v1/x", body, "X-User-Id", "u")
			said := release.PeekJSON([]byte(got.body), path, false).Text
			if got.status != status || got.header.Get(HeaderError) != kind || !strings.Contains(strings.ToLower(said), kind) || !json.Valid([]byte(got.body)) {
				t.Errorf("%s: %+v", d, got)
			}
		}
	}
}

// 3.1, 3.3: a stream that ends without its own end gets an error of the dialect and is cut; half an event
// is only cut, because nothing can be added to it.
func TestWire3_3_TruncatedStreams(t *testing.T) {
	chat, message, gemini := provider(t, "openai-chat.sse"), provider(t, "anthropic-message.sse"), provider(t, "gemini.sse")
	event := func(s string, n int) string { // the first n events
		sep := "\n\n"
		if strings.Contains(s, "\r\n\r\n") {
			sep = "\r\n\r\n"
		}
		return strings.Join(strings.SplitAfter(s, sep)[:n], "")
	}
	for _, c := range []struct {
		name string
		d    release.Dialect
		path string
		sent string
		dies bool // the upstream breaks the connection
		tail string
	}{
		{"chat, ends", release.DialectOpenAI, chatPath, event(chat, 3), false, `data: {"error":{"message":"the model server's answer ended before it was complete","type":"sluice_upstream_truncated","param":null,"code":"upstream_truncated"}}` + "\n\n"},
		{"chat, dies", release.DialectOpenAI, chatPath, event(chat, 3), true, `sluice_upstream_truncated`},
		{"chat, inside of an event", release.DialectOpenAI, chatPath, event(chat, 2) + "data: {\"choi", true, ""},
		{"messages", release.DialectAnthropic, "/v1/messages", event(message, 5), false, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"sluice_upstream_truncated\""},
		{"gemini", release.DialectGemini, "/v1beta/models/m:streamGenerateContent", event(gemini, 2), false, `"reason":"SLUICE_UPSTREAM_TRUNCATED"`},
		{"nothing", release.DialectOpenAI, chatPath, "", false, "sluice_upstream_truncated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, credit(0, speaking(c.d, "measure:truncated", "measure:ttft", "measure:length")))
			w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
				stream(eventType, c.sent)(rw, r)
				if c.dies {
					panic(http.ErrAbortHandler)
				}
			})
			got := w.do("POST", c.path, askStream, "X-User-Id", "u")
			tail, ok := strings.CutPrefix(got.body, c.sent)
			if got.err == nil || !ok || !strings.Contains(tail, c.tail) || (c.tail == "") != (tail == "") {
				t.Errorf("got %q, %v", got.body, got.err)
			}
			e := w.sink.wait(t, 1)[0]
			if v := w.values(&e); e.Fault != release.FaultUpstream || e.Flags&release.FlagTruncated == 0 || !slices.Equal(v, []string{"1", "-", "-"}) {
				t.Errorf("recorded %+v, %q", e, v)
			}
		})
	}
}

// 3.3, 3.5: a stream of a 200 that begins with an error is a failure of the version, and live may still
// answer; one that fails later is relayed as it is.
func TestWire3_3_StreamThatBeginsWithAnError(t *testing.T) {
	const role = `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n"
	const failure = `data: {"error":{"message":"CUDA out of memory","type":"server_error","code":500}}` + "\n\n"
	good := provider(t, "openai-chat.sse")
	for _, c := range []struct {
		name     string
		failover bool
		sent     []string
		want     string
		fell     bool
	}{
		{"failover", true, []string{": ping\n\n", role, failure}, good, true},
		{"no failover", false, []string{role, failure}, role + failure, false},
		{"after content", true, []string{role, `data: {"choices":[{"index":0,"delta":{"content":"a"}}]}` + "\n\n", failure}, role + `data: {"choices":[{"index":0,"delta":{"content":"a"}}]}` + "\n\n" + failure, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, credit(release.Whole, speaking(release.DialectOpenAI, "measure:fellBack", "measure:tokens:output"), func(m *assign.RouteSpec) {
				m.Arms[1].Spec.Failover = c.failover
			}))
			w.upstream("live", stream(eventType, good))
			w.upstream("candidate", stream(eventType, c.sent...))
			got := w.do("POST", chatPath, strings.Replace(askStream, "}]", `}],"stream_options":{"include_usage":true}`, 1), "X-User-Id", "u")
			if got.body != c.want || got.err != nil || got.status != 200 {
				t.Errorf("got %d %v %q", got.status, got.err, got.body)
			}
			e := w.sink.wait(t, 1)[0]
			fell := e.Flags&release.FlagFellBack != 0
			if e.Arm != 1 || e.Fault != release.FaultUpstream || fell != c.fell || w.values(&e)[0] != map[bool]string{true: "1", false: "0"}[c.fell] {
				t.Errorf("recorded %+v, %q", e, w.values(&e))
			}
			if c.fell && w.values(&e)[1] != "-" {
				t.Error("live's tokens were counted as the candidate's")
			}
		})
	}
}

// 3.7: a stream of messages with pings, reasoning and tools passes byte for byte, and is understood.
func TestWire3_7_Messages(t *testing.T) {
	w := newWorld(t, credit(0, speaking(release.DialectAnthropic, "measure:tokens:input", "measure:tokens:cached", "measure:tokens:output", "measure:finish category", "measure:finish:max_tokens",
		"measure:length", "text category", "json:content.0.text category", "measure:cost"), func(m *assign.RouteSpec) {
		read := 0.1
		m.Arms[0].Spec.Price = release.Price{Input: 1, Output: 1, CacheRead: &read}
		m.Arms[0].Spec.Model = "claude-like-2"
	}))
	var asked, version string
	w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked, version = string(b), r.Header.Get("Anthropic-Version")
		stream(eventType, strings.SplitAfter(provider(t, "anthropic-message.sse"), "\n")...)(rw, r)
	})
	got := w.do("POST", "/v1/messages", `{"model": "m", "system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"stream":true}`, "X-User-Id", "u", "Anthropic-Version", "2023-06-01")
	if got.body != provider(t, "anthropic-message.sse") || got.err != nil {
		t.Errorf("relayed %q", got.body)
	}
	if want := `{"model": "claude-like-2", "system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"stream":true}`; asked != want || version != "2023-06-01" {
		t.Errorf("asked %s with %s", asked, version)
	}
	e := w.sink.wait(t, 1)[0]
	if got := w.values(&e); !slices.Equal(got, []string{"135", "100", "15", "end_turn", "0", "6", "Hello!", "Hello!", "6e-05"}) {
		t.Errorf("recorded %q", got)
	}
}

// 3.8: both forms of Gemini's streams; the model is in the path.
func TestWire3_8_Gemini(t *testing.T) {
	for _, c := range []struct{ file, form, query string }{{"gemini.sse", eventType, "?alt=sse"}, {"gemini.json", "application/json", ""}} {
		w := newWorld(t, credit(0, speaking(release.DialectGemini, "measure:tokens:output", "measure:tokens:reasoning", "text category", "measure:finish:STOP", "json:candidates.0.finishReason category"), func(m *assign.RouteSpec) {
			m.Arms[0].Spec.Model = "org/big"
		}))
		var uri string
		body := provider(t, c.file)
		w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
			uri = r.RequestURI
			stream(c.form, body[:200], body[200:])(rw, r)
		})
		got := w.do("POST", "/v1beta/models/small:streamGenerateContent"+c.query, `{"contents":[]}`, "X-User-Id", "u")
		if got.body != body || uri != "/v1beta/models/org%2Fbig:streamGenerateContent"+c.query {
			t.Errorf("%s: asked %s, relayed %q", c.file, uri, got.body)
		}
		e := w.sink.wait(t, 1)[0]
		if got := w.values(&e); !slices.Equal(got, []string{"34", "30", "One [two]", "1", "STOP"}) {
			t.Errorf("%s: recorded %q", c.file, got)
		}
	}
}

// 3.9: each version is asked by its own name, the mirrored copy and the second try too, and the body is
// otherwise the client's.
func TestWire3_9_EachVersionByItsName(t *testing.T) {
	const body = "{ \"model\":\t\"m\", \"n\": 1.50, \"messages\":[{\"role\":\"user\",\"content\":\"\\u00e4 {\\\"model\\\":1}\"}] }"
	asked := func(name string) string { return strings.Replace(body, `"m"`, `"`+name+`"`, 1) }
	seen := make(chan string, 4)
	named := func(host string, status int) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			seen <- host + " " + string(b)
			rw.WriteHeader(status)
		}
	}
	models := func(m *assign.RouteSpec) { m.Arms[0].Spec.Model, m.Arms[1].Spec.Model = "big-1", "big-2" }
	t.Run("copy", func(t *testing.T) {
		w := newWorld(t, credit(0, speaking(release.DialectOpenAI), shadowed(release.Whole), models))
		w.upstream("live", named("live", 200))
		w.upstream("candidate", named("candidate", 200))
		w.do("POST", chatPath, body, "X-User-Id", "u")
		got := []string{<-seen, <-seen}
		slices.Sort(got)
		if want := []string{"candidate " + asked("big-2"), "live " + asked("big-1")}; !slices.Equal(got, want) {
			t.Errorf("asked %q, want %q", got, want)
		}
	})
	t.Run("second try", func(t *testing.T) {
		w := newWorld(t, credit(release.Whole, speaking(release.DialectOpenAI), models, func(m *assign.RouteSpec) { m.Arms[1].Spec.Failover = true }))
		w.upstream("live", named("live", 200))
		w.upstream("candidate", named("candidate", 503))
		if got := w.do("POST", chatPath, body, "X-User-Id", "u"); got.status != 200 {
			t.Errorf("got %+v", got)
		}
		if got, want := []string{<-seen, <-seen}, []string{"candidate " + asked("big-2"), "live " + asked("big-1")}; !slices.Equal(got, want) {
			t.Errorf("asked %q, want %q", got, want)
		}
	})
	t.Run("large", func(t *testing.T) {
		w := newWorld(t, credit(0, speaking(release.DialectOpenAI), models))
		w.upstream("live", named("live", 200))
		long := `{"messages":"` + strings.Repeat("long ", 1<<20) + `","model":"m"}`
		w.do("POST", chatPath, long, "X-User-Id", "u")
		if got := <-seen; got != "live "+strings.Replace(long, `"m"`, `"big-1"`, 1) {
			t.Errorf("a body of %d bytes came as %d", len(long), len(got))
		}
	})
}

// 3.10: the time to the first token runs from the request read to the first content, whatever comes before;
// reasoning and answer have times of their own; a whole answer has none.
func TestWire3_10_FirstToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, speaking(release.DialectOpenAI, "measure:ttft", "measure:ttft:answer", "measure:tpot", "measure:tokens:reasoning"), func(m *assign.RouteSpec) {
			m.Arms[0].Spec.Timeout = release.Duration(time.Hour)
		}))
		events := strings.SplitAfter(provider(t, "openai-reasoning.sse"), "\n\n")
		w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery == "whole" {
				time.Sleep(time.Second)
				rw.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(rw, provider(t, "openai-chat.json"))
				return
			}
			rw.Header().Set("Content-Type", eventType)
			for _, e := range events { // role, two of reasoning, answer, reason, usage, [DONE]
				time.Sleep(time.Second)
				_, _ = io.WriteString(rw, e)
				_ = http.NewResponseController(rw).Flush()
			}
		})
		w.do("POST", chatPath, askStream, "X-User-Id", "u")
		w.do("POST", chatPath+"?whole", `{"model":"m"}`, "X-User-Id", "u")
		all := w.sink.wait(t, 2)
		last := float64(len(events)) * 1000
		want := []string{"2000", "4000", fmt.Sprint((last - 2000) / 89), "64"}
		if got := w.values(&all[0]); got[0] != want[0] || got[1] != want[1] || got[3] != want[3] || got[2][:6] != want[2][:6] || all[0].TTFB > 1_000_000 {
			t.Errorf("recorded %q, TTFB %d; want %q", got, all[0].TTFB, want)
		}
		if got := w.values(&all[1]); !slices.Equal(got, []string{"-", "-", "-", "0"}) {
			t.Errorf("a whole answer recorded %q", got)
		}
	})
}

// 3.11: a conversation that began before the share changed is finished by the version that it began with, if its client asks
// for that by the id of its beginning, and counts for no arm, moved or not.
func TestWire3_11_FinishTheConversation(t *testing.T) {
	at := func(share release.Share, stratum uint16, change ...func(*assign.RouteSpec)) *assign.Spec {
		return credit(share, append(change, headerOnly, func(m *assign.RouteSpec) { m.Stratum = stratum })...)
	}
	w := newWorld(t, at(0, 1))
	w.upstream("live", echo("v1"))
	w.upstream("candidate", echo("v2"))
	ask := func(headers ...string) reply {
		return w.do("GET", "/credit", "", append(headers, "X-User-Id", "ann")...)
	}
	by := func(version string, counted bool, headers ...string) string {
		t.Helper()
		got := ask(headers...)
		if !strings.Contains(got.body, `"`+version+`"`) || (got.header.Get(HeaderID) != "") != counted {
			t.Errorf("answered by %s, counted %v, want %s, %v", got.body, got.header.Get(HeaderID) != "", version, counted)
		}
		return got.header.Get(HeaderID)
	}
	first := by("v1", true)
	by("v1", true, HeaderContinue, first) // nothing has changed: as any other

	w.serve(at(release.Whole, 2))
	second := by("v2", true)
	by("v1", false, HeaderContinue, first)
	by("v2", true, HeaderContinue, second)
	for name, id := range map[string]string{
		"altered": first[:40] + "AAAA" + first[44:], "garbage": "x", "of another unit": w.do("GET", "/credit", "", "X-User-Id", "bob").header.Get(HeaderID),
	} {
		if got := ask(HeaderContinue, id); !strings.Contains(got.body, `"v2"`) || got.header.Get(HeaderID) == "" {
			t.Errorf("an id that is %s: %s", name, got.body)
		}
	}

	w.serve(at(release.Whole, 3)) // both arms leave out what began before
	by("v2", false, HeaderContinue, second)
	w.serve(at(0, 4, func(m *assign.RouteSpec) { m.Release = 8 })) // the candidate went: nobody stays there
	by("v1", true, HeaderContinue, second)
	w.serve(at(0, 4, func(m *assign.RouteSpec) { m.Kind = release.ExposureOutside }))
	by("v1", true, HeaderContinue, second)
}

// A conversation does not last for ever.
func TestFinishedConversationsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, headerOnly))
		w.upstream("live", echo("v1"))
		w.upstream("candidate", echo("v2"))
		id := w.do("GET", "/credit", "", "X-User-Id", "ann").header.Get(HeaderID)
		w.serve(credit(release.Whole, headerOnly, func(m *assign.RouteSpec) { m.Stratum = 9 }))
		for _, version := range []string{"v1", "v2"} {
			if got := w.do("GET", "/credit", "", "X-User-Id", "ann", HeaderContinue, id); !strings.Contains(got.body, `"`+version+`"`) {
				t.Errorf("%s, want %s", got.body, version)
			}
			time.Sleep(maxContinued + time.Second)
		}
	})
}

// 3.11: the order in which a request names its unit, and that the same unit keeps its arm.
func TestWire3_11_StickyOrder(t *testing.T) {
	model := release.Model{Spec: release.Spec{Dialect: release.DialectOpenAI}}
	w := newWorld(t, credit(500_000, speaking(release.DialectOpenAI), func(m *assign.RouteSpec) { m.Unit.From = model.Normalise().Spec.Unit.From }))
	w.upstream("live", echo("v1"))
	w.upstream("candidate", echo("v2"))
	const body = `{"user":"ann","safety_identifier":"sid","prompt_cache_key":"pck","messages":[{"role":"system","content":"s"},{"role":"user","content":"Hi"}]}`
	without := func(names ...string) string {
		b := body
		for _, n := range names {
			b = strings.Replace(b, `"`+n+`"`, `"x_`+n+`"`, 1)
		}
		return b
	}
	ids := []string{"user", "safety_identifier", "prompt_cache_key"}
	n := 0
	unit := func(body string, headers ...string) uint64 {
		t.Helper()
		w.do("POST", chatPath, body, append(headers, "Authorization", "Bearer sk-1")...)
		n++
		return w.sink.wait(t, n)[n-1].Unit
	}
	of := func(id string) uint64 { return w.keys.UnitHash([]byte(id)) }
	for _, c := range []struct {
		body    string
		headers []string
		want    uint64
	}{
		{body, []string{"X-Sluice-User", "explicit", "X-Session-Id", "session"}, of("explicit")},
		{body, []string{"X-Session-Id", "session"}, of("ann")},
		{without(ids[:1]...), []string{"X-Session-Id", "session"}, of("sid")},
		{without(ids[:2]...), []string{"X-Session-Id", "session"}, of("pck")},
		{without(ids...), []string{"X-Session-Id", "session"}, of("session")},
	} {
		if got := unit(c.body, c.headers...); got != c.want {
			t.Errorf("%s with %q is unit %x, want %x", c.body, c.headers, got, c.want)
		}
	}
	first := unit(without(ids...))
	if later := unit(`{"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":"Ho"},{"role":"user","content":"Bye"}]}`); later != first {
		t.Error("the second turn of a conversation is another unit")
	}
	if other := unit(`{"messages":[{"role":"user","content":"Ho"}]}`); other == first {
		t.Error("another conversation is the same unit")
	}
	// What names nobody is served by live and left out.
	w.do("POST", chatPath, `{"messages":[]}`)
	w.do("GET", "/v1/models", "")
	if got := len(w.sink.wait(t, n)); got != n {
		t.Errorf("%d exposures, want %d", got, n)
	}
	// The API key is a unit where the file says so.
	w.serve(credit(500_000, speaking(release.DialectOpenAI), func(m *assign.RouteSpec) { m.Unit.From = []release.Selector{"apiKey", "conversation"} }))
	if a, b := unit(without(ids...)), unit(body); a != b || a == first {
		t.Error("the key does not name the unit")
	}
}

// 3.2, 3.5: a client that leaves in the middle of a stream: the upstream is cancelled at once, and what was counted so far
// is recorded and marked.
func TestWire3_5_CancelledStream(t *testing.T) {
	w := newWorld(t, credit(0, speaking(release.DialectOpenAI, "measure:cancelled", "measure:tokens:output", "measure:ttft", "measure:cost", "text category"), func(m *assign.RouteSpec) {
		m.Arms[0].Spec.Price = release.Price{Output: 1}
	}))
	events := strings.SplitAfter(provider(t, "openai-chat.sse"), "\n\n")
	over := make(chan struct{})
	w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
		stream(eventType, events[:4]...)(rw, r)
		<-r.Context().Done()
		close(over)
	})
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := w.client.Do(w.request("POST", chatPath, askStream, "X-User-Id", "u").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	readUntil(t, resp.Body, "😀") // some spell it as an escape
	cancel()
	_ = resp.Body.Close()
	<-over
	e := w.sink.wait(t, 1)[0]
	if got := w.values(&e); !slices.Equal(got, []string{"1", "3", "-", "-", "-"}) || e.Flags != release.FlagCancelled|release.FlagEstimated || e.Failed() {
		t.Errorf("recorded %q, %+v", got, e)
	}
}

// A pair of streams, the user's and the mirrored copy's, has both texts: what agree and paired metrics compare.
func TestShadowOfStreams(t *testing.T) {
	w := newWorld(t, credit(0, speaking(release.DialectOpenAI, "text category", "text:decision category", "json:choices.0.message.content category", "measure:length", "measure:tokens:output", "measure:similarity"),
		shadowed(release.Whole), func(m *assign.RouteSpec) {
			m.Arms[0].Spec.Price, m.Arms[1].Spec.Price = release.Price{Output: 1_000_000}, release.Price{Output: 2_000_000}
		}))
	answer := func(text string) http.HandlerFunc {
		half := len(text) / 2
		event := func(part string) string {
			b, _ := json.Marshal(part)
			return `data: {"choices":[{"index":0,"delta":{"content":` + string(b) + `}}]}` + "\n\n"
		}
		return stream(eventType, event(text[:half]), event(text[half:]), `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n", "data: [DONE]\n\n")
	}
	w.upstream("live", answer(`{"decision":"approve"}`))
	w.upstream("candidate", answer("```json\n{\"decision\":\"decline\"}\n```"))
	w.do("POST", chatPath, askStream, "X-User-Id", "u")
	all := w.sink.wait(t, 2)
	if all[0].Kind == release.ExposureCopy {
		all[0], all[1] = all[1], all[0]
	}
	if all[0].ID != all[1].ID || all[1].Kind != release.ExposureCopy {
		t.Fatalf("no pair: %+v", all)
	}
	for i, want := range [][]string{ // the two texts have 20 and 32 shingles, of which 12 are common
		{`{"decision":"approve"}`, "approve", `{"decision":"approve"}`, "22", "2", "1"},
		{"```json\n{\"decision\":\"decline\"}\n```", "decline", "```json\n{\"decision\":\"decline\"}\n```", "34", "2", "0.46153846153846156"},
	} {
		if got := w.values(&all[i]); !slices.Equal(got, want) {
			t.Errorf("exposure %d recorded %q, want %q", i, got, want)
		}
	}
}

// A whole answer and a stream are read by the same metrics.
func TestWholeAnswersOfLanguageModels(t *testing.T) {
	for _, c := range []struct {
		d          release.Dialect
		path, file string
		want       []string
	}{
		{release.DialectOpenAI, chatPath, "openai-chat.json", []string{"19", "5", "stop", `Hello "you"`, "11"}},
		{release.DialectOpenAI, "/v1/responses", "openai-responses.json", []string{"36", "87", "completed", "Hi there", "8"}},
		{release.DialectOpenAI, "/v1/embeddings", "openai-embeddings.json", []string{"8", "0", "-", "-", "-"}},
		{release.DialectAnthropic, "/v1/messages", "anthropic-message.json", []string{"3100", "503", "end_turn", "Hi! Bye.", "8"}},
		{release.DialectGemini, "/v1beta/models/m:generateContent", "gemini-whole.json", []string{"4", "2", "MAX_TOKENS", "Hi", "2"}},
	} {
		w := newWorld(t, credit(0, speaking(c.d, "measure:tokens:input", "measure:tokens:output", "measure:finish category", "text category", "measure:length"), func(m *assign.RouteSpec) {}),
			func(o *Options) { o.Limits.Keep = 32 << 10 }) // the embeddings are longer
		w.upstream("live", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(rw, provider(t, c.file))
		})
		if got := w.do("POST", c.path, `{"model":"m"}`, "X-User-Id", "u"); got.body != provider(t, c.file) {
			t.Errorf("%s is not relayed as it is", c.file)
		}
		e := w.sink.wait(t, 1)[0]
		if got := w.values(&e); !slices.Equal(got, c.want) {
			t.Errorf("%s: recorded %q, want %q", c.file, got, c.want)
		}
	}
	// An error inside of a 200, of which clients are told nothing by the status.
	w := newWorld(t, credit(0, speaking(release.DialectOpenAI, "measure:tokens:input")))
	w.upstream("live", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, `{"error":{"message":"no capacity","code":503}}`)
	})
	if w.do("POST", chatPath, `{}`, "X-User-Id", "u"); w.sink.wait(t, 1)[0].Fault != release.FaultUpstream {
		t.Error("an error inside of a 200 was no failure")
	}
}

// The Open Inference Protocol over HTTP and gRPC: one metric reads both, the version's name is put in place.
func TestOpenInferenceProtocol(t *testing.T) {
	output := "\x0a\x05score" + "\x12\x04FP32" + "\x2a\x06\x32\x04\x00\x00\x00\x3f" // name, datatype, contents with 0.5
	message := "\x0a\x01m" + "\x2a" + string(rune(len(output))) + output
	frame := func(s string) string {
		return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(s)))) + s
	}
	w := newWorld(t, credit(0, speaking(release.DialectOIP, "json:outputs.0.data.0", "json:outputs.0.name category"), speaks(release.ProtocolAuto), func(m *assign.RouteSpec) {
		m.Dialect, m.Match.Path = release.DialectOIP, "/"
		m.Arms[0].Spec.Model = "bigger"
	}))
	var seen []string
	w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		seen = append(seen, r.URL.Path+" "+string(b))
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			rw.Header().Set("Content-Type", "application/grpc")
			rw.Header().Set("Trailer", "Grpc-Status")
			_, _ = io.WriteString(rw, frame(message))
			rw.Header().Set("Grpc-Status", "0")
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, `{"model_name":"m","outputs":[{"name":"score","shape":[1],"datatype":"FP32","data":[0.5]}]}`)
	})
	w.do("POST", "/v2/models/small/infer", `{"inputs":[]}`, "X-User-Id", "u", "Content-Type", "application/json")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://gateway/inference.GRPCInferenceService/ModelInfer", strings.NewReader(frame("\x0a\x05small\x1a\x02id")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("X-User-Id", "u")
	resp, err := w.h2c().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || string(body) != frame(message) || resp.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("got %q, %v, %v", body, err, resp.Trailer)
	}
	if want := []string{`/v2/models/bigger/infer {"inputs":[]}`, "/inference.GRPCInferenceService/ModelInfer " + frame("\x0a\x06bigger\x1a\x02id")}; !slices.Equal(seen, want) {
		t.Errorf("asked %q, want %q", seen, want)
	}
	for i, e := range w.sink.wait(t, 2) {
		if got := w.values(&e); !slices.Equal(got, []string{"0.5", "score"}) || e.Fault != release.FaultNone {
			t.Errorf("request %d recorded %q, %+v", i, got, e)
		}
	}
}
