package resident

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// A program that was relocated: its third mapping was written before it was protected; the fifth is swapped out.
const sample = `00400000-01402000 r-xp 00000000 fe:00 11224787                           /opt/a b/sluice
Size:              16392 kB
Rss:               13304 kB
Pss:               13304 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me sd 
01402000-02799000 r--p 01002000 fe:00 11224787                           /opt/a b/sluice
Rss:               14172 kB
Anonymous:             0 kB
Swap:                  0 kB
02799000-0279a000 r--p 02399000 fe:00 11224787                           /opt/a b/sluice
Rss:                   4 kB
Anonymous:             4 kB
Swap:                  0 kB
0279a000-0279b000 rw-p 0239a000 fe:00 11224787                           /opt/a b/sluice
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
0279b000-0279c000 r--p 0239b000 fe:00 11224787                           /opt/a b/sluice
Rss:                   0 kB
Anonymous:             0 kB
Swap:                  4 kB
0279c000-0279d000 r--s 0239c000 fe:00 11224787                           /opt/a b/sluice
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
0279d000-0279e000 r--p 0239d000 fe:00 11224787                           /opt/a b/sluice
Rss:                   4 kB
0279e000-0279f000 ---p 0239e000 fe:00 11224787                           /opt/a b/sluice
Rss:                   0 kB
Anonymous:             0 kB
257dbc800000-257dbf000000 rw-p 00000000 00:00 0 
Rss:               12784 kB
Anonymous:         12784 kB
7f09f2fa0000-7f09f3300000 r--p 00000000 fe:00 4711                       /usr/lib/libc.so
Rss:                2016 kB
Anonymous:             0 kB
7ffd1c5f9000-7ffd1c5fb000 r-xp 00000000 00:00 0                          [vdso]
Rss:                   4 kB
Anonymous:             0 kB
`

// Only what can be read from the program's file again is given back.
func TestWhatIsRestorable(t *testing.T) {
	all, err := mappings(strings.NewReader(sample))
	if err != nil || len(all) != 11 {
		t.Fatalf("%d mappings, %v", len(all), err)
	}
	var got []mapping
	for _, m := range all {
		if m.restorable("/opt/a b/sluice") {
			got = append(got, m)
		}
	}
	want := []mapping{
		{0x400000, 0x1402000, "r-xp", "/opt/a b/sluice", 13304 << 10, 0},
		{0x1402000, 0x2799000, "r--p", "/opt/a b/sluice", 14172 << 10, 0},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestOddSmaps(t *testing.T) {
	for _, text := range []string{
		"Rss: 4 kB\n",
		"00400000 r-xp 00000000 fe:00 1\n",
		"x-01402000 r-xp 00000000 fe:00 1\n",
		"01402000-01402000 r-xp 00000000 fe:00 1\n",
		"00400000-01402000 r-xp\n",
		"00400000-01402000 r-xp 00000000 fe:00 1\nAnonymous: many\n",
	} {
		if all, err := mappings(strings.NewReader(text)); err == nil {
			t.Errorf("%q is read as %+v", text, all)
		}
	}
}

// The process's own pages are found, given back, and there when they are needed.
func TestDropProgram(t *testing.T) {
	n, err := dropProgram()
	if err != nil || n == 0 {
		t.Fatalf("%d bytes were given back, %v", n, err)
	}
	if again, err := dropProgram(); err != nil || again == 0 || again > n {
		t.Errorf("what ran since is not resident, or more than before: %d of %d bytes, %v", again, n, err)
	}
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		t.Error(err)
	}
}
