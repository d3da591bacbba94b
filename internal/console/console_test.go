package console

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func get(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// eachFile calls see with every embedded file of ours, or with all of them.
func eachFile(t *testing.T, vendored bool, see func(name, body string)) {
	t.Helper()
	seen := 0
	err := fs.WalkDir(files, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !vendored && strings.Contains(name, "/vendor/") {
			return err
		}
		b, err := fs.ReadFile(files, name)
		see(name, string(b))
		seen++
		return err
	})
	if err != nil || seen < 15 {
		t.Fatalf("%d files, %v", seen, err)
	}
}

func TestPageIsServedUnderAStrictPolicy(t *testing.T) {
	h := Handler()
	w := get(h, "GET", "/")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("Cache-Control") != "no-cache" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	csp := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("the policy lacks %s: %s", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || strings.Contains(csp, "http") {
		t.Errorf("the policy is weak: %s", csp)
	}
	for _, header := range []string{"X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy"} {
		if w.Header().Get(header) == "" {
			t.Errorf("%s is missing", header)
		}
	}
	if strings.Contains(w.Body.String(), "{{") {
		t.Error("the page has a place that was not filled in")
	}
}

// TestPageRefersToWhatIsServed follows every address of the page.
func TestPageRefersToWhatIsServed(t *testing.T) {
	h := Handler()
	links := regexp.MustCompile(`(?:href|src)="(/[^"]*)"`).FindAllStringSubmatch(get(h, "GET", "/").Body.String(), -1)
	if len(links) < 5 {
		t.Fatalf("%v", links)
	}
	for _, link := range links {
		w := get(h, "GET", link[1])
		if w.Code != 200 || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d %v", link[1], w.Code, w.Header())
		}
	}
}

// TestModulesImportWhatIsServed follows every import of every module of ours.
func TestModulesImportWhatIsServed(t *testing.T) {
	imports := regexp.MustCompile(`(?m)^import .*? from "\./([^"]+)";$`)
	all := 0
	eachFile(t, false, func(name, body string) {
		if path.Ext(name) != ".js" {
			return
		}
		if strings.Count(body, "import ") < len(imports.FindAllString(body, -1)) {
			t.Errorf("%s: imports are not understood", name)
		}
		for _, m := range imports.FindAllStringSubmatch(body, -1) {
			all++
			if _, err := fs.Stat(files, "static/"+m[1]); err != nil {
				t.Errorf("%s imports %s: %v", name, m[1], err)
			}
		}
	})
	if all < 20 {
		t.Errorf("only %d imports found", all)
	}
}

func TestEntityTags(t *testing.T) {
	h := Handler()
	tag := get(h, "GET", "/").Header().Get("ETag")
	for header, want := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200} {
		w := get(h, "GET", "/", "If-None-Match", header)
		if w.Code != want || want == 304 && w.Body.Len() > 0 {
			t.Errorf("If-None-Match %s: %d, want %d", header, w.Code, want)
		}
	}
	if w := get(h, "HEAD", "/"); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: %d %d", w.Code, w.Body.Len())
	}
}

func TestNothingElseIsServed(t *testing.T) {
	h := Handler()
	for _, path := range []string{"/index.html", "/main.js", "/assets/", "/assets/0000000000000000/main.js", "/static/main.js", "/x", "/assets/../main.js"} {
		if w := get(h, "GET", path); w.Code != 404 || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := get(h, "POST", "/"); w.Code != 405 || w.Header().Get("Allow") == "" {
		t.Errorf("POST: %d", w.Code)
	}
}

// TestFolderChangesWithAnyByte: browsers keep files for ever, so a changed one must have a new address.
func TestFolderChangesWithAnyByte(t *testing.T) {
	folder := func(script string) string {
		h, err := load(fstest.MapFS{"static/index.html": {Data: []byte(`<script src="{{assets}}/main.js">`)}, "static/main.js": {Data: []byte(script)}})
		if err != nil {
			t.Fatal(err)
		}
		return h.folder
	}
	first, again, other := folder("a"), folder("a"), folder("b")
	if first != again || first == other {
		t.Error("the folder does not follow the content")
	}
	if _, err := load(fstest.MapFS{"static/index.html": {Data: []byte("x")}}); err == nil {
		t.Error("a page without its assets was taken")
	}
	if _, err := load(fstest.MapFS{"static/a.exe": {Data: []byte("x")}}); err == nil {
		t.Error("a file of an unknown type was taken")
	}
}

// TestNoOtherHost: our files name no address outside their own server. Two are names and no addresses.
func TestNoOtherHost(t *testing.T) {
	hosts := regexp.MustCompile(`(?i)(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s"'<>]*`)
	allowed := []string{
		"http://www.w3.org/2000/svg",        // a namespace
		"https://github.com/leeoniya/uPlot", // in a licence comment
	}
	eachFile(t, true, func(name, body string) {
		for _, m := range hosts.FindAllString(body, -1) {
			if !slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(m, a) }) {
				t.Errorf("%s names %s", name, m)
			}
		}
	})
}

// TestNothingInline: what the policy would block must not be there in the first place, and texts never
// become markup.
func TestNothingInline(t *testing.T) {
	bad := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|localStorage\.setItem\([^)]*oken`)
	page := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script>|javascript:`)
	eachFile(t, true, func(name, body string) {
		if m := bad.FindString(body); m != "" && path.Ext(name) == ".js" {
			t.Errorf("%s uses %s", name, m)
		}
		if m := page.FindString(body); m != "" && path.Ext(name) == ".html" {
			t.Errorf("%s has %s", name, m)
		}
	})
}

func dictionary(t *testing.T, lang string) map[string]string {
	t.Helper()
	b, err := fs.ReadFile(files, "static/lang/"+lang+".json")
	if err != nil {
		t.Fatal(err)
	}
	var d map[string]string
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatalf("%s: %v", lang, err)
	}
	return d
}

var names = regexp.MustCompile(`\{\w+\}`)

// TestDictionariesSayTheSame: same keys, same names to fill in, nothing empty, and Chinese is Chinese.
func TestDictionariesSayTheSame(t *testing.T) {
	en, zh := dictionary(t, "en"), dictionary(t, "zh")
	for _, key := range slices.Sorted(maps.Keys(en)) {
		other, ok := zh[key]
		if !ok {
			t.Errorf("zh lacks %s", key)
			continue
		}
		a, b := names.FindAllString(en[key], -1), names.FindAllString(other, -1)
		slices.Sort(a)
		slices.Sort(b)
		if en[key] == "" || other == "" || !slices.Equal(slices.Compact(a), slices.Compact(b)) {
			t.Errorf("%s: %q and %q", key, en[key], other)
		}
		if text := names.ReplaceAllString(other, ""); regexp.MustCompile(`\pL`).MatchString(text) && !regexp.MustCompile(`\p{Han}`).MatchString(text) {
			t.Errorf("%s is not translated: %q", key, other)
		}
	}
	for key := range zh {
		if _, ok := en[key]; !ok {
			t.Errorf("en lacks %s", key)
		}
	}
}

// TestTextsAreThere: every key that the modules name is in the dictionary, and the other way round:
// no text is left over. Keys that are put together end in a dot before ${.
func TestTextsAreThere(t *testing.T) {
	en := dictionary(t, "en")
	whole := regexp.MustCompile(`"([a-z]+\.[A-Za-z0-9]+)"`)
	begun := regexp.MustCompile("[`\"]([a-z]+\\.)(?:\\$\\{[^}]*\\}((?:\\.[a-z]+)?)`|\" \\+)")
	groups := regexp.MustCompile(`(?:word\(|group, )"([a-z]+)"`)
	called := regexp.MustCompile(`\bt\("([^"]+)"`)
	used := map[string]bool{}
	var prefixes []string
	eachFile(t, false, func(name, body string) {
		if path.Ext(name) != ".js" {
			return
		}
		for _, m := range called.FindAllStringSubmatch(body, -1) {
			if _, ok := en[m[1]]; !ok && !strings.HasSuffix(m[1], ".") {
				t.Errorf("%s shows %s, which is not in the dictionary", name, m[1])
			}
		}
		for _, m := range whole.FindAllStringSubmatch(body, -1) {
			used[m[1]] = true
		}
		for _, m := range begun.FindAllStringSubmatch(body, -1) {
			prefixes = append(prefixes, m[1])
		}
		for _, m := range groups.FindAllStringSubmatch(body, -1) {
			prefixes = append(prefixes, m[1]+".")
		}
	})
	frame, err := os.ReadFile("frame.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`"((?:nav|guide|theme)\.[a-z]+)"`).FindAllStringSubmatch(string(frame), -1) {
		if _, ok := en[m[1]]; !ok {
			t.Errorf("the guide shows %s, which is not in the dictionary", m[1])
		}
		used[m[1]] = true
	}
	for _, key := range slices.Sorted(maps.Keys(en)) {
		if !used[key] && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
			t.Errorf("%s is never shown", key)
		}
	}
}

// TestWordsOfTheAPI: every phase, verdict, step and decision has its word in the dictionary. The lists
// are written out here, for the console imports nothing of ours.
func TestWordsOfTheAPI(t *testing.T) {
	en := dictionary(t, "en")
	for group, values := range map[string]string{
		"phase":   "Pending Testing Shadowing Experimenting Ramping Watching Optimizing Paused Succeeded RolledBack Stopped Undone",
		"step":    "test shadow abTest canary approval pause production optimize",
		"verdict": "worse noWorse better undecided noData waiting burnIn tooFewUnits",
		"what":    "start advance hold pause resume rollback finish stop undo retry adjust baseline note",
		"role":    "viewer operator admin objective guardrail watch",
		"case":    "passed failed undecided skipped",
		"family":  "functional performance exception",
	} {
		for value := range strings.FieldsSeq(values) {
			if _, ok := en[fmt.Sprintf("%s.%s", group, value)]; !ok {
				t.Errorf("%s.%s is missing", group, value)
			}
		}
	}
}
