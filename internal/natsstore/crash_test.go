package natsstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/store"
)

// crashDir makes the test binary be the process that gets killed, on the folder of that name.
const crashDir = "NATSSTORE_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := writeUntilKilled(dir); err != nil {
			fmt.Println("error", err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const crashKeys = 12 // keys that each commit writes, all with the same number

func crashKey(i int) string { return fmt.Sprint("state/", i) }

// crashValue is large enough that a batch takes time to write.
func crashValue(n int) []byte {
	return append([]byte(strconv.Itoa(n)+" "), bytes.Repeat([]byte{byte(n)}, 3000)...)
}

func number(value []byte) int {
	n, _ := strconv.Atoi(strings.SplitN(string(value), " ", 2)[0])
	return n
}

// writeUntilKilled tells on stdout what was acknowledged, a line each.
func writeUntilKilled(dir string) error {
	ctx := context.Background()
	s, err := OpenEmbedded(ctx, Options{Dir: dir, Namespace: "test", MinFree: 1})
	if err != nil {
		return err
	}
	fence, err := s.Acquire(ctx, "leader", time.Hour)
	if err != nil {
		return fmt.Errorf("the lease of the killed process: %w", err)
	}
	w := make([]store.Write, crashKeys+1)
	n := 0
	for i := range w {
		w[i].Key = crashKey(i)
		if i == crashKeys {
			w[i].Key, w[i].Append = "log", true
		}
		e, err := s.Get(ctx, w[i].Key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		w[i].Expect, n = e.Revision, number(e.Value)
	}
	_, last, err := s.Bounds(ctx, "p0")
	if err != nil {
		return err
	}
	_, blob, err := s.GetBlob(ctx, "snap")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	fmt.Println("ready")
	for {
		n++
		for i := range w {
			w[i].Value = crashValue(n)
		}
		revs, err := s.Commit(ctx, store.Batch{Writes: w, Fence: fence})
		if err != nil {
			return err
		}
		fmt.Println("commit", n)
		for i := range w {
			w[i].Expect = revs[i]
		}
		if last, err = s.Append(ctx, "p0", fmt.Sprint("id", last+1), crashValue(int(last+1))); err != nil {
			return err
		}
		fmt.Println("append", last)
		if n%5 == 0 {
			size := []int{100, 600 << 10}[n/5%2]
			if blob, err = s.PutBlob(ctx, "snap", bytes.Repeat([]byte{byte(n)}, size), blob); err != nil {
				return err
			}
			fmt.Println("blob", blob)
		}
		if n%7 == 0 {
			if err := fence.Renew(ctx); err != nil {
				return err
			}
		}
	}
}

// TestKilled kills a writing process at random moments. Afterwards all that it had acknowledged is
// there, no batch is there in part, and the next process goes on, with the dead one's lease.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	acked := map[string]int{}
	for range rounds {
		killOne(t, dir, rng, acked)
		s := openDir(t, dir)
		acked["commit"] = checkCommits(t, s, acked["commit"])
		acked["append"] = checkLog(t, s, acked["append"])
		acked["blob"] = checkBlob(t, s, acked["blob"])
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("after %d kills: %v", rounds, acked)
	if acked["commit"] == 0 || acked["append"] == 0 {
		t.Fatal("nothing was written")
	}
}

// killOne runs the writer until it has told a random number of lines, then kills it at once or a
// little later, and notes what it told.
func killOne(t *testing.T, dir string, rng *rand.Rand, acked map[string]int) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := 1 + rng.IntN(80)
	delay := time.Duration(rng.IntN(3000)) * time.Microsecond
	in := bufio.NewScanner(out)
	for n := 0; in.Scan(); n++ {
		op, arg, _ := strings.Cut(in.Text(), " ")
		switch op {
		case "ready":
			refusedHere(t, dir)
		case "error":
			t.Fatal(in.Text())
		default:
			if acked[op], err = strconv.Atoi(arg); err != nil {
				t.Fatalf("line %q: %v", in.Text(), err)
			}
		}
		if n == lines {
			// The rest of what it told is read below, from the pipe of the dead process.
			time.AfterFunc(delay, func() { cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.Success() || ctx.Err() != nil {
		t.Fatalf("the process was not killed: %v", err)
	}
}

// refusedHere wants the folder that another process works on to be refused in this one.
func refusedHere(t *testing.T, dir string) {
	t.Helper()
	s, err := OpenEmbedded(t.Context(), Options{Dir: dir})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), dir) {
		if s != nil {
			s.Close()
		}
		t.Fatalf("open of a folder in use: %v", err)
	}
}

func checkCommits(t *testing.T, s *Store, acked int) int {
	t.Helper()
	n := -1
	for i := range crashKeys {
		e, err := s.Get(t.Context(), crashKey(i))
		if err != nil && (!errors.Is(err, store.ErrNotFound) || acked > 0) {
			t.Fatal(err)
		}
		if n < 0 {
			n = number(e.Value)
		}
		if number(e.Value) != n || n > 0 && !bytes.Equal(e.Value, crashValue(n)) {
			t.Fatalf("half a batch: key %d says %d, key 0 %d", i, number(e.Value), n)
		}
	}
	if n != acked && n != acked+1 {
		t.Fatalf("state is %d, %d was acknowledged", n, acked)
	}
	list, err := s.History(t.Context(), "log", 0)
	if err != nil || len(list) != n {
		t.Fatalf("history has %d entries, the state says %d: %v", len(list), n, err)
	}
	for i, e := range list {
		if number(e.Value) != i+1 {
			t.Fatalf("entry %d of the history says %d", i+1, number(e.Value))
		}
	}
	return n
}

func checkLog(t *testing.T, s *Store, acked int) int {
	t.Helper()
	n := 0
	for r, err := range s.Read(t.Context(), "p0", 0, false) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; int(r.Seq) != n || !bytes.Equal(r.Data, crashValue(n)) {
			t.Fatalf("entry %d has sequence %d and says %d", n, r.Seq, number(r.Data))
		}
	}
	if n != acked && n != acked+1 {
		t.Fatalf("the log has %d entries, %d were acknowledged", n, acked)
	}
	return n
}

func checkBlob(t *testing.T, s *Store, acked int) int {
	t.Helper()
	data, rev, err := s.GetBlob(t.Context(), "snap")
	if errors.Is(err, store.ErrNotFound) && acked == 0 {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	if int(rev) < acked || len(bytes.Trim(data, string(data[:1]))) != 0 {
		t.Fatalf("blob at %d, %d was acknowledged; %d bytes", rev, acked, len(data))
	}
	return int(rev)
}
