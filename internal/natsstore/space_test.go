package natsstore

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/store"
)

// fill appends until the store answers an error, which it returns, and how many entries it took.
func fill(t *testing.T, s *Store, size int) (int, error) {
	t.Helper()
	data := make([]byte, size)
	for n := range 2000 {
		if _, err := s.Append(t.Context(), "p0", "", data); err != nil {
			return n, err
		}
	}
	t.Fatal("the store never filled")
	return 0, nil
}

func wantFull(t *testing.T, err error, part string) {
	t.Helper()
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), part) {
		t.Fatalf("%v, want ErrFull and %q", err, part)
	}
}

func TestFullLog(t *testing.T) {
	s, err := OpenEmbedded(t.Context(), Options{Dir: t.TempDir(), LogBytes: 1 << 20, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n, err := fill(t, s, 100<<10)
	wantFull(t, err, "maximum bytes exceeded")
	if first, last, err := s.Bounds(t.Context(), "p0"); err != nil || first != 1 || int(last) != n {
		t.Fatalf("%d to %d, %v: a full log dropped entries, %d were stored", first, last, err, n)
	}
	if _, err := s.Append(t.Context(), "p1", "", make([]byte, 100<<10)); err != nil {
		t.Fatalf("another log: %v", err)
	}
	mustCommit(t, s, nil, store.Write{Key: "k", Value: []byte("v")})
}

// Telemetry may fill all but an eighth of the engine, and decisions go on.
func TestFullEngine(t *testing.T) {
	s, err := OpenEmbedded(t.Context(), Options{Dir: t.TempDir(), MaxStore: 16 << 20, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.space.age = -1 // look each time, or the limit is passed within one look
	_, err = fill(t, s, 400<<10)
	wantFull(t, err, "of 16 MiB are used")
	_, err = s.PutBlob(t.Context(), "snap", make([]byte, 10), 0)
	wantFull(t, err, "of 16 MiB are used")
	l, err := s.Acquire(t.Context(), "leader", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	mustCommit(t, s, l, store.Write{Key: "k", Value: make([]byte, 300<<10)}, store.Write{Key: "log", Value: []byte("v"), Append: true})
}

func TestFullDisk(t *testing.T) {
	s := openDir(t, t.TempDir())
	s.space.age = -1
	s.space.minFree = 1 << 62
	_, err := s.Append(t.Context(), "p0", "", nil)
	wantFull(t, err, "free some")
	_, err = s.Commit(t.Context(), store.Batch{Writes: []store.Write{{Key: "k"}}})
	wantFull(t, err, s.opts.Dir)
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("a read of a full store: %v", err)
	}
}

// TestRealDisk fills a small disk of its own up to the reserve, and what was stored is there after
// a restart. It needs to be allowed to mount.
func TestRealDisk(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("mounts a disk")
	}
	dir := t.TempDir()
	if err := mountSmall(dir, 32<<20); err != nil {
		t.Skipf("mount: %v", err)
	}
	defer unmount(dir)
	o := Options{Dir: dir, MinFree: 8 << 20}
	s, err := OpenEmbedded(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.space.age = -1
	n, err := fill(t, s, 300<<10)
	wantFull(t, err, "have to stay free")
	mustCommit(t, s, nil, store.Write{Key: "k", Value: make([]byte, 200<<10)})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenEmbedded(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, last, err := s.Bounds(t.Context(), "p0"); err != nil || int(last) != n {
		t.Fatalf("%d entries of %d, %v", last, n, err)
	}
	if e, err := s.Get(t.Context(), "k"); err != nil || len(e.Value) != 200<<10 {
		t.Fatalf("%d bytes, %v", len(e.Value), err)
	}
}

// TestNoSpaceLeft lets the disk really fill up behind the guard's back. The engine is then of no
// use until it starts again, but it says so, and it lies about nothing.
func TestNoSpaceLeft(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("mounts a disk")
	}
	dir := t.TempDir()
	if err := mountSmall(dir, 24<<20); err != nil {
		t.Skipf("mount: %v", err)
	}
	defer unmount(dir)
	o := Options{Dir: dir, MinFree: 1}
	s, err := OpenEmbedded(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.opts.Timeout = 3 * time.Second // of the call that a full disk never answers
	o.Timeout = s.opts.Timeout
	n, err := fill(t, s, 300<<10)
	t.Logf("after %d entries: %v", n, err)
	for _, c := range []error{store.ErrFull, store.ErrUnavailable, store.ErrUnknown} {
		if errors.Is(err, c) {
			err = nil
		}
	}
	if err != nil {
		t.Fatalf("a full disk answers %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenEmbedded(t.Context(), o); err != nil {
		t.Logf("restart on the full disk: %v", err)
		return
	}
	defer s.Close()
	got := 0
	for r, err := range s.Read(t.Context(), "p0", 0, false) {
		if err != nil {
			t.Fatal(err)
		}
		if got++; int(r.Seq) != got || len(r.Data) != 300<<10 {
			t.Fatalf("entry %d: sequence %d, %d bytes", got, r.Seq, len(r.Data))
		}
	}
	if got < n {
		t.Fatalf("%d entries were acknowledged, %d are left", n, got)
	}
}
