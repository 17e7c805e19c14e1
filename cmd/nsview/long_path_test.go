package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// The longest path that a system call takes, 4,095 bytes, is a FILE as any other; a longer one is refused by name.
func TestLongestPath(t *testing.T) {
	dir := realTempDir(t)
	path := exactPath(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		code int
	}{
		{[]string{"owner", path}, exitOK},
		{[]string{"owner", "-R", dir}, exitOK},
		{[]string{"access", "host", path, "read"}, exitOK},
		{[]string{"owner", path + "x"}, exitFailure},
	} {
		var out, complaints bytes.Buffer
		code := run(t.Context(), append([]string{"nsview"}, test.args...), strings.NewReader(""), &out, &complaints)
		if code != test.code {
			t.Errorf("%s of %d bytes: status %d, want %d: %.300s", test.args[0], len(test.args[1]), code, test.code, complaints.String())
		}
		if printed := strings.Contains(out.String(), path); test.args[0] == "owner" && len(test.args) == 2 && printed != (code == exitOK) {
			t.Errorf("the path printed: %v", printed)
		}
	}
}

// exactPath is a path below dir of the greatest length that a system call takes.
func exactPath(dir string) string {
	for len(dir)+201 < unix.PathMax-2 {
		dir += "/" + strings.Repeat("n", 200)
	}
	return dir + "/" + strings.Repeat("f", unix.PathMax-len(dir)-2)
}

// longPaths mounts volume at the longest path that a system call takes, at the longest name, and deeper than a path may
// be long. There it stays.
func longPaths(dir, volume string) error {
	exact, name := exactPath(dir), dir+"/"+longestName()
	deep := strings.Repeat("d", 100)
	err := errors.Join(os.MkdirAll(exact, 0o755), unix.Mount(volume, exact, "", unix.MS_BIND, ""), os.Mkdir(name, 0o755), unix.Mount(volume, name, "", unix.MS_BIND, ""), unix.Chdir(dir))
	return errors.Join(err, each(beyondPathMax, func(int) error { return errors.Join(unix.Mkdir(deep, 0o755), unix.Chdir(deep)) }), unix.Mkdir("volume", 0o755), unix.Mount(volume, "volume", "", unix.MS_BIND, ""))
}

// beyondPathMax is how many directories, with names of 100 bytes, no path leads through.
const beyondPathMax = 50

func longestName() string { return strings.Repeat("m", 255) }

// What has the longest path, the longest name, or is deeper than a path may be long, is answered for or refused by name.
func TestPathsBeyondPathMax(t *testing.T) {
	proctest.NeedRoot(t)
	dir, volume := realTempDir(t), realTempDir(t)
	if err := os.WriteFile(volume+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(startCrowd(t, "long", 0, dir, volume))
	exact, name := exactPath(dir), dir+"/"+longestName()
	beyond := dir + strings.Repeat("/"+strings.Repeat("d", 100), beyondPathMax) + "/volume"
	const tooFar = ": its path from the root is longer than the 4095 bytes that the kernel tells\n"
	rooted := strconv.Itoa(startCrowd(t, "long-root", 0, dir, volume)) // in what the longest paths are below
	for _, test := range []struct {
		args      []string
		code      int
		out       string
		complaint string
	}{
		{[]string{"owner", "--in", pid, exact}, exitOK, exact, ""},
		{[]string{"owner", "--in", pid, name}, exitOK, name, ""},
		{[]string{"owner", "--in", pid, beyond}, exitFailure, "", beyond + ": file name too long\n"},
		{[]string{"owner", "--in", pid, "volume"}, exitFailure, "", "/proc/" + pid + "/cwd" + tooFar},
		{[]string{"owner", "--in", rooted, "/volume"}, exitFailure, "", "/volume" + tooFar},
		{[]string{"owner", "-R", "--in", pid, exact}, exitOK, volume, ""},
		{[]string{"owner", "-R", "--in", pid, name}, exitOK, volume, ""},
		{[]string{"owner", "-R", "--in", pid, beyond}, exitFailure, "", beyond + ": file name too long\n"},
		{[]string{"owner", "-R", "--in", pid, dir, "-o", "json"}, exitOK, `"partial": false`, ""},
		{[]string{"access", pid, exact, "read"}, exitOK, exact, ""},
		{[]string{"access", pid, exact + "/x", "create"}, exitNegative, "ENAMETOOLONG", ""},
		{[]string{"access", pid, name, "read"}, exitOK, name, ""},
		{[]string{"access", pid, name + "m", "read"}, exitNegative, "ENAMETOOLONG", ""},
		{[]string{"access", pid, beyond, "read"}, exitNegative, "ENAMETOOLONG", ""},
		{[]string{"access", pid, "volume", "read"}, exitFailure, "", "/proc/" + pid + "/cwd" + tooFar},
		{[]string{"access", rooted, "/volume", "read"}, exitFailure, "", "/proc/" + rooted + "/root" + tooFar},
		{[]string{"snapshot", "--path", pid + ":" + exact, "--path", pid + ":" + name}, exitOK, `"` + exact + `"`, ""},
		{[]string{"snapshot", "--path", pid + ":" + beyond}, exitFailure, `"point": "` + beyond + `"`, beyond + ": file name too long\n"},
		{[]string{"doctor", pid}, exitUnknown, "", pid + ":" + beyond},
		{[]string{"doctor", rooted}, exitUnknown, "", "/proc/" + rooted + "/root" + tooFar[:len(tooFar)-1]},
		{[]string{"containers", pid}, exitOK, beyond, beyond},
		{[]string{"diff", "host", pid, "-o", "wide"}, exitNegative, beyond, ""},
		{[]string{"map", pid}, exitOK, "UID-INSIDE", ""},
		{[]string{"map", exact}, exitFailure, "", exact},
		{[]string{"caps", beyond}, exitFailure, "", beyond + ": file name too long\n"},
		{[]string{"ps", pid}, exitOK, pid, ""},
		{[]string{"ns", rooted}, exitOK, "crowd", ""},
	} {
		o := narrowly(t, test.args...)
		if o.code != test.code || !strings.Contains(string(o.out), test.out) || !strings.Contains(o.complaints, test.complaint) {
			t.Errorf("nsview %s: status %d, want %d: %.1000s\n%.1000s", abridged(strings.Join(test.args, " ")), o.code, test.code, abridged(string(o.out)), abridged(o.complaints))
		}
	}
}

// abridged is a text of long paths to read.
func abridged(text string) string {
	for _, name := range []string{strings.Repeat("d", 100), strings.Repeat("n", 200), strings.Repeat("m", 200)} {
		text = strings.ReplaceAll(text, name, name[:1]+"..")
	}
	return text
}

func realTempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
