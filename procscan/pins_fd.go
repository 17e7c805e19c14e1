package procscan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// firstNSInode is below every inode number of a namespace: those of the initial ones are built in (PROC_IPC_INIT_INO
// and its neighbours, include/linux/proc_ns.h), others are above.
const firstNSInode = 0xEFFFFFF0

// pinFDs adds the namespaces that open file descriptors refer to, those opened with O_PATH included. With the fact
// Threads also descriptors of threads that have a table of their own (unshare(CLONE_FILES)).
func (g *grapher) pinFDs(ctx context.Context) {
	points := g.bindPoints()
	for i := range g.s.snap.Processes {
		if ctx.Err() != nil {
			return
		}
		p := &g.s.snap.Processes[i]
		if p.Kthread || p.State == "Z" {
			continue
		}
		g.fdTable(p.PID, 0, "fd", points)
		if g.s.opts.Facts&Threads != 0 {
			g.threadTables(p.PID, points)
		}
	}
}

// bindPoints are the places of bind-mounted namespace files: a descriptor opened there reads as the path, not as the
// namespace.
func (g *grapher) bindPoints() map[string]bool {
	points := map[string]bool{"/": true} // a detached mount, by open_tree(2) or umount -l
	for _, n := range g.nodes {
		for _, p := range n.ns.Pins {
			if p.Kind == nsinspect.PinBindMount {
				points[p.Path] = true
			}
		}
	}
	return points
}

// threadTables reads the tables of threads that do not share their process's.
func (g *grapher) threadTables(pid int, points map[string]bool) {
	tids, err := g.numbers(pid, "task")
	if err != nil {
		return // the process ended: nothing else could be read of it
	}
	for _, tid := range tids {
		if tid == pid || g.s.samePIDs && sameFiles(pid, tid) {
			continue
		}
		g.fdTable(pid, tid, fmt.Sprintf("task/%d/fd", tid), points)
	}
}

// sameFiles says whether two tasks share their descriptors (kcmp(2)); no when the kernel does not tell.
func sameFiles(a, b int) bool {
	const kcmpFiles = 2
	r, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpFiles, 0, 0, 0)
	return errno == 0 && r == 0
}

// fdTable reads one table of descriptors.
func (g *grapher) fdTable(pid, tid int, dir string, points map[string]bool) {
	fds, err := g.numbers(pid, dir)
	if err != nil {
		if !endedErr(err) {
			g.s.gap(nsinspect.Gap{Subject: fmt.Sprintf("pid %d", pid), PID: pid, Fact: dir, Error: errText(err), Hint: hintFor(err)})
		}
		return
	}
	for _, fd := range fds {
		name := dir + "/" + strconv.Itoa(fd)
		t, inode, ok := g.fdNamespace(pid, name, points)
		if !ok {
			continue
		}
		n := g.node(t, inode)
		n.pin(nsinspect.Pin{Kind: nsinspect.PinFD, PID: pid, TID: tid, FD: &fd})
		if !n.asked {
			n.place(nsPlace{pid: pid, name: name, free: true})
		}
	}
}

// fdNamespace tells which namespace a descriptor refers to. Its link says so, except for one that was opened through a
// bind mount: only these few are looked at more closely, since that may ask a file system whose server does not answer.
func (g *grapher) fdNamespace(pid int, name string, points map[string]bool) (nsinspect.Type, nsinspect.Inode, bool) {
	text, err := g.s.readlinkProc(pid, name)
	if err != nil {
		return "", 0, false // closed since
	}
	if text == "" || text[0] != '/' {
		return parseNSLink(text)
	}
	if !points[text] || !g.mayBeNS(pid, name) {
		return "", 0, false
	}
	f, err := g.openFree(g.s.procPath(pid, name))
	if err != nil {
		return "", 0, false
	}
	defer f.close()
	t, err := f.typ()
	return t, f.inode, err == nil && t != ""
}

// mayBeNS looks at fdinfo, which asks no file system: inode numbers of namespaces are large ("ino:", Linux 5.14).
func (g *grapher) mayBeNS(pid int, name string) bool {
	dir, fd, _ := bytes.Cut([]byte(name), []byte("fd/"))
	f, err := g.s.openProc(pid, string(dir)+"fdinfo/"+string(fd), unix.O_RDONLY)
	if err != nil {
		return false
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return false
	}
	_, rest, ok := bytes.Cut(content, []byte("\nino:\t"))
	if !ok {
		return true // an older kernel does not say
	}
	number, _, _ := bytes.Cut(rest, []byte("\n"))
	ino, err := strconv.ParseUint(string(number), 10, 64)
	return err == nil && ino >= firstNSInode && ino <= 1<<32-1
}

// numbers lists a directory below a process's whose entries are numbers.
func (g *grapher) numbers(pid int, dir string) ([]int, error) {
	f, err := g.s.openProc(pid, dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	out := make([]int, 0, len(names))
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			out = append(out, n)
		}
	}
	return out, nil
}
