package enginetest

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// ContainerdImage is what the image of a Containerd is called.
const ContainerdImage = "docker.io/library/busybox:latest"

// Containerd is a containerd of the test's own.
type Containerd struct {
	t      *testing.T
	Dir    string // with root, state and the socket
	Socket string
}

// StartContainerd starts containerd as root, without its CRI plugin, and with an image in each of the namespaces. Its
// state directory is in its config file, which it is told of by a relative path.
func StartContainerd(t *testing.T, namespaces ...string) *Containerd {
	t.Helper()
	Need(t, "containerd", "ctr", "containerd-shim-runc-v2", "runc", "busybox")
	c := &Containerd{t: t, Dir: Dir(t)}
	c.Socket = c.Dir + "/c.sock"
	config := fmt.Sprintf(`version = 2
root = %q
state = %q # not the default
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = %q
[ttrpc]
  address = %q
`, c.Dir+"/root", c.Dir+"/state", c.Socket, c.Dir+"/t.sock")
	if err := os.WriteFile(c.Dir+"/config.toml", []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("containerd", "-c", "config.toml")
	cmd.Dir = c.Dir
	Daemon(t, cmd, func() bool {
		_, err := Try(t, nil, "ctr", "-a", c.Socket, "version")
		return err == nil
	})
	archive := dockerArchive(t)
	for _, ns := range namespaces {
		c.Run(ns, "image", "import", archive)
		t.Cleanup(func() { c.removeAll(ns) })
	}
	return c
}

// Run runs ctr in a namespace of this daemon.
func (c *Containerd) Run(ns string, args ...string) string {
	c.t.Helper()
	return Run(c.t, nil, "ctr", append([]string{"-a", c.Socket, "-n", ns}, args...)...)
}

// Container starts a container in the background: flags and the id, and then its command.
func (c *Containerd) Container(ns string, flags []string, id string, command ...string) {
	c.t.Helper()
	args := append([]string{"run", "-d", "--null-io"}, flags...)
	c.Run(ns, append(append(args, ContainerdImage, id), command...)...)
}

func (c *Containerd) removeAll(ns string) {
	if tasks := c.Run(ns, "task", "ls", "-q"); tasks != "" {
		for _, id := range splitLines(tasks) {
			c.Run(ns, "task", "rm", "-f", id)
		}
	}
	if containers := c.Run(ns, "container", "ls", "-q"); containers != "" {
		c.Run(ns, append([]string{"container", "rm"}, splitLines(containers)...)...)
	}
}

// dockerArchive is what docker save would make of Image.
func dockerArchive(t *testing.T) string {
	t.Helper()
	layer, err := os.ReadFile(Image(t))
	if err != nil {
		t.Fatal(err)
	}
	marshal := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	config := marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Env": []string{"PATH=/bin", "SECRET=hush"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	manifest := marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{"busybox:latest"}, "Layers": []string{"layer.tar"}}})
	path := filepath.Join(Dir(t), "archive.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	for _, file := range []struct {
		name string
		data []byte
	}{{"layer.tar", layer}, {"config.json", config}, {"manifest.json", manifest}} {
		if err := w.WriteHeader(&tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(file.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
