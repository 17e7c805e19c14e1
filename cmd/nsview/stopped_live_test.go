package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// stoppedVolume is a directory with files of several owners and links that leave it.
func stoppedVolume(t *testing.T) string {
	t.Helper()
	dir := enginetest.Dir(t) + "/volume"
	if err := os.MkdirAll(dir+"/sub/closed", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"open": 0o666, "root": 0o600, "mine": 0o640, "sub/file": 0o644, "sub/closed/file": 0o666} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, ids := range map[string][2]int{"mine": {1000, 50}, "sub": {999, 999}} {
		if err := os.Chown(filepath.Join(dir, name), ids[0], ids[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir+"/sub/closed", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"away": "/etc/passwd", "up": "../bin/busybox", "out": "sub/../../var/lib", "gone": "/nowhere", "round": "/vol/round"} {
		if err := os.Symlink(text, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// stoppedQuestions are asked before a container is started, and when it runs.
func stoppedQuestions(target string) []string {
	var list []string
	for _, ask := range []string{
		"read /vol/open", "write /vol/open", "read /vol/root", "write /vol/root", "read /vol/mine", "write /vol/mine", "append /vol/mine",
		"read /ro/open", "write /ro/open", "write /ro/root", "unlink /ro/open", "create /ro/new", "chmod /ro/open 0600",
		"read /vol/away", "write /vol/away", "read /vol/up", "exec /vol/up", "lookup /vol/out", "create /vol/out/new", "read /vol/gone", "read /vol/round",
		"read /vol/../etc/passwd", "write /vol/../../etc/passwd", "read /vol/sub/../../bin/busybox", "read /vol/sub/closed/file", "create /vol/sub/new",
		"unlink /vol/sub/file", "rename /vol/sub/file /vol/sub/other", "rename /vol/open /tmp/open", "link /vol/open /data/open", "rmdir /vol/sub",
		"read /etc/passwd", "write /etc/passwd", "chmod /etc/passwd 0600", "create /etc/new", "mkdir /data/new", "rename /data /data2", "exec /bin/sh",
		"read etc/group", "lookup .", "read /missing", "read /etc/passwd/x", "lookup /vol/", "write /vol", "readlink /vol/away", "chown /vol/mine 1000 1000",
		"access /ro/open rw", "mknod /data/null", "whiteout /data/w", "setxattr /vol/mine user.x", "truncate /ro/open", "opentrunc /ro/root",
	} {
		words := strings.Fields(ask)
		question, _ := json.Marshal(map[string]any{"id": ask, "target": target, "op": words[0], "path": words[1], "args": words[2:]})
		list = append(list, string(question))
	}
	return list
}

// stoppedAnswers are verdict and errno by question.
func stoppedAnswers(t *testing.T, target string) map[string]string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "questions")
	if err := os.WriteFile(name, []byte(strings.Join(stoppedQuestions(target), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	out := enginetest.Run(t, nil, "sh", "-c", `exec nsview access --batch <"$1"`, "sh", name)
	answers := map[string]string{}
	for line := range strings.Lines(out) {
		var v struct{ ID, Verdict, Errno, Missing string }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		answers[v.ID] = strings.TrimSpace(v.Verdict + " " + v.Errno)
		if v.Verdict == "unknown" {
			t.Logf("%s %s: unknown: %s", target, v.ID, v.Missing)
		}
	}
	return answers
}

// A container that is not running is answered for as it is once it runs.
func TestLiveStoppedAnswers(t *testing.T) {
	d := enginetest.StartDocker(t)
	user := enginetest.NewUser(t)
	p := enginetest.StartPodman(t, user)
	p.Run("run", "-d", "busybox", "sleep", "1000") // its monitor says where this podman keeps its containers
	volume := stoppedVolume(t)
	remapped := enginetest.StartDocker(t, "--userns-remap="+user.Name)
	rootless := enginetest.StartRootlessPodman(t, user)
	rootless.Run("run", "-d", "busybox", "sleep", "1000")
	for name, run := range map[string]func(args ...string) string{
		"docker": d.Run, "podman": p.Run, "docker-remapped": remapped.Run, "podman-rootless": rootless.Run,
	} {
		engine, _, _ := strings.Cut(name, "-")
		of := name
		for name, flags := range map[string][]string{
			"root": nil, "number": {"--user", "1000"}, "named": {"--user", "mysql"}, "both": {"--user", "1000:mysql"}, "other": {"--user", "4242:50"},
			"bare": {"--cap-drop", "ALL"}, "added": {"--cap-add", "DAC_READ_SEARCH", "--group-add", "50", "--user", "ctr"}, "fixed": {"--read-only"},
		} {
			if of != engine && (name == "added" || name == "fixed" || name == "both") {
				continue // as without
			}
			t.Run(of+" "+name, func(t *testing.T) {
				container := "stopped-" + of + "-" + name
				create := append([]string{"create", "--name", container, "-v", volume + ":/vol", "-v", volume + ":/ro:ro"}, flags...)
				if engine == "docker" {
					create = append(create, "--net=none")
				}
				run(append(create, "busybox", "sleep", "1000")...)
				before := stoppedAnswers(t, engine+":"+container)
				run("start", container)
				after := stoppedAnswers(t, engine+":"+container)
				if len(after) < 50 {
					t.Fatalf("%d answers", len(after))
				}
				unknown := 0
				for question, said := range after {
					if before[question] == "unknown" && said != "unknown" {
						unknown++
					} else if before[question] != said {
						t.Errorf("%s: %q before it is started, %q then", question, before[question], said)
					}
				}
				if unknown > 2 {
					t.Errorf("%d of %d answers are unknown before it is started", unknown, len(after))
				}
			})
		}
	}
}

// What is made only when the container starts is named, and nothing is guessed of it.
func TestLiveStoppedUnknown(t *testing.T) {
	d := enginetest.StartDocker(t)
	missing := d.Dir + "/missing"
	d.Run("create", "--name", "stopped-later", "--net=none", "--tmpfs", "/tmp", "-v", missing+":/data/sub", "--user", "1000", "busybox", "sleep", "1000")
	d.Run("create", "--name", "stopped-group", "--net=none", "--group-add", "nogroup", "busybox", "sleep", "1000")
	d.Run("create", "--name", "stopped-nobody", "--net=none", "--user", "nosuch", "busybox", "sleep", "1000")
	for _, c := range []struct{ target, path, says string }{
		{"stopped-later", "/data/sub/file", missing + ", which is not on the host: docker makes it"},
		{"stopped-later", "/tmp/file", "the tmpfs that the engine mounts there"},
		{"stopped-later", "/proc/self/status", "what the engine mounts there"},
		{"stopped-later", "/etc/../proc/1", "what the engine mounts there"},
		{"stopped-group", "/etc/passwd", "the group nogroup that it is to be in"},
	} {
		out, err := enginetest.Try(t, nil, "nsview", "access", c.target, c.path, "read")
		if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(out, c.says) {
			t.Errorf("%s %s: %v: %s", c.target, c.path, err, out)
		}
	}
	if _, err := enginetest.Try(t, nil, "nsview", "access", "stopped-nobody", "/etc", "read"); err == nil || !strings.Contains(err.Error(), `no user "nosuch" in the /etc/passwd`) {
		t.Errorf("a user that is nobody: %v", err)
	}
	if out := enginetest.Run(t, nil, "nsview", "access", "--user", "mysql", "stopped-later", "/etc/passwd", "read"); !strings.Contains(out, "uid 999") {
		t.Errorf("another user: %s", out)
	}
}
