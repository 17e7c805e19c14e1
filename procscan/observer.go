package procscan

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

const (
	// initUserNS is the inode of the initial user namespace, the same on every host since Linux 3.8 (PROC_USER_INIT_INO in
	// include/linux/proc_ns.h). Other namespaces get theirs from 0xF0000000 on, so no other one has it.
	initUserNS nsinspect.Inode = 0xEFFFFFFD

	// defaultOverflowID is what the kernel starts with (DEFAULT_OVERFLOWUID in include/linux/highuid.h), and what is left
	// where /proc/sys is hidden.
	defaultOverflowID = 65534
)

// readObserver fills in Snapshot.Observer, and what follows from it: how ids are judged (s.ids) and whether the procfs
// numbers processes as system calls do (s.samePIDs).
//
// The observer finds itself through the proc root that it was given. A procfs of a PID namespace that the observer is
// not in has no self; then pidfd ioctls say what can be had without any procfs.
func (s *scanner) readObserver(w *worker) {
	o := &s.snap.Observer
	s.readHost(o)

	self, err := unix.Openat(s.procFD, "self", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		s.observerWithoutSelf(o)
	} else {
		defer unix.Close(self)
		s.observerFromSelf(w, self, o)
	}

	o.InitialNS = o.Namespaces.User == initUserNS
	o.UserNS, o.PIDNS, o.MntNS = o.Namespaces.User, o.Namespaces.PID, o.Namespaces.Mnt
	var own nsinspect.IDMaps
	switch {
	case err == nil:
		maps, text, mapsErr := w.readMaps(self)
		if mapsErr != nil {
			s.observerGap("uid_map", mapsErr)
			break
		}
		maps.UserNS = o.UserNS
		own = maps
		o.IDMaps = s.maps.addOwn(maps, text, o.InitialNS)
	case o.InitialNS:
		own = nsinspect.IDMaps{UserNS: o.UserNS, UID: idmap.Identity(), GID: idmap.Identity(), Setgroups: "allow"}
		o.IDMaps = s.maps.addOwn(own, "", true)
	}
	s.ids = newIDJudge(o, own)
	o.UID = s.ids.ownID(uint32(os.Geteuid()), o.OverflowUID, own.UID)
	o.GID = s.ids.ownID(uint32(os.Getegid()), o.OverflowGID, own.GID)
}

// readHost fills in what no process's directory says.
func (s *scanner) readHost(o *nsinspect.Observer) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err == nil {
		o.Kernel = unix.ByteSliceToString(uts.Release[:])
		o.Hostname = unix.ByteSliceToString(uts.Nodename[:])
	}
	// The procfs of this kernel counts start times by this clock, in whichever time namespace: both are the observer's.
	var up unix.Timespec
	if s.isProcfs() && unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) == nil {
		boot := time.Now().Add(-time.Duration(up.Nano())).Round(10 * time.Millisecond)
		o.Boot = &boot
	}
	o.Caps = effectiveCaps()
	o.LSMs = s.lsms()
	o.OverflowUID = s.overflowID("sys/kernel/overflowuid")
	o.OverflowGID = s.overflowID("sys/kernel/overflowgid")
}

func (s *scanner) observerFromSelf(w *worker, self int, o *nsinspect.Observer) {
	if _, err := w.namespaces(self, w.links, &o.Namespaces); err != nil {
		s.observerGap("namespaces", err)
	}
	if o.Namespaces.PIDForChildren == 0 {
		if ns, err := childPIDNS(os.Getpid(), 0); err == nil {
			o.Namespaces.PIDForChildren = ns.inode
			ns.close()
		}
	}
	var root [unix.PathMax]byte
	if n, err := unix.Readlinkat(self, "root", root[:]); err == nil {
		o.Root = string(root[:n])
	} else {
		s.observerGap("root", err)
	}
	if link, err := s.readlinkProc(0, "self"); err == nil {
		if pid, err := strconv.Atoi(link); err == nil {
			o.PID = pid
		}
	}
	// NSpid begins at the procfs's PID namespace: with one number in it, that is the observer's own. (The number alone
	// proves nothing: it may be the same in two namespaces.)
	var st status
	b, err := w.read(self, w.files.status)
	if err == nil {
		err = parseStatus(b, &st)
	}
	if err != nil {
		s.observerGap("status", err)
		return
	}
	if len(st.pids) == 1 && st.pids[0] == os.Getpid() {
		s.samePIDs = true
		o.ProcPIDNS = o.Namespaces.PID
	}
}

// observerWithoutSelf asks by pidfd (Linux 6.11) what /proc/self would say.
func (s *scanner) observerWithoutSelf(o *nsinspect.Observer) {
	set, err := pidfdNamespaces(os.Getpid())
	o.Namespaces = set
	if err != nil {
		s.observerGap("namespaces", err)
	}
}

func (s *scanner) observerGap(fact string, err error) {
	s.gap(nsinspect.Gap{Subject: "observer", PID: s.snap.Observer.PID, Fact: fact, Error: errText(err)})
}

// findProcPIDNS tells which PID namespace the procfs shows when it is not the observer's: a process with one number in
// NSpid is directly in it. PID 1 of it is such a process, and so is every other with a single number; all of them know
// it, and one whose link can be read is enough.
//
// The other way round it holds for those whose links cannot be read: with one number, a process is in that namespace.
func (s *scanner) findProcPIDNS(w *worker) {
	o := &s.snap.Observer
	for i := 0; i < len(s.snap.Processes) && o.ProcPIDNS == 0; i++ {
		if p := &s.snap.Processes[i]; len(p.PIDs) == 1 && p.State != "" {
			o.ProcPIDNS = p.Namespaces.PID
		}
	}
	for _, pid := range []int{1, 2} { // a scan of chosen PIDs may have none; 2 is kthreadd on a host
		if o.ProcPIDNS != 0 {
			break
		}
		var p nsinspect.Process
		dir, ok := w.open(pid)
		if !ok {
			continue
		}
		if w.process(dir, pid, &p) && len(p.PIDs) == 1 && p.State != "" {
			o.ProcPIDNS = p.Namespaces.PID
		}
		_ = unix.Close(dir)
	}
	if o.ProcPIDNS == 0 {
		return
	}
	for i := range s.snap.Processes {
		if p := &s.snap.Processes[i]; len(p.PIDs) == 1 && p.Namespaces.PID == 0 && p.State != "" {
			p.Namespaces.PID = o.ProcPIDNS
		}
	}
}

// effectiveCaps is the effective set of the calling thread (capget(2)).
func effectiveCaps() uint64 {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return 0
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
}

// lsms is the list of active security modules, nil when securityfs is not mounted here nor below the host's root.
func (s *scanner) lsms() []string {
	const file = "/sys/kernel/security/lsm"
	for _, root := range []string{"", strings.TrimSuffix(s.opts.HostRoot, "/")} {
		if b, err := os.ReadFile(root + file); err == nil {
			return strings.Split(strings.TrimSpace(string(b)), ",")
		}
	}
	return nil
}

func (s *scanner) overflowID(name string) uint32 {
	f, err := s.openProc(0, name, unix.O_RDONLY)
	if err != nil {
		return defaultOverflowID
	}
	defer f.Close()
	var buf [16]byte
	n, err := f.Read(buf[:])
	if err != nil {
		return defaultOverflowID
	}
	v, err := parseUint(bytes.TrimSpace(buf[:n]), 10, 32)
	if err != nil {
		return defaultOverflowID
	}
	return uint32(v)
}
