package trace

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What /proc says of a traced thread, which waits meanwhile. Of one that has been killed nothing is known: all are 0.

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

func statusNumber(tid int, name string) int { return number(statusOf(tid)[name], 0) }

// insideOf is the PID of a process in its own PID namespace.
func insideOf(pid int) int { return number(statusOf(pid)["NSpid:"], -1) }

func (p *Ptrace) processOf(tid int) int {
	if pid := statusNumber(tid, "Tgid:"); pid != 0 {
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
	n := inodes{
		User: of("user"), PID: of("pid"), PIDForChildren: of("pid_for_children"), Mnt: of("mnt"), Net: of("net"), UTS: of("uts"),
		IPC: of("ipc"), Cgroup: of("cgroup"), Time: of("time"), TimeForChildren: of("time_for_children"),
	}
	return n
}

// readMemory reads up to n bytes of a process.
func readMemory(tid int, address uint64, n int) []byte {
	if address == 0 || n == 0 {
		return nil
	}
	f, err := os.Open("/proc/" + strconv.Itoa(tid) + "/mem")
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, n)
	got, _ := f.ReadAt(b, int64(address)) // up to where its memory ends
	return b[:got]
}

// readText reads a string with its NUL, or the beginning of it.
func readText(tid int, address uint64, n int) []byte {
	b := readMemory(tid, address, n)
	if end := bytes.IndexByte(b, 0); end >= 0 {
		return b[:end+1]
	}
	return b
}
