package resident

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// dropProgram gives back the clean pages of the program's own file and returns how many bytes were resident.
func dropProgram() (int64, error) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return 0, err
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	all, err := mappings(f)
	if err != nil {
		return 0, err
	}
	var bytes int64
	var faults []error
	for _, m := range all {
		if !m.restorable(program) {
			continue
		}
		if _, _, e := syscall.Syscall(syscall.SYS_MADVISE, m.start, m.end-m.start, syscall.MADV_DONTNEED); e != 0 { // locked in memory, say
			faults = append(faults, fmt.Errorf("%s at %x: %w", m.perms, m.start, os.NewSyscallError("madvise", e)))
			continue
		}
		bytes += m.resident
	}
	return bytes, errors.Join(faults...)
}

// mapping is an entry of /proc/PID/smaps.
type mapping struct {
	start, end uintptr
	perms      string // like r-xp
	file       string

	resident int64 // bytes
	own      int64 // bytes that are not as in the file; negative: unknown
}

// restorable says that all of the mapping can be read from the program's file again. That is not so for what may be written,
// nor for what was written once and protected then (a program that was relocated), or by a debugger.
func (m *mapping) restorable(program string) bool {
	return m.file == program && len(m.perms) == 4 && m.perms[0] == 'r' && m.perms[1] == '-' && m.perms[3] == 'p' && m.own == 0
}

// mappings reads smaps.
func mappings(smaps io.Reader) ([]mapping, error) {
	var all []mapping
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		key, rest, _ := strings.Cut(lines.Text(), " ")
		if !strings.HasSuffix(key, ":") {
			m, err := parseMapping(key, rest)
			if err != nil {
				return nil, err
			}
			all = append(all, m)
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("smaps begins with %q", key)
		}
		if err := all[len(all)-1].note(key, rest); err != nil {
			return nil, err
		}
	}
	return all, lines.Err()
}

// parseMapping reads a first line: addresses, permissions, offset, device, inode, file.
func parseMapping(addresses, rest string) (mapping, error) {
	from, to, found := strings.Cut(addresses, "-")
	start, err := strconv.ParseUint(from, 16, strconv.IntSize)
	end, err2 := strconv.ParseUint(to, 16, strconv.IntSize)
	fields := strings.SplitN(rest, " ", 5)
	if err := errors.Join(err, err2); err != nil || !found || end <= start || len(fields) < 4 {
		return mapping{}, fmt.Errorf("smaps: %q is no mapping", addresses+" "+rest)
	}
	m := mapping{start: uintptr(start), end: uintptr(end), perms: fields[0], own: -1}
	if len(fields) == 5 {
		m.file = strings.TrimLeft(fields[4], " ")
	}
	return m, nil
}

// note takes a line of details. What is swapped out was written, too.
func (m *mapping) note(key, rest string) error {
	switch key {
	case "Rss:", "Anonymous:", "Swap:":
	default:
		return nil
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimLeft(rest, " "), " kB"), 10, 64)
	if err != nil {
		return fmt.Errorf("smaps: %s %w", key, err)
	}
	switch key {
	case "Rss:":
		m.resident = n << 10
	case "Anonymous:":
		m.own = max(m.own, 0) + n<<10
	case "Swap:":
		if m.own >= 0 || n > 0 {
			m.own = max(m.own, 0) + n<<10
		}
	}
	return nil
}
