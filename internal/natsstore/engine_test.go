package natsstore

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice.dev/sluice/internal/store"
)

func TestOneProcessPerFolder(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	_, err := OpenEmbedded(t.Context(), Options{Dir: dir})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "stop that one") {
		t.Fatalf("second open: %v; want ErrLocked with the folder and what to do", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openDir(t, dir)
}

// The embedded server must not be reachable from outside: it has no accounts.
func TestNoPort(t *testing.T) {
	before := listening(t)
	openDir(t, t.TempDir())
	for port := range listening(t) {
		if !before[port] {
			t.Errorf("the embedded server listens on port %d", port)
		}
	}
	// And the check itself sees a port.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !listening(t)[l.Addr().(*net.TCPAddr).Port] {
		t.Error("a listening port was not seen")
	}
}

// listening returns the TCP ports on which this process listens.
func listening(t *testing.T) map[int]bool {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	inodes := map[string]bool{}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		target, _ := os.Readlink("/proc/self/fd/" + fd.Name()) // may be closed by now
		inodes[target] = true
	}
	ports := map[int]bool{}
	for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		data, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != "0A" || !inodes["socket:["+f[9]+"]"] { // 0A: listening
				continue
			}
			port, err := strconv.ParseUint(f[1][strings.LastIndexByte(f[1], ':')+1:], 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			ports[int(port)] = true
		}
	}
	return ports
}

// What a server would exit the process for, or hang on, is an error.
func TestFatalStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "engine"), []byte("not a folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenEmbedded(t.Context(), Options{Dir: dir})
	if err == nil {
		s.Close()
		t.Fatal("a file in the place of the engine's folder was no error")
	}
	if !strings.Contains(err.Error(), "storage directory") || !strings.Contains(err.Error(), dir) {
		t.Errorf("the error names neither folder nor cause: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "engine")); err != nil {
		t.Fatal(err)
	}
	openDir(t, dir) // the lock is free again
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no folder":   {},
		"namespace":   {Dir: t.TempDir(), Namespace: "a.b"},
		"underscore":  {Dir: t.TempDir(), Namespace: "a_b"},
		"log age":     {Dir: t.TempDir(), LogAge: time.Second},
		"small store": {Dir: t.TempDir(), MaxStore: 5},
	} {
		if s, err := OpenEmbedded(t.Context(), o); err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := OpenCluster(t.Context(), Options{}); err == nil {
		t.Error("a cluster without URLs: accepted")
	}
	if _, err := OpenCluster(t.Context(), Options{URLs: "nats://127.0.0.1:1", Replicas: 2}); err == nil {
		t.Error("two replicas: accepted")
	}
	if _, err := OpenCluster(t.Context(), Options{URLs: "nats://127.0.0.1:1"}); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody at the URL: %v", err)
	}
}

func TestServerOptions(t *testing.T) {
	o := serverOptions(Options{Dir: "/d", MaxStore: 1 << 30})
	if !o.SyncAlways || !o.DontListen || !o.NoSigs || o.StoreDir != "/d/engine" || o.JetStreamMaxStore != 1<<30 {
		t.Errorf("%+v", o)
	}
	s := openDir(t, t.TempDir())
	info := s.ctrl.CachedInfo().Config
	if !info.DenyDelete || !info.DenyPurge || info.AllowDirect || info.SubjectDeleteMarkerTTL != 0 || !info.AllowAtomicPublish || info.Storage != jetstream.FileStorage {
		t.Errorf("CTRL is %+v", info)
	}
}

// Nothing may be left running: a process opens and closes stores in tests, migrations and doctors.
func TestCloseEndsAll(t *testing.T) {
	s := openDir(t, t.TempDir())
	if _, err := s.Append(t.Context(), "p0", "", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		var left []string
		for g := range strings.SplitSeq(stacks, "\n\n") {
			if strings.Contains(g, "nats-io") {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A server of the same folder that is not ours, older or configured by somebody else, is refused
// rather than used with fewer promises.
func TestForeignStream(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	if _, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SLUICE_other_CTRL", Subjects: []string{"sl.other.ctrl.>"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := OpenEmbedded(t.Context(), Options{Dir: dir, Namespace: "other"})
	if err == nil || !strings.Contains(err.Error(), "SLUICE_other_CTRL") {
		if other != nil {
			other.Close()
		}
		t.Fatalf("a foreign stream: %v", err)
	}
	openDir(t, dir)
}

func TestDiffers(t *testing.T) {
	s := &Store{names: names{"x"}, replicas: 1, opts: Options{LogAge: time.Hour}}
	c := s.ctrlConfig()
	if d := differs(c, c); d != "" {
		t.Errorf("differs from itself in %s", d)
	}
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"atomic batches":            func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false },
		"message time to live":      func(c *jetstream.StreamConfig) { c.AllowMsgTTL = false },
		"no subject delete markers": func(c *jetstream.StreamConfig) { c.SubjectDeleteMarkerTTL = 1 },
		"deny delete":               func(c *jetstream.StreamConfig) { c.DenyDelete = false },
		"deny purge":                func(c *jetstream.StreamConfig) { c.DenyPurge = false },
		"no direct gets":            func(c *jetstream.StreamConfig) { c.AllowDirect = true },
		"discard new":               func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"synchronous persistence":   func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
		"messages per subject":      func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 2 },
		"max age":                   func(c *jetstream.StreamConfig) { c.MaxAge = time.Minute },
		"limits retention":          func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
		"acknowledgements":          func(c *jetstream.StreamConfig) { c.NoAck = true },
		"no roll-ups":               func(c *jetstream.StreamConfig) { c.AllowRollup = true },
	} {
		have := s.ctrlConfig()
		change(&have)
		if d := differs(c, have); d != name {
			t.Errorf("%s: found %q", name, d)
		}
	}
}
