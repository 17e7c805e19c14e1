package trace

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// who is a thread at one moment. What is 0 of its namespaces, its PID inside and its parent is not known, as ids are that are
// noID.
type who struct {
	pid, inside, ppid uint32
	ids               [8]uint32 // as in header
	comm              [16]byte
	ns                inodes
}

// noID is the id that nobody has (INVALID_UID).
const noID = 1<<32 - 1

func noIDs() [8]uint32 { return [8]uint32{noID, noID, noID, noID, noID, noID, noID, noID} }

// whoIs is what /proc says of a thread. Of one that has ended nothing is known: all are 0. One that ends while it is read is
// not found either.
func whoIs(tid int) (w who, found bool) {
	status := statusOf(tid)
	w.pid, w.ppid = uint32(number(status["Tgid:"], 0)), uint32(number(status["PPid:"], 0))
	w.inside = uint32(number(status["NSpid:"], -1))
	if w.pid != 0 && w.pid != uint32(tid) { // the PID is that of its process
		w.inside = uint32(number(statusOf(int(w.pid))["NSpid:"], -1))
	}
	for i := range 4 {
		w.ids[i], w.ids[4+i] = uint32(number(status["Uid:"], i)), uint32(number(status["Gid:"], i))
	}
	w.ns = inodesOf(tid)
	comm, _ := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/comm") // gone with the thread; status has it with escapes
	copy(w.comm[:15], strings.TrimSuffix(string(comm), "\n"))
	return w, status != nil && w.ns.User != 0 && w.ns.Mnt != 0
}

// record is something that it does, by the thread tid at that time of the source's clock.
func (w *who) record(kind, tid uint32, time uint64) *record {
	r := &record{}
	r.Kind, r.Time, r.PID, r.TID, r.Inside, r.PPID = kind, time, w.pid, tid, w.inside, w.ppid
	r.Before, r.After, r.IDs, r.Comm = w.ns, w.ns, w.ids, w.comm
	return r
}

// cmdlineOf are the arguments of a process, none when it has ended.
func cmdlineOf(tid int) []byte {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/cmdline")
	return text
}

func statusOf(tid int) map[string]string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return nil
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, "\t"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}

// number is the i-th of the numbers in a field.
func number(field string, i int) int {
	words := strings.Fields(field)
	if i < 0 {
		i += len(words)
	}
	if i < 0 || i >= len(words) {
		return 0
	}
	n, _ := strconv.Atoi(words[i]) // the kernel writes numbers
	return n
}

func processOf(tid int) int {
	if pid := number(statusOf(tid)["Tgid:"], 0); pid != 0 {
		return pid
	}
	return tid
}

func inodesOf(tid int) inodes {
	of := func(name string) uint32 {
		var st unix.Stat_t
		if unix.Stat("/proc/"+strconv.Itoa(tid)+"/ns/"+name, &st) != nil {
			return 0
		}
		return uint32(st.Ino)
	}
	return inodes{
		User: of("user"), PID: of("pid"), PIDForChildren: of("pid_for_children"), Mnt: of("mnt"), Net: of("net"), UTS: of("uts"),
		IPC: of("ipc"), Cgroup: of("cgroup"), Time: of("time"), TimeForChildren: of("time_for_children"),
	}
}
