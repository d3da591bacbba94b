//go:build linux || darwin

package cli

import "golang.org/x/sys/unix"

// freeBytes returns how many bytes an ordinary user may still write in a folder.
func freeBytes(dir string) (uint64, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return st.Bavail * uint64(st.Bsize), true //nolint:gosec // a block's size is positive
}
