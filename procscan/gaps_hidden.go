package procscan

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// hiddenGap records that the procfs may hide processes from the observer: one gap, which names the mount option
// (proc(5)), for rows that nobody can count.
//
//   - hidepid=1 (noaccess): processes are listed, their files are refused
//   - hidepid=2 (invisible): processes of others are not listed
//   - hidepid=4 (ptraceable): processes that the observer may not trace are not listed, whatever its groups
//
// The first two do not apply to members of the group gid= (0 when not given), and none to who may trace everybody
// (has_pid_permissions() in fs/proc/base.c): that is said of CAP_SYS_PTRACE in the initial user namespace.
func (s *scanner) hiddenGap() {
	o := &s.snap.Observer
	const capSysPtrace = 19
	if o.InitialNS && o.Caps&(1<<capSysPtrace) != 0 {
		return
	}
	option, gid, ok := s.hidepid()
	if !ok {
		return
	}
	if option != "ptraceable" && option != "4" && inGroup(gid) {
		return
	}
	what := "processes of other users are not listed"
	if option == "noaccess" || option == "1" {
		what = "files of other users' processes are refused"
	}
	s.gap(nsinspect.Gap{
		Subject: s.opts.Proc, Fact: "processes",
		Error: fmt.Sprintf("mounted with hidepid=%s: %s", option, what),
		Hint:  fmt.Sprintf("run as root or in group %d", gid),
	})
}

// hidepid finds the options of the procfs in the observer's mount table. ok is false without the option, and when the
// table cannot be read, as on a procfs that does not show the observer.
func (s *scanner) hidepid() (option string, gid int, ok bool) {
	var stx unix.Statx_t
	if err := unix.Statx(s.procFD, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &stx); err != nil || stx.Mask&unix.STATX_MNT_ID == 0 {
		return "", 0, false
	}
	f, err := s.openProc(0, "self/mountinfo", unix.O_RDONLY)
	if err != nil {
		return "", 0, false
	}
	defer f.Close()
	mounts, err := parseMountinfo(&cappedReader{f, maxMountinfo})
	if err != nil {
		return "", 0, false
	}
	i := slices.IndexFunc(mounts, func(m nsinspect.Mount) bool { return m.ID == int(stx.Mnt_id) && m.FSType == "proc" })
	if i < 0 {
		return "", 0, false
	}
	for _, o := range mounts[i].SuperOpts {
		if v, found := strings.CutPrefix(o, "hidepid="); found && v != "0" && v != "off" {
			option, ok = v, true
		}
		if v, found := strings.CutPrefix(o, "gid="); found {
			if n, err := strconv.Atoi(v); err == nil {
				gid = n
			}
		}
	}
	return option, gid, ok
}

// inGroup reports whether the observer is in group gid, as in_group_p() does.
func inGroup(gid int) bool {
	groups, err := os.Getgroups()
	return os.Getegid() == gid || err == nil && slices.Contains(groups, gid)
}
