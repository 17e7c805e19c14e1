package engine

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan"
)

// maxUsers bounds for how many users files are looked for.
const maxUsers = 1000

// users lists who may run an engine of their own: who has a program of one, a runtime directory, or states of nsview;
// and the observer. Root is not among them. Others' home directories are left alone: to look into one may mount it.
func (r *reader) users(programs []Program) []User {
	uids := []uint32{}
	add := func(uid uint32) {
		if uid != 0 && !slices.Contains(uids, uid) && len(uids) < maxUsers {
			uids = append(uids, uid)
		}
	}
	add(uint32(r.snap.Observer.UID))
	for i := range programs {
		if programs[i].UID.Mapped() {
			add(uint32(programs[i].UID))
		}
	}
	files, err := procscan.InTime(r.ctx, readDeadline, func() (userFiles, error) { return readUserFiles(r.o.HostRoot), nil })
	if err != nil {
		r.gap("/run/user", "users", err)
	}
	for _, uid := range files.uids {
		add(uid)
	}
	slices.Sort(uids)
	list := make([]User, len(uids))
	for i, uid := range uids {
		list[i] = User{UID: uid}
		for line := range strings.SplitSeq(string(files.passwd), "\n") {
			if f := strings.Split(line, ":"); len(f) > 5 && f[2] == itoa(uid) {
				list[i].Name, list[i].Home = f[0], f[5]
				break
			}
		}
	}
	return list
}

// userFiles is what the host's files say about who may run an engine.
type userFiles struct {
	uids   []uint32
	passwd []byte
}

func readUserFiles(hostRoot string) userFiles {
	var found userFiles
	root, err := procscan.OpenRoot(hostRoot)
	if err != nil {
		return found
	}
	defer root.Close()
	for dir, prefix := range map[string]string{"/run/user": "", "/tmp": "nsview-"} {
		names, _ := listDir(root, dir, 0) // without the directory nobody has anything there
		for _, name := range names {
			number, ok := strings.CutPrefix(name, prefix)
			if !ok {
				continue // nearly all that is in /tmp
			}
			if uid, err := strconv.ParseUint(number, 10, 32); err == nil {
				found.uids = append(found.uids, uint32(uid))
			}
		}
	}
	const limit = 16 << 20
	if fd, err := root.OpenPath("/etc/passwd", 0, 0); err == nil {
		found.passwd, _ = root.ReadFileAt(fd, "/etc/passwd", limit) // without it nobody has a home
		_ = unix.Close(fd)
	}
	return found
}
