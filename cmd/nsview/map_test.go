package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/procscan/proctest"
)

// inUserNS starts a process in a user namespace with these maps and returns its PID. It ends with the test.
func inUserNS(t *testing.T, uid, gid []syscall.SysProcIDMap) int {
	t.Helper()
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: uid, GidMappings: gid}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	proctest.Need(t, "userns", err == nil, fmt.Sprintf("clone(CLONE_NEWUSER): %v", err))
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	return cmd.Process.Pid
}

// ownIDs maps this process's own ids to an id inside, which everybody may.
func ownIDs(inside int) (uid, gid []syscall.SysProcIDMap) {
	return []syscall.SysProcIDMap{{ContainerID: inside, HostID: os.Geteuid(), Size: 1}}, []syscall.SysProcIDMap{{ContainerID: inside, HostID: os.Getegid(), Size: 1}}
}

// nsview runs a command line in this process.
func nsview(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	if code := run(t.Context(), append([]string{"nsview"}, args...), strings.NewReader(""), &out, &err); code != want {
		t.Fatalf("nsview %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), code, want, out.String(), err.String())
	}
	return out.String(), err.String()
}

// words are the words of each line, so that the widths of columns do not matter.
func words(table string) [][]string {
	var rows [][]string
	for line := range strings.Lines(table) {
		rows = append(rows, strings.Fields(line))
	}
	return rows
}

func TestMapShowsWhatTheKernelLists(t *testing.T) {
	uid, gid := ownIDs(7)
	pid := strconv.Itoa(inUserNS(t, uid, gid))
	euid, egid := strconv.Itoa(os.Geteuid()), strconv.Itoa(os.Getegid())

	out, _ := nsview(t, 0, "map", pid)
	want := [][]string{
		{"UID-INSIDE", "UID-OUTSIDE", "UID-COUNT", "GID-INSIDE", "GID-OUTSIDE", "GID-COUNT"},
		{"7", euid, "1", "7", egid, "1"},
	}
	if diff := cmp.Diff(want, words(out)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	out, _ = nsview(t, 0, "map", pid, "7", "8", "--no-headers")
	if got := words(out); got[0][0] != "7" || got[0][1] != euid || got[0][2] != egid || got[1][1] != "unmapped" {
		t.Errorf("%v", got)
	}
	out, _ = nsview(t, 0, "map", pid, "7", "-o", "json")
	var report map[string]any
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if report["schema"] != "nsview/v1" || report["kind"] != "IdMap" || report["target"] != pid || report["setgroups"] != "deny" || len(report["problems"].([]any)) != 0 {
		t.Errorf("%s", out)
	}
	if first := report["translations"].([]any)[0].(map[string]any); first["inside"] != 7.0 || first["outside"] != float64(os.Geteuid()) {
		t.Errorf("%v", first)
	}
}

func TestMapOfANamespaceWithoutMap(t *testing.T) {
	pid := strconv.Itoa(inUserNS(t, nil, nil))
	out, stderr := nsview(t, 0, "map", pid)
	if strings.Count(out, "\n") != 1 || strings.Count(stderr, "never written") != 2 {
		t.Errorf("%s%s", out, stderr)
	}
	out, _ = nsview(t, 0, "map", pid, "0", "-o", "json")
	if !strings.Contains(out, `"uid_map": []`) || !strings.Contains(out, `"outside": null`) {
		t.Errorf("%s", out)
	}
}

func TestMapBetweenTargets(t *testing.T) {
	uid, gid := ownIDs(7)
	a := strconv.Itoa(inUserNS(t, uid, gid))
	uid, gid = ownIDs(42)
	b := strconv.Itoa(inUserNS(t, uid, gid))
	for _, args := range [][]string{{"map", "--from", a, "--to", b, "7"}, {"map", a, "--to", b, "7"}} {
		out, _ := nsview(t, 0, append(args, "--no-headers")...)
		if got := words(out); got[0][1] != "42" || got[0][2] != "42" || got[0][3] != "unmapped" {
			t.Errorf("%v: %v", args, got)
		}
	}
	out, _ := nsview(t, 0, "map", "--from", a, "--to", "host", "--no-headers")
	if got := words(out)[0]; got[0] != "7" || got[1] != strconv.Itoa(os.Geteuid()) {
		t.Errorf("%v", got)
	}

	// The same from a stored snapshot.
	snapshot, _ := nsview(t, 0, "snapshot")
	file := filepath.Join(t.TempDir(), "host.json")
	if err := os.WriteFile(file, []byte(snapshot), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = nsview(t, 0, "map", "--from", file, "--from", a, "--to", b, "7", "--no-headers")
	if got := words(out); got[0][1] != "42" {
		t.Errorf("stored: %v", got)
	}
	out, _ = nsview(t, 0, "map", a, "7", "--from", file, "--no-headers")
	if got := words(out); got[0][1] != strconv.Itoa(os.Geteuid()) {
		t.Errorf("stored: %v", got)
	}
}

func TestMapCheck(t *testing.T) {
	own := fmt.Sprintf("0:%d:1", os.Geteuid())
	out, _ := nsview(t, 0, "map", "--check", own)
	if out != "uid_map "+own+": accepted\n" {
		t.Errorf("%q", out)
	}
	out, _ = nsview(t, 1, "map", "--check", "0:10:10", "--check", "5:100:10", "--check-gid", "0:4294967290:10")
	for _, want := range []string{"uid_map 0:10:10,5:100:10: refused", "(overlap-inside, EINVAL)", "gid_map 0:4294967290:10: refused", "(wrap, EINVAL)"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q lacks %q", out, want)
		}
	}
	out, _ = nsview(t, 1, "map", "--check", "0:10:0", "-o", "json")
	var report struct {
		Target   string
		Problems []struct{ Kind, Rule, Errno, Detail string }
		Checks   []struct{ Accepted bool }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) == 0 || len(report.Checks) != 1 || report.Checks[0].Accepted {
		t.Errorf("%s", out)
	}

	// A namespace that has its map already, and one that does not.
	uid, gid := ownIDs(0)
	out, _ = nsview(t, 1, "map", strconv.Itoa(inUserNS(t, uid, gid)), "--check", own)
	if !strings.Contains(out, "(already-written, EPERM)") {
		t.Errorf("%q", out)
	}
	nsview(t, 0, "map", strconv.Itoa(inUserNS(t, nil, nil)), "--check", own)
}

// An ordinary user is told what it may map.
func TestMapCheckAsAnOrdinaryUser(t *testing.T) {
	proctest.NeedOrdinary(t)
	out, _ := nsview(t, 1, "map", "--check", "0:0:4294967295")
	if !strings.Contains(out, "accepted would be") {
		t.Errorf("%q", out)
	}
}

func TestMapUsage(t *testing.T) {
	tests := [][]string{
		{"map"},
		{"map", "host", "abc"},
		{"map", "host", "4294967295"},
		{"map", "host", "-o", "dot"},
		{"map", "--check", "1:2"},
		{"map", "--check", "0:1:2", "--from", "x.json"},
		{"map", "host", "--to", "host", "--check", "0:1:2"},
		{"map", "--from", "a", "--from", "b", "--from", "c", "--to", "host"},
		{"map", "--from", "a"},
		{"map", "--to", "host"},
		{"map", "no-such-container"},
		{"map", "host", "--to", "no-such-container"},
	}
	for _, args := range tests {
		out, stderr := nsview(t, 2, args...)
		if out != "" || !strings.HasPrefix(stderr, "nsview: ") || strings.HasSuffix(strings.SplitN(stderr, "\n", 2)[0], ".") {
			t.Errorf("%v: %q %q", args, out, stderr)
		}
	}
}
