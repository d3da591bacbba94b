package assign

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/release"
)

func route(model string, match release.Match) RouteSpec {
	return RouteSpec{
		Model: model, Match: match, Kind: release.ExposureOutside, Serve: Initial(), Salt: model + "/1",
		Arms: []ArmSpec{{Version: "v1", Spec: release.Version{URL: "http://127.0.0.1:9101"}}},
	}
}

func releasing(model string, kind release.ExposureKind, mirror release.Share) RouteSpec {
	r := route(model, release.Match{Path: "/" + model})
	r.Kind, r.Release, r.Stratum, r.Mirror = kind, 3, 1, mirror
	r.Arms = append(r.Arms, ArmSpec{Version: "v2", Spec: release.Version{URL: "http://127.0.0.1:9102", Timeout: release.Duration(2 * time.Second)}})
	cut, _ := Reshape(Initial(), []release.Share{800_000, 200_000})
	if kind == release.ExposureWouldBe {
		r.WouldBe = cut
	} else {
		r.Serve = cut
	}
	return r
}

func plain(s release.Secret) (string, error) { return string(s), nil }

func compile(tb testing.TB, specs ...RouteSpec) *Routes {
	tb.Helper()
	r, err := Compile(&Spec{Generation: 7, Lease: 600_000, Models: specs}, plain)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestMatchMostSpecificFirst(t *testing.T) {
	routes := compile(
		t,
		route("any", release.Match{}),
		route("prefix", release.Match{Path: "/v1/"}),
		route("exact", release.Match{Path: "/v1/credit"}),
		route("longer", release.Match{Path: "/v1/credit/"}),
		route("with-header", release.Match{Path: "/v1/credit", Headers: map[string]string{"X-Beta": "1"}}),
		route("host", release.Match{Host: "Models.Example:8080"}),
		route("helpdesk", release.Match{Model: "helpdesk"}),
		route("hosted", release.Match{Model: "helpdesk", Host: "llm.example"}),
	)
	for _, c := range []struct{ host, path, beta, model, want string }{
		{"x", "/other", "", "", "any"},
		{"x", "/v1/", "", "", "prefix"},
		{"x", "/v1/image", "", "", "prefix"},
		{"x", "/v1/credit", "", "", "exact"},
		{"x", "/v1/credit/7", "", "", "longer"},
		{"x", "/v1/creditor", "", "", "prefix"},
		{"x", "/v1/credit", "1", "", "with-header"},
		{"models.example", "/v1/credit", "1", "", "host"},
		{"MODELS.example:9", "/", "", "", "host"},
		{"x", "/v1/credit", "1", "helpdesk", "helpdesk"},
		{"llm.example:443", "/v1/credit", "1", "helpdesk", "hosted"},
		{"[::1]:80", "/other", "", "unknown", "any"},
	} {
		asked := 0
		header := func(name string) string {
			if name == "X-Beta" {
				return c.beta
			}
			return ""
		}
		got := routes.Match(c.host, c.path, header, func() string { asked++; return c.model })
		if got == nil || got.Model != c.want || asked > 1 {
			t.Errorf("%+v: %v, body read %d times", c, got, asked)
		}
	}
	only := compile(t, route("credit", release.Match{Path: "/credit"}))
	if got := only.Match("x", "/debit", nil, nil); got != nil {
		t.Errorf("a request of nobody got %s", got.Model)
	}
	if got := only.Match("x", "/credit", nil, func() string { t.Error("body read without need"); return "" }); got == nil {
		t.Error("no match without headers")
	}
}

func TestAssignInEachKind(t *testing.T) {
	wouldBe := compile(t, releasing("credit", release.ExposureWouldBe, 500_000)).All[0]
	smaller := compile(t, releasing("credit", release.ExposureWouldBe, 100_000)).All[0]
	serve := compile(t, releasing("credit", release.ExposureServe, 0)).All[0]
	outside := compile(t, route("credit", release.Match{})).All[0]
	candidates, mirrored, fewer, both := 0, 0, 0, 0
	const n = 20_000
	for i := range n {
		unit := fmt.Appendf(nil, "user-%d", i)
		w, s, o := wouldBe.Assign(unit), serve.Assign(unit), outside.Assign(unit)
		if w.Arm != 0 || w.Counted != s.Arm || s.Counted != s.Arm || o.Arm != 0 || o.Counted != 0 {
			t.Fatalf("unit %s: would be %+v, serve %+v, outside %+v", unit, w, s, o)
		}
		if w.Counted != wouldBe.WouldBe(unit) || s.Arm != serve.Arm(unit) || s.Arm != serve.WouldBe(unit) {
			t.Fatalf("unit %s: Assign and the single answers differ", unit)
		}
		if s.Mirrored || o.Mirrored || w.Bin != Bin(unit) {
			t.Fatalf("unit %s: %+v", unit, s)
		}
		if smaller.Mirrored(unit) && !w.Mirrored {
			t.Fatalf("unit %s is in the 10 %% sample and not in the 50 %% one", unit)
		}
		candidates += int(s.Arm)
		mirrored += b2i(w.Mirrored)
		fewer += b2i(smaller.Mirrored(unit))
		both += b2i(w.Mirrored && w.Counted == 1)
	}
	for _, c := range []struct{ got, want int }{{candidates, n / 5}, {mirrored, n / 2}, {fewer, n / 10}, {both, n / 10}} {
		if c.got < c.want-350 || c.got > c.want+350 { // five standard deviations of n/2
			t.Errorf("%d units, expected about %d", c.got, c.want)
		}
	}
	unit := []byte("3f2a9c1e-6f7b-4b57-9f5e-0d3b8a1c2e4f")
	if a := testing.AllocsPerRun(100, func() { wouldBe.Assign(unit) }); a != 0 {
		t.Errorf("Assign allocates %v times", a)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestCompileFillsDefaultsAndResolvesSecrets(t *testing.T) {
	spec := releasing("credit", release.ExposureServe, 0)
	spec.Arms[1].Spec.Headers = map[string]release.Secret{"X-B": "plain", "Authorization": "env:TOKEN"}
	resolve := func(s release.Secret) (string, error) {
		return strings.Replace(string(s), "env:TOKEN", "Bearer 1", 1), nil
	}
	routes, err := Compile(&Spec{Generation: 9, Lease: 1500, Models: []RouteSpec{spec}}, resolve)
	if err != nil {
		t.Fatal(err)
	}
	r := routes.Model("credit")
	if r == nil || routes.Model("debit") != nil {
		t.Fatal("Model finds the wrong ones")
	}
	if routes.Generation != 9 || routes.Lease != 1500*time.Millisecond || len(routes.Faults()) != 0 {
		t.Errorf("%+v", routes)
	}
	want := []Header{{"Authorization", "Bearer 1"}, {"X-B", "plain"}}
	if u := r.Upstreams[1]; u.Version != "v2" || u.URL.Host != "127.0.0.1:9102" || u.Timeout != 2*time.Second || !reflect.DeepEqual(u.Headers, want) {
		t.Errorf("%+v", u)
	}
	if u := r.Upstreams[0]; u.Timeout != 30*time.Second || u.MaxConcurrent != 512 {
		t.Errorf("%+v", u)
	}
	if r.Unit.Missing != release.MissingLive || r.Limits.Body != 10<<20 || time.Duration(r.Horizon) != 72*time.Hour || r.Key != release.ModelKeyOf("credit") {
		t.Errorf("%+v", r)
	}
}

// A secret that isn't there spoils its arm alone: other models, and an abort, still reach gateways.
func TestCompileMarksWhatIsOnlyWrongHere(t *testing.T) {
	spec := releasing("credit", release.ExposureServe, 0)
	spec.Arms[1].Spec.Headers = map[string]release.Secret{"Authorization": "env:TOKEN"}
	bad := route("image", release.Match{Path: "/image"})
	bad.Arms[0].Spec.URL = "127.0.0.1"
	missing := func(release.Secret) (string, error) { return "", errors.New("TOKEN is not set") }
	routes, err := Compile(&Spec{Models: []RouteSpec{spec, bad}}, missing)
	if err != nil {
		t.Fatal(err)
	}
	if r := routes.Model("credit"); r.Upstreams[0].Err != nil || r.Upstreams[1].URL != nil {
		t.Errorf("%+v", r.Upstreams)
	}
	got := fmt.Sprint(errors.Join(routes.Faults()...))
	for _, want := range []string{"use version v2 of model credit", "header Authorization: TOKEN is not set", `"127.0.0.1" has no scheme`, "check its url"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*RouteSpec)
		want   string
	}{
		"no name":     {func(r *RouteSpec) { r.Model = "" }, "a model has no name"},
		"no arms":     {func(r *RouteSpec) { r.Arms = nil }, "0 arms; 1 to 8"},
		"foreign arm": {func(r *RouteSpec) { r.Arms = r.Arms[:1] }, "names arm 1; there are 1"},
		"signals":     {func(r *RouteSpec) { r.Signals = make([]release.Signal, 17) }, "17 signals; 16"},
		"mirror":      {func(r *RouteSpec) { r.Mirror = release.Whole + 1 }, "above 100%"},
		"path":        {func(r *RouteSpec) { r.Match.Path = "credit" }, "does not begin with a slash"},
		"kind":        {func(r *RouteSpec) { r.Kind = release.ExposureCopy }, "kind 2"},
		"serve":       {func(r *RouteSpec) { r.Serve = nil }, "0 intervals"},
		"would be":    {func(r *RouteSpec) { r.Kind = release.ExposureWouldBe }, "0 intervals"},
		"salt":        {func(r *RouteSpec) { r.Salt = "\x00" }, "zero byte"},
		"alone":       {func(r *RouteSpec) { *r = route("x", release.Match{}); r.Mirror = 1 }, "there is no candidate"},
	} {
		good, bad := route("good", release.Match{}), releasing("credit", release.ExposureServe, 0)
		c.change(&bad)
		_, err := Compile(&Spec{Models: []RouteSpec{good, bad}}, plain)
		if err == nil || !strings.Contains(err.Error(), c.want) || release.KindOf(err) != release.KindInvalid {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	twice := []RouteSpec{route("a", release.Match{}), route("a", release.Match{})}
	if _, err := Compile(&Spec{Models: twice, Lease: -1}, plain); err == nil || !strings.Contains(err.Error(), "there twice") || !strings.Contains(err.Error(), "negative") {
		t.Errorf("not all faults at once: %v", err)
	}
}

func TestCodecRoundTripAndDamage(t *testing.T) {
	spec := &Spec{Generation: 12, Lease: 600_000, Models: []RouteSpec{releasing("credit", release.ExposureWouldBe, 100_000)}}
	data, err := Encode(spec)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Encode(back); err != nil || !bytes.Equal(again, data) {
		t.Errorf("round trip differs (%v):\n%s\n%s", err, data, again)
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x20
		if _, err := Decode(bad); err == nil {
			t.Fatalf("a flipped bit at %d (%q) went unnoticed", i, data[i])
		}
		if _, err := Decode(data[:i]); err == nil {
			t.Fatalf("cut at %d went unnoticed", i)
		}
	}
	if _, err := Decode(make([]byte, MaxSpec+1)); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("too large: %v", err)
	}
	huge := &Spec{Models: []RouteSpec{{Model: strings.Repeat("x", MaxSpec)}}}
	if _, err := Encode(huge); release.KindOf(err) != release.KindInvalid {
		t.Errorf("too large to encode: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	data, err := Encode(&Spec{Generation: 1, Models: []RouteSpec{releasing("credit", release.ExposureServe, 0)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(header))
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := Decode(data)
		if err != nil {
			return
		}
		if _, err := Compile(spec, plain); err != nil && release.KindOf(err) != release.KindInvalid {
			t.Errorf("refused without a kind: %v", err)
		}
	})
}

func BenchmarkAssign(b *testing.B) {
	unit := []byte("3f2a9c1e-6f7b-4b57-9f5e-0d3b8a1c2e4f")
	for _, c := range []struct {
		name string
		spec RouteSpec
	}{{"serve", releasing("credit", release.ExposureServe, 0)}, {"shadow", releasing("credit", release.ExposureWouldBe, 100_000)}} {
		r := compile(b, c.spec).All[0]
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Assign(unit)
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	var specs []RouteSpec
	for i := range 100 {
		specs = append(specs, route(fmt.Sprintf("m%d", i), release.Match{Path: fmt.Sprintf("/models/m%d", i)}))
	}
	routes := compile(b, specs...)
	b.ReportAllocs()
	for b.Loop() {
		routes.Match("x", "/models/m77", nil, nil)
	}
}
