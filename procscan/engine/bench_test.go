package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect"
)

// crowd is a host with n containers of docker, each with its shim and a volume.
func crowd(n int) *Evidence {
	e := &Evidence{Snapshot: &nsinspect.Snapshot{Observer: nsinspect.Observer{InitialNS: true}}}
	process := func(pid, ppid int, comm, cgroup string, args ...string) {
		p := nsinspect.Process{PID: pid, PPID: ppid, StartTime: uint64(pid), Comm: comm, Cgroup: cgroup, PIDs: []int{pid}, IDMaps: -1}
		if args == nil {
			p.PIDs = append(p.PIDs, 1)
		} else {
			e.Programs = append(e.Programs, Program{PID: pid, PPID: ppid, Comm: comm, Args: args})
		}
		e.Snapshot.Processes = append(e.Snapshot.Processes, p)
	}
	process(1, 0, "systemd", "/", "systemd")
	process(2, 1, "dockerd", "/system.slice/docker.service", "dockerd")
	process(3, 2, "containerd", "/system.slice/docker.service", "containerd", "--config", "/var/run/docker/containerd/containerd.toml")
	for i := range n {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		id := hex.EncodeToString(sum[:])
		pid := 10 + 4*i
		process(pid, 1, "containerd-shim", "/system.slice/docker.service",
			"containerd-shim-runc-v2", "-namespace", "moby", "-id", id, "-address", "/var/run/docker/containerd/containerd.sock")
		process(pid+1, pid, "mysqld", "/docker/"+id)
		e.Files = append(e.Files,
			File{Path: "/var/lib/docker/containers/" + id + "/config.v2.json", Data: fmt.Appendf(nil,
				`{"ID":%q,"Name":"/c%d","State":{"Running":true,"Pid":%d,"StartedAt":"2026-01-02T03:04:05Z"},"Config":{"Image":"i"},`+
					`"MountPoints":{"/data":{"Type":"volume","Name":"v%d","Source":"/s","RW":true}}}`, id, i, pid+1, i)},
			File{Path: fmt.Sprintf("/var/lib/docker/volumes/v%d/opts.json", i), Data: []byte(`{}`)},
			File{Path: "/var/run/docker/runtime-runc/moby/" + id + "/state.json", Data: fmt.Appendf(nil,
				`{"id":%q,"init_process_pid":%d,"init_process_start":%d,"config":{}}`, id, pid+1, pid+1)})
	}
	slices.SortFunc(e.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return e
}

// The time grows as the number of containers does: 1,000 take some 50 ms.
func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := crowd(n)
			for b.Loop() {
				for _, engine := range engines() {
					if engine.Files != nil {
						engine.Files(e)
					}
				}
				if claims := judge(engines(), e, everyone); len(claims) != n {
					b.Fatalf("%d claims", len(claims))
				}
			}
		})
	}
}

// BenchmarkClaims reads the files as well.
func BenchmarkClaims(b *testing.B) {
	const n = 1000
	root := b.TempDir()
	for _, f := range crowd(n).Files {
		name := filepath.Join(root, f.Path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		claims, _ := Claims(context.Background(), &nsinspect.Snapshot{}, Options{Proc: "/proc", HostRoot: root})
		if len(claims) < n-1 {
			b.Fatalf("%d claims", len(claims))
		}
	}
}
