package runner

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/idmap"
)

// The credentials are those of this thread alone: the system calls are made directly, because the functions of package
// syscall change all threads. The thread is locked, and it is its credentials that execve(2) takes over.

func rawCall(name string, trap, a, b, c uintptr) error {
	if _, _, errno := unix.RawSyscall(trap, a, b, c); errno != 0 {
		return fmt.Errorf("%s: %w", name, errno)
	}
	return nil
}

func prctl(option int, arg uintptr) error {
	return unix.Prctl(option, arg, 0, 0, 0)
}

func setGroups(groups []idmap.Inside) error {
	ids := make([]uint32, len(groups)+1) // never empty, to have an address
	for i, g := range groups {
		ids[i] = uint32(g)
	}
	err := rawCall("setgroups", unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&ids[0])), 0)
	runtime.KeepAlive(ids)
	return err
}

func setIDs(uid, gid idmap.Inside) error {
	if err := rawCall(fmt.Sprintf("setresgid %v", gid), unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)); err != nil {
		return err
	}
	return rawCall(fmt.Sprintf("setresuid %v", uid), unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
}

type capSets struct{ effective, permitted, inheritable uint64 }

func getCaps() (capSets, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return capSets{}, fmt.Errorf("capget: %w", err)
	}
	join := func(lo, hi uint32) uint64 { return uint64(lo) | uint64(hi)<<32 }
	return capSets{
		effective:   join(data[0].Effective, data[1].Effective),
		permitted:   join(data[0].Permitted, data[1].Permitted),
		inheritable: join(data[0].Inheritable, data[1].Inheritable),
	}, nil
}

func setCaps(s capSets) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(s.effective), Permitted: uint32(s.permitted), Inheritable: uint32(s.inheritable)},
		{Effective: uint32(s.effective >> 32), Permitted: uint32(s.permitted >> 32), Inheritable: uint32(s.inheritable >> 32)},
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// becomeSetup gives the stage an id that exists in its user namespace, keeping its capabilities: with an unmapped one it
// could not create a file in a tmpfs of its own.
func (st *stage) becomeSetup() error {
	p := st.plan
	if !p.SetIDs || !p.Spec.has(User) {
		return nil
	}
	uid, gid := p.UID, p.GID
	if p.UIDMap.Covers(0) {
		uid = 0
	}
	if p.GIDMap.Covers(0) {
		gid = 0
	}
	if err := prctl(unix.PR_SET_KEEPCAPS, 1); err != nil {
		return fmt.Errorf("prctl PR_SET_KEEPCAPS: %w", err)
	}
	// While setgroups is allowed nothing of the caller's groups is needed any more.
	if p.SetGroups {
		if err := setGroups(nil); err != nil {
			return err
		}
	}
	if err := setIDs(uid, gid); err != nil {
		return err
	}
	caps, err := getCaps()
	if err != nil {
		return err
	}
	caps.effective = caps.permitted
	return setCaps(caps)
}

// limit takes capabilities out of the bounding set, for which CAP_SETPCAP is needed.
func (st *stage) limit() error {
	for n := range lastCap() + 1 {
		if capHas(st.plan.CapBound, n) {
			continue
		}
		if err := prctl(unix.PR_CAPBSET_DROP, uintptr(n)); err != nil {
			return fmt.Errorf("prctl PR_CAPBSET_DROP %d: %w", n, err)
		}
	}
	return nil
}

// becomeFinal takes the command's credentials: groups, ids, capabilities, no_new_privs.
func (st *stage) becomeFinal() error {
	p := st.plan
	if err := prctl(unix.PR_SET_KEEPCAPS, 1); err != nil {
		return fmt.Errorf("prctl PR_SET_KEEPCAPS: %w", err)
	}
	if p.SetGroups {
		if err := setGroups(p.Groups); err != nil {
			return err
		}
	}
	if p.SetIDs {
		if err := setIDs(p.UID, p.GID); err != nil {
			return err
		}
	}
	if err := st.finalCaps(); err != nil {
		return err
	}
	if err := prctl(unix.PR_SET_KEEPCAPS, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_KEEPCAPS: %w", err)
	}
	if p.Spec.NoNewPrivs {
		if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
			return fmt.Errorf("prctl PR_SET_NO_NEW_PRIVS: %w", err)
		}
	}
	return nil
}

// finalCaps leaves what the command is to have. For root execve(2) gives the bounding set; the permitted set must not be
// smaller before, since execve clears the parent-death signal when it gives more than there was. For others only ambient
// capabilities survive.
func (st *stage) finalCaps() error {
	caps, err := getCaps()
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_CAP_AMBIENT_CLEAR_ALL: %w", err)
	}
	if unix.Geteuid() == 0 {
		own := caps.permitted & st.plan.CapBound
		return setCaps(capSets{effective: own, permitted: own})
	}
	keep := st.plan.CapAmbient & caps.permitted
	if err := setCaps(capSets{effective: keep, permitted: keep, inheritable: keep}); err != nil {
		return err
	}
	for n := range lastCap() + 1 {
		if !capHas(keep, n) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(n), 0, 0); err != nil {
			return fmt.Errorf("prctl PR_CAP_AMBIENT_RAISE %d: %w", n, err)
		}
	}
	return nil
}
