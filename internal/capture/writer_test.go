package capture

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
)

func newWriter(t *testing.T, o Options) (*Writer, []age.Identity) {
	t.Helper()
	keyFile := filepath.Join(t.TempDir(), "capture.key")
	to, err := Recipient("", keyFile)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := Identities(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Recipient, o.Log = to, slog.New(slog.DiscardHandler)
	return NewWriter(o), ids
}

// drain runs a writer until it has written what is queued.
func drain(t *testing.T, w *Writer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func exchange(model, text string) Raw {
	return Raw{
		Exchange:   Exchange{Time: time.Now().UTC().Round(0), Model: model, Arm: "candidate", Version: "v2", Status: 200, Keep: time.Hour},
		AnswerType: "text/plain", AnswerBody: []byte(text), AnswerSize: int64(len(text)),
		RequestType: "application/json", RequestBody: []byte(`{"unit":"u-1"}`), RequestSize: 14,
		Redact: NewRedactor([]string{"unit"}, 4096),
	}
}

func TestRoundTrip(t *testing.T) {
	w, ids := newWriter(t, Options{})
	secret := "nobody but the key's owner reads this"
	for _, text := range []string{"first", secret} {
		w.Keep(exchange("credit", text))
	}
	w.Keep(exchange("other", "third"))
	drain(t, w)

	var got []string
	for e, err := range Read(w.o.Dir, "credit", ids...) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Answer.Text)
		if e.Request.Text != `{"unit":"[removed]"}` {
			t.Errorf("the request reads %s", e.Request.Text)
		}
	}
	if strings.Join(got, "|") != "first|"+secret {
		t.Errorf("read %q", got)
	}
	if kept, dropped := w.Counts(); kept != 3 || dropped != 0 {
		t.Errorf("counted %d kept, %d dropped", kept, dropped)
	}
	for name, content := range filesOf(t, w.o.Dir) {
		if bytes.Contains(content, []byte("nobody")) || bytes.Contains(content, []byte("candidate")) {
			t.Errorf("%s can be read without a key", name)
		}
	}
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range Read(w.o.Dir, "credit", stranger) {
		if err == nil {
			t.Error("another key opened it")
		}
	}
}

func filesOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		files[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFullQueueDropsAndCounts(t *testing.T) {
	w, _ := newWriter(t, Options{Queue: 2})
	for range 5 {
		w.Keep(exchange("credit", "x")) // nobody writes: it must not block
	}
	if _, dropped := w.Counts(); dropped != 3 {
		t.Errorf("%d dropped, want 3", dropped)
	}
}

func TestFullFolderDropsAndCounts(t *testing.T) {
	w, ids := newWriter(t, Options{MaxBytes: 3000})
	for range 4 {
		w.Keep(exchange("credit", strings.Repeat("x", 1000)))
		drain(t, w)
	}
	kept, dropped := w.Counts()
	if kept == 0 || dropped == 0 || kept+dropped != 4 {
		t.Errorf("%d kept, %d dropped of 4", kept, dropped)
	}
	n := uint64(0)
	for _, err := range Read(w.o.Dir, "", ids...) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != kept {
		t.Errorf("%d can be read, %d counted", n, kept)
	}
}

func TestExpiry(t *testing.T) {
	w, ids := newWriter(t, Options{})
	w.Keep(exchange("credit", "x"))
	drain(t, w)
	count := func() (n int) {
		for _, err := range Read(w.o.Dir, "", ids...) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	w.sweep(time.Now().Add(59 * time.Minute))
	if count() != 1 {
		t.Error("gone before its hour was over")
	}
	w.sweep(time.Now().Add(2*time.Hour + time.Minute))
	if count() != 0 {
		t.Error("still there after its time")
	}
}

func TestDamage(t *testing.T) {
	w, ids := newWriter(t, Options{})
	w.Keep(exchange("credit", "x"))
	drain(t, w)
	for name, content := range filesOf(t, w.o.Dir) {
		content[len(content)-1] ^= 1
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	faults := 0
	for _, err := range Read(w.o.Dir, "", ids...) {
		if err != nil {
			faults++
		}
	}
	if faults != 1 {
		t.Errorf("%d faults told, want 1", faults)
	}
}

func TestRecipient(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "k")
	if _, err := Recipient(id.Recipient().String(), file); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a key was made although a recipient was given")
	}
	if _, err := Recipient("age1nonsense", file); err == nil {
		t.Error("nonsense was taken for a public key")
	}
	first, err := Recipient("", file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Recipient("", file)
	if err != nil || first.(*age.X25519Recipient).String() != again.(*age.X25519Recipient).String() {
		t.Errorf("the key changed: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, %v", info.Mode(), err)
	}
}
