package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is USER_HZ, which Linux fixes at 100 for all that user space sees.
const tick = 10 * time.Millisecond

// cpu returns the CPU time of a process and its children that still run, user and system.
func cpu(pid int) (time.Duration, error) {
	var total time.Duration
	for _, p := range append([]int{pid}, children(pid)...) {
		fields, err := stat(p)
		if err != nil {
			return 0, err
		}
		for _, i := range []int{11, 12} { // utime, stime: fields 14 and 15 of proc(5)
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return 0, err
			}
			total += time.Duration(n) * tick
		}
	}
	return total, nil
}

// stat returns the fields of /proc/PID/stat behind the name.
func stat(pid int) ([]string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(string(data[strings.LastIndexByte(string(data), ')'):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return nil, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return fields, nil
}

// children returns the processes that a process has started: nginx's worker, for one.
func children(pid int) []int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil // a kernel without it
	}
	var out []int
	for _, f := range strings.Fields(string(data)) {
		if p, err := strconv.Atoi(f); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// resident returns the resident memory of a process and its children in bytes.
func resident(pid int) (int64, error) {
	var total int64
	for _, p := range append([]int{pid}, children(pid)...) {
		fields, err := stat(p)
		if err != nil {
			return 0, err
		}
		pages, err := strconv.ParseInt(fields[21], 10, 64) // rss: field 24
		if err != nil {
			return 0, err
		}
		total += pages * int64(os.Getpagesize())
	}
	return total, nil
}
