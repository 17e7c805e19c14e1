package pathwalk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// serveFUSE mounts a FUSE file system that has one file, f of mode 0644, and agrees to whatever it is asked (protocol:
// include/uapi/linux/fuse.h). It is served until the test ends.
func serveFUSE(t *testing.T, dir, options string) {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	proctest.Need(t, "fuse", err == nil, fmt.Sprint("/dev/fuse: ", err))
	if err := unix.Mount("nsview", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40755,%s", fd, options)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		<-done
	})
	go func() {
		defer close(done)
		answerFUSE(fd)
	}()
}

// answerFUSE serves it until it is unmounted.
func answerFUSE(fd int) {
	defer unix.Close(fd)
	for request := make([]byte, 1<<18); ; {
		n, err := unix.Read(fd, request)
		switch {
		case err == unix.EINTR || err == unix.ENOENT:
			continue
		case err != nil:
			return // ENODEV: unmounted
		}
		if answer := fuseAnswer(request[:n]); answer != nil {
			_, _ = unix.Write(fd, answer)
		}
	}
}

func fuseAnswer(request []byte) []byte {
	const root, child = 1, 2
	le := binary.LittleEndian
	opcode, unique, node := le.Uint32(request[4:]), le.Uint64(request[8:]), le.Uint64(request[16:])
	var out bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&out, le, v)
		}
	}
	attr := func(ino uint64) {
		mode := uint32(unix.S_IFDIR | 0o755)
		if ino == child {
			mode = unix.S_IFREG | 0o644
		}
		put(ino, [5]uint64{}, [3]uint32{}, mode, uint32(1), [3]uint32{}, uint32(4096), uint32(0))
	}
	var errno syscall.Errno
	switch opcode {
	case 2, 36, 42: // FORGET, INTERRUPT, BATCH_FORGET
		return nil
	case 26: // INIT
		put(uint32(7), uint32(31), uint32(0), uint32(0), uint32(0), uint32(1<<16), uint32(1), [9]uint32{})
	case 1, 35: // LOOKUP, CREATE
		if name, _, _ := strings.Cut(string(request[40:]), "\x00"); opcode == 1 && name != "f" {
			errno = unix.ENOENT
			break
		}
		put(uint64(child), [5]uint64{})
		out.Truncate(40)
		attr(child)
		if opcode == 35 {
			put([2]uint64{})
		}
	case 3, 4: // GETATTR, SETATTR
		put([2]uint64{})
		attr(node)
	case 14, 27: // OPEN, OPENDIR
		put([2]uint64{})
	case 10, 18, 25, 29, 34, 38: // UNLINK, RELEASE, FLUSH, RELEASEDIR, ACCESS, DESTROY
	default:
		errno = unix.ENOSYS
	}
	header := le.AppendUint32(nil, uint32(16+out.Len()))
	header = le.AppendUint32(header, uint32(-int32(errno)))
	return append(le.AppendUint64(header, unique), out.Bytes()...)
}

func TestDecideFUSE(t *testing.T) {
	const questions = `
		lookup $D
		lstat $D
		access $D x
		chdir $D
		lookup $D/f
		lookup $D/missing
		read $D/f
		write $D/f
		exec $D/f
		chmod $D 0755
		chmod $D/f 0644
		chown $D/f 0 0
		chown $D - -
		utimes $D/f
		touch $D
		create $D/new
		unlink $D/f
		rmdir $D
		setxattr $D/f user.x
		access $D/f w
	`
	o := newOracle(t)
	o.add("root", nil, "")
	o.add("root without capabilities", nil, "exec setpriv --bounding-set -all "+o.program)
	o.add("user", plainUser(1000), "")
	o.add("effectively root", nil, "exec setpriv --ruid 1000 --bounding-set -all "+o.program)
	o.add("container", containerRoot(0), "")
	everybody := "root, root without capabilities, user, effectively root, container"
	for _, c := range []struct {
		options string
		known   string // for whom no answer hinges on the server
	}{
		{"user_id=0,group_id=0,default_permissions,allow_other", everybody},
		{"user_id=0,group_id=0,default_permissions", everybody},
		{"user_id=0,group_id=0,allow_other", ""},
		{"user_id=0,group_id=0", "user, effectively root, container"},
	} {
		t.Run(c.options, func(t *testing.T) {
			dir := tempDir(t)
			serveFUSE(t, dir, c.options)
			p := proberNow(t)
			for name, a := range o.agents {
				for line := range strings.Lines(strings.ReplaceAll(questions, "$D", dir)) {
					line = strings.TrimSpace(line)
					if line == "" || name == "root" && strings.Contains(line, "rmdir") {
						continue
					}
					if c.known != "" && strings.Contains(", "+c.known+",", ", "+name+",") {
						agree(t, p, a, line)
						continue
					}
					v, q := decideFor(t, p, a, line)
					if said := a.do(t, q); v.Verdict != access.Unknown && string(v.Errno) != said {
						t.Errorf("%s: %s: the kernel says %q, the verdict is %s %q by %s", name, line, said, v.Verdict, v.Errno, v.Rule)
					}
					if v.Verdict == access.Allow && !strings.HasPrefix(line, "l") {
						t.Errorf("%s: %s is allowed by %s, though only the server knows", name, line, v.Rule)
					}
				}
			}
		})
	}
}

// A FUSE file system of a user namespace: allow_other does not reach beyond it, not even for root of the host.
func TestDecideFUSEOfUserNamespace(t *testing.T) {
	overlayfs, err := findTool("fuse-overlayfs")
	proctest.Need(t, "fuse-overlayfs", err == nil, fmt.Sprint(err))
	o := newOracle(t)
	dir := tempDir(t)
	device := filepath.Join(dir, "fuse")
	if err := unix.Mknod(device, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 229))); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chmod(device, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"l", "u", "w", "m"} {
		mkdir(t, filepath.Join(dir, name))
		if err := unix.Chown(filepath.Join(dir, name), 100000, 100000); err != nil {
			t.Fatal(err)
		}
	}
	file(t, filepath.Join(dir, "l", "f"), 100000, 100000)
	file(t, filepath.Join(dir, "l", "foreign"), 7, 7)
	script := fmt.Sprintf("mount --make-rprivate /; mount --bind %s /dev/fuse; cd %s; %s -o lowerdir=l,upperdir=u,workdir=w m 2>/dev/null; cd /", device, dir, overlayfs)
	o.add("container", containerRoot(unix.CLONE_NEWNS|unix.CLONE_NEWPID), script)
	join := func(flags string) string {
		return fmt.Sprintf("exec nsenter %s --target %d %s", flags, o.agents["container"].cmd.Process.Pid, o.program)
	}
	o.add("root of the host", nil, join("--mount"))
	o.add("below", nil, join("--mount --user --setuid 0 --setgid 0"))
	// Nor does nsview see what is on it, being root of the host itself: then an answer is unknown.
	p := proberNow(t)
	for name, a := range o.agents {
		for _, question := range []string{"lookup $D", "read $D/f", "lookup $D/missing", "chmod $D 0755", "chdir $D", "mkdir $D/d", "rmdir $D/d"} {
			question = strings.ReplaceAll(question, "$D", filepath.Join(dir, "m"))
			v, q := decideFor(t, p, a, question)
			said := a.do(t, q)
			if name == "root of the host" && said != "EACCES" || name != "root of the host" && said == "EACCES" {
				t.Errorf("%s: %s: the kernel says %q", name, question, said)
			}
			if v.Verdict != access.Unknown && string(v.Errno) != said {
				t.Errorf("%s: %s: the kernel says %q, the verdict is %s %q by %s", name, question, said, v.Verdict, v.Errno, v.Rule)
			}
		}
	}
}
