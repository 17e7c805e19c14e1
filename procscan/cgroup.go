package procscan

import (
	"bytes"
	"fmt"
)

// parseCgroup finds the path that says most in /proc/PID/cgroup (cgroups(7), proc_cgroup_show()), one hierarchy a line:
//
//	12:cpu,cpuacct:/docker/4f5e
//	1:name=systemd:/docker/4f5e
//	0::/system.slice/docker-4f5e.scope
//
// Hierarchy 0 is the unified one. On a host that uses it together with version 1 it may be mounted and unused, and then
// every process is at its root: so the first of these is taken that is not "/": the unified one, systemd's, any. A path
// has no newline (cgroup_mkdir() refuses one) but may have anything else; " (deleted)" after it is the kernel's.
// Without any line (no cgroups in the kernel) the path is "".
func parseCgroup(b []byte) ([]byte, error) {
	var unified, systemd, other, root []byte
	for n := 1; len(b) > 0; n++ {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		id, rest, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return nil, fmt.Errorf("line %d: %.60q has no colon", n, line)
		}
		controllers, path, ok := bytes.Cut(rest, []byte(":"))
		if !ok || len(path) == 0 || path[0] != '/' {
			return nil, fmt.Errorf("line %d: %.60q, want ID:CONTROLLERS:PATH", n, line)
		}
		switch {
		case len(path) == 1:
			root = path
		case string(id) == "0":
			unified = path
		case string(controllers) == "name=systemd":
			systemd = path
		case other == nil:
			other = path
		}
	}
	for _, path := range [][]byte{unified, systemd, other} {
		if path != nil {
			return path, nil
		}
	}
	return root, nil
}
