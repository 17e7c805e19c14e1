package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// refusedCallsMain makes system calls below a directory that the kernel refuses to an ordinary user: what no program of a
// system calls so. It says on stderr which was not refused.
func refusedCallsMain() {
	if err := refusedCalls(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func refusedCalls(dir string) error {
	open := func(name string) int {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			panic(err) // the test made it
		}
		return fd
	}
	if err := os.Chdir(dir); err != nil {
		return err
	}
	here, own, other, secret, closed := open("."), open("own"), open("other"), open("secret"), open("closed")
	inotify, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return err
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	const nobodys = 12345
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobodys), syscall.Setuid(nobodys)); err != nil {
		return err
	}
	openat2 := func(dir int, path string, resolve uint64) error {
		_, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: unix.O_RDONLY, Resolve: resolve})
		return err
	}
	_, tmpfile := unix.Open(".", unix.O_TMPFILE|unix.O_WRONLY, 0o600)
	_, listxattr := unix.Listxattr("closed/x", nil)
	_, watch := unix.InotifyAddWatch(inotify, "secret", unix.IN_MODIFY)
	var errs []error
	for name, err := range map[string]error{
		"connect": unix.Connect(socket, &unix.SockaddrUnix{Name: "socket"}), "bind": unix.Bind(socket, &unix.SockaddrUnix{Name: "new"}),
		"openat2 beneath": openat2(unix.AT_FDCWD, "secret", unix.RESOLVE_BENEATH), "openat2 in root": openat2(here, "/secret", unix.RESOLVE_IN_ROOT),
		"renameat": unix.Renameat(own, "file", other, "renamed"), "linkat": unix.Linkat(own, "file", other, "linked", 0),
		"fsetxattr": unix.Fsetxattr(secret, "user.a", nil, 0), "removexattr": unix.Removexattr("secret", "user.a"),
		"fremovexattr": unix.Fremovexattr(secret, "user.a"), "lsetxattr": unix.Lsetxattr("secret", "user.a", nil, 0), "O_TMPFILE": tmpfile,
		"chroot": unix.Chroot("own"), "fchdir": unix.Fchdir(closed), "statfs": unix.Statfs("closed/x", new(unix.Statfs_t)), "listxattr": listxattr,
		"inotify": watch, "mount": unix.Mount("none", "own", "tmpfs", 0, ""), "umount": unix.Unmount("own", 0), "utimes": unix.Utimes("secret", nil),
		"execve": unix.Exec("script", []string{"script"}, nil),
	} {
		if !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// What is refused is answered, or it is said why nsview has no answer; never is another file meant.
func TestTraceDeniedCalls(t *testing.T) {
	deniedSource(t)
	dir := realTempDir(t)
	listener, err := net.Listen("unix", dir+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, err := range []error{
		os.Mkdir(dir+"/closed", 0o700), os.Mkdir(dir+"/own", 0o755), os.Mkdir(dir+"/other", 0o755), os.WriteFile(dir+"/own/file", nil, 0o644), os.WriteFile(dir+"/secret", nil, 0o600),
		os.WriteFile(dir+"/script", []byte("#!"+dir+"/own/file\n"), 0o755), os.Chmod(dir+"/script", 0o755), os.Chmod(filepath.Dir(dir), 0o755),
		os.Chown(dir+"/own", 12345, 12345), os.Chown(dir+"/own/file", 12345, 12345), os.Chmod(dir+"/socket", 0o600), os.Chmod(dir, 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for _, e := range tracedDenied(t, "refused-calls", dir) {
		d := e.Denial
		if e.Name == "utimensat" { // which newer architectures have instead
			e.Name = "utimes"
		}
		call := strings.TrimSpace(e.Name + " " + strings.TrimPrefix(e.Args.Path, dir) + " " + strings.TrimPrefix(e.Args.New, dir))
		got[call] += strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Errno, d.Agreement, d.Rule, d.Difference)) + ";"
	}
	const noQuestion, noPermission = "EACCES unknown  ", "EPERM unknown  nsview access has no such question;"
	want := map[string]string{
		"connect /socket": "EACCES agree mode-other;", "bind /new": "EACCES agree mode-other;",
		"openat2 /secret":                   "EACCES agree mode-other;" + noQuestion + "its path is resolved with its directory as the root (RESOLVE_IN_ROOT);",
		"renameat /own/file /other/renamed": "EACCES agree mode-other;", "linkat /own/file /other/linked": "EACCES agree mode-other;",
		"fsetxattr /secret": "EACCES agree mode-other;", "removexattr /secret": "EACCES agree mode-other;", "fremovexattr /secret": "EACCES agree mode-other;",
		"execve /script": "EACCES agree mode-owner;", // the interpreter has no x; for the stack CAP_SYS_ADMIN was asked before
		"chroot /own":    noPermission, "mount /own": noPermission, "umount2 /own": noPermission,
		"fchdir /closed": "EACCES agree mode-other;", "statfs /closed/x": "EACCES agree mode-other;", "listxattr /closed/x": "EACCES agree mode-other;",
		"utimes /secret": "EACCES agree mode-other;", "inotify_add_watch /secret": "EACCES agree mode-other;",
		"openat /.":         noQuestion + "it makes a file without a name (O_TMPFILE);",
		"lsetxattr /secret": noQuestion + "it follows no link at the end of its path, as the question of nsview access does;",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}
