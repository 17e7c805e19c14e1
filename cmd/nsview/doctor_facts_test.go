package main

import (
	"fmt"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"
)

// A container that ends while doctor looks is told from one that lacks a file.
func TestDoctorGap(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "open", Path: "/proc/77", Err: unix.ENOENT}, "it ended while nsview looked"},
		{&fs.PathError{Op: "read", Path: "/proc/77/status", Err: unix.ESRCH}, "it ended while nsview looked"},
		{fmt.Errorf("the layer: %w", &fs.PathError{Op: "open", Path: "/layers/7", Err: unix.ENOENT}), "the layer: open /layers/7: no such file or directory"},
		{&fs.PathError{Op: "open", Path: "/proc/77/ns/user", Err: unix.EACCES}, "permission denied"},
	} {
		if got := doctorGap("web", 77, "access", c.err); got.Error != c.want {
			t.Errorf("%v: the gap says %q, want %q", c.err, got.Error, c.want)
		}
	}
}
