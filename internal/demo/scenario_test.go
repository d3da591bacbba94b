package demo

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/suite"
)

// TestScenarios says of each demo that its Model file and suite are sound, that every version answers what its users
// send, and that what they learn from the answer is a metric of the file.
func TestScenarios(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			s, err := Find(name)
			if err != nil {
				t.Fatal(err)
			}
			urls := map[string]string{}
			for _, v := range s.versions {
				urls[v] = "http://127.0.0.1:1"
			}
			file, err := modelFile(name, planData{URLs: urls, Shadow: true, Rate: 1})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := release.ParseModel(name+".yaml", []byte(file)); err != nil {
				t.Error(err)
			}
			if _, err := suite.BundleFS(s.files, "suite.yaml"); err != nil {
				t.Error(err)
			}
			for _, r := range s.releases {
				if urls[r.version] == "" || len(r.expect) == 0 {
					t.Errorf("release of %q, expected to end in %v", r.version, r.expect)
				}
			}
			for _, v := range s.versions {
				checkAnswers(t, s, v, file)
			}
		})
	}
}

// checkAnswers sends the first requests of the scenario's users to one version.
func checkAnswers(t *testing.T, s *Scenario, version, file string) {
	t.Helper()
	h, err := s.handler(version, 1)
	if err != nil {
		t.Fatal(err)
	}
	users, err := s.source(1)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		j := users.next()
		r := httptest.NewRequest(http.MethodPost, s.path, bytes.NewReader(j.body))
		r.Header.Set("Content-Type", s.media)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		answer, err := io.ReadAll(w.Body)
		if err != nil || w.Code != http.StatusOK || j.user == "" {
			t.Fatalf("%s: %q of user %q is answered %d %s, %v", version, j.body, j.user, w.Code, answer, err)
		}
		facts := j.learn(answer)
		for _, f := range facts {
			if !strings.Contains(file, "feedback:"+f.metric) {
				t.Errorf("no metric of the Model file takes %q", f.metric)
			}
		}
		if len(facts) == 0 {
			t.Error("nothing is learnt")
		}
	}
}

func TestFindNamesTheDemos(t *testing.T) {
	if _, err := Find("x"); err == nil || !strings.Contains(err.Error(), "credit, diagnosis, images, llm") {
		t.Errorf("%v", err)
	}
}

func TestClicks(t *testing.T) {
	category := map[string]int{"p1": 3, "p2": 4, "p3": 3}
	for answer, want := range map[string]int{
		`{"similar": ["p1", "p2", "p3", "p9"]}`: 2,
		`{"similar": []}`:                       0,
		`{"similar": "p1"}`:                     0,
		`not JSON`:                              0,
	} {
		if got := clicks([]byte(answer), category, 3); len(got) != 1 || got[0] != (fact{"clicks", want}) {
			t.Errorf("%s: %v, want %d clicks", answer, got, want)
		}
	}
	if got := clicks([]byte(`{"similar": ["p9"]}`), category, 0); got[0].value != 0 {
		t.Errorf("an unknown product counts as of category 0: %v", got)
	}
}

func TestGood(t *testing.T) {
	s := llmScenario()
	r := Result{}
	if r.Good() {
		t.Error("no release is good")
	}
	for _, p := range s.releases {
		r.Releases = append(r.Releases, ReleaseResult{Phase: p.expect[0], Expected: p.expect})
	}
	if !r.Good() {
		t.Error("all as expected is not good")
	}
	r.Releases[1].Phase = r.Releases[0].Phase
	if r.Good() {
		t.Error("a bad version that succeeded is good")
	}
}
