package pathwalk

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// oracle are agents by name, and a Prober that knows the namespaces of all of them.
type oracle struct {
	t       *testing.T
	prober  *Prober
	agents  map[string]*agent
	program string
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	proctest.NeedRoot(t)
	return &oracle{t: t, agents: map[string]*agent{}, program: agentProgram(t)}
}

// add starts an agent; script is run by sh before it, in its namespaces.
func (o *oracle) add(name string, attr *syscall.SysProcAttr, script string) {
	o.t.Helper()
	o.agents[name] = startAgent(o.t, name, attr, "/bin/sh", "-ec", script+"\nexec "+o.program)
	o.prober = nil
}

// plainUser is a user of the host.
func plainUser(uid uint32, groups ...uint32) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: groups}}
}

// containerRoot is root of a user namespace that maps 0-65535 to 100000-165535, and of namespaces of its own.
func containerRoot(flags uintptr) *syscall.SysProcAttr {
	ids := shiftedBy(100000)
	return &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | flags, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{},
	}
}

// ask puts questions to the agents named, one a line; $D in them is dir.
func (o *oracle) ask(dir, names, questions string) {
	o.t.Helper()
	if o.prober == nil {
		o.prober = proberNow(o.t)
	}
	for name := range strings.SplitSeq(names, ", ") {
		for line := range strings.Lines(strings.ReplaceAll(questions, "$D", dir)) {
			if line = strings.TrimSpace(line); line != "" {
				agree(o.t, o.prober, o.agents[name], line)
			}
		}
	}
}

// newNames are the operations that make a name which is not there.
const newNames = `
	create $D/new
	opencreat $D/new
	mkdir $D/new
	mkfifo $D/new
	mknod $D/new
	whiteout $D/new
	symlink $D/new
	unlink $D/new
	rmdir $D/new
	mkdir $D/new/
	symlink $D/new/
`

// Nothing is ever written to a sysctl: files are opened at most, for writing only where nobody may or in the agent's own
// namespaces.
func TestDecideProcfs(t *testing.T) {
	o := newOracle(t)
	o.add("root", nil, "")
	o.add("user", plainUser(1000), "")
	o.add("group 0", plainUser(1000, 0), "")
	o.add("container", containerRoot(unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWIPC|unix.CLONE_NEWNET), "mount --make-rprivate /; mount -t proc proc /proc")
	o.add("user of container", containerRoot(unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWIPC|unix.CLONE_NEWNET),
		"mount --make-rprivate /; mount -t proc proc /proc; exec setpriv --reuid 5 --regid 5 --clear-groups "+o.program)
	o.add("container in the host's namespaces", containerRoot(0), "")
	o.add("bind mounted", containerRoot(unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWIPC|unix.CLONE_NEWNET),
		"mount --make-rprivate /; mount -t proc proc /proc; mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys")
	all := "root, user, group 0, container, user of container, container in the host's namespaces, bind mounted"
	o.ask("/proc/sys/kernel", all, newNames+`
		read $D/ostype
		write $D/ostype
		rdwr $D/ostype
		append $D/ostype
		noatime $D/ostype
		truncate $D/ostype
		opentrunc $D/ostype
		exec $D/ostype
		chmod $D/ostype 0444
		chown $D/ostype 0 0
		chown $D/ostype 0 -
		chown $D/ostype - -
		lchown $D/ostype - 5
		chmod $D 0555
		access $D/ostype w
		access $D/ostype r
		eaccess $D/ostype x
		eaccess $D/ostype rw
		eaccess $D w
		eaccess $D x
		chdir $D
		unlink $D/ostype
		rmdir $D
		create $D/ostype
		mkdir $D/ostype
		rename $D/ostype $D/new
		rename $D/ostype $D/osrelease
		link $D/ostype $D/new
		link $D/ostype $D/osrelease
		lookup $D/new
		setxattr $D/ostype user.x
		getxattr $D/ostype user.x
		setxattr $D user.x
		getxattr $D user.x
		setxattr $D/ostype trusted.x
		getxattr $D/ostype trusted.x
		getxattr $D/ostype security.x
		getxattr $D/ostype foo.bar
		getacl $D/ostype
		getxattr $D system.posix_acl_default
		read $D/cap_last_cap
		read /proc/sys/vm/compact_memory
		read /proc/sys/net/ipv4/ip_forward
		read /proc/sys/kernel/msgmax
		eaccess /proc/sys/kernel/msgmax rw
		eaccess /proc/sys/kernel/shm_next_id rw
		access /proc/sys/kernel/msgmax w
		eaccess /proc/sys/fs/mqueue/msg_max w
		eaccess /proc/sys/user/max_user_namespaces w
		read /proc/sys/user/max_user_namespaces
	`)
	o.ask("/proc/sys/net/ipv4", "root, user, group 0, user of container, container in the host's namespaces", `
		eaccess $D/ip_forward rw
		eaccess $D/ip_forward x
	`)
	// Which settings of another network namespace can be written the observer cannot see.
	if v, _ := decideFor(t, o.prober, o.agents["container"], "eaccess /proc/sys/net/ipv4/ip_forward w"); v.Verdict != access.Unknown {
		t.Errorf("writing a setting of another network namespace is %s by %s", v.Verdict, v.Rule)
	}
	o.ask("/proc", all, newNames+`
		read $D/version
		write $D/version
		chmod $D/1/status 0444
		chown $D/1/status 0 0
		chown $D/1/status - -
		chmod $D/1 0555
		utimes $D/1/status
		getxattr $D/version user.x
		setxattr $D/version user.x
		unlink $D/version
		rmdir $D/1
		mkdir $D/1/new
		rename $D/version $D/new
		rename $D/version $D/uptime
		link $D/version $D/new
		mkdir $D/1
		readlink $D/self
		unlink $D/self
	`)
	o.ask("/proc", "user, user of container", `
		chmod $D/version 0444
		chown $D/version 0 0
		utimes $D/version
		touch $D/version
	`)
}

func TestDecideSysfs(t *testing.T) {
	o := newOracle(t)
	o.add("root", nil, "")
	o.add("user", plainUser(1000), "")
	o.add("container", containerRoot(unix.CLONE_NEWNS|unix.CLONE_NEWNET), "mount --make-rprivate /; mount -t sysfs sysfs /sys")
	o.ask("/sys/kernel", "root, user, container", newNames+`
		read $D/uevent_seqnum
		write $D/uevent_seqnum
		rdwr $D/uevent_seqnum
		append $D/uevent_seqnum
		opentrunc $D/uevent_seqnum
		exec $D/uevent_seqnum
		access $D/uevent_seqnum w
		eaccess $D/uevent_seqnum w
		chown $D/uevent_seqnum - -
		unlink $D/uevent_seqnum
		rmdir $D/mm
		create $D/uevent_seqnum
		mkdir $D/mm
		rename $D/uevent_seqnum $D/new
		noreplace $D/uevent_seqnum $D/new
		rename $D/mm $D/new
		rename $D/mm /sys/new
		rename $D/uevent_seqnum $D/notes
		exchange $D/uevent_seqnum $D/notes
		link $D/uevent_seqnum $D/new
		link $D/uevent_seqnum $D/notes
		getxattr $D/uevent_seqnum user.x
		setxattr $D/uevent_seqnum user.x
		getxattr $D/uevent_seqnum trusted.x
		getxattr $D/uevent_seqnum foo.bar
		setxattr $D/uevent_seqnum foo.bar
		getacl $D/uevent_seqnum
	`)
	o.ask("/sys/kernel", "user, container", `
		chmod $D/uevent_seqnum 0444
		chown $D/uevent_seqnum 0 0
		setxattr $D/uevent_seqnum trusted.x
	`)
}

func TestDecideDevpts(t *testing.T) {
	o := newOracle(t)
	dir := tempDir(t)
	mount := "mount --make-rprivate /; mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts " + dir
	o.add("container", containerRoot(unix.CLONE_NEWNS), mount)
	o.add("user of container", containerRoot(unix.CLONE_NEWNS), mount+"; exec setpriv --reuid 5 --regid 5 --clear-groups "+o.program)
	o.add("nodev", containerRoot(unix.CLONE_NEWNS), mount+"; mount -o remount,bind,nodev "+dir)
	o.add("root", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, mount)
	o.ask(dir, "container, user of container, nodev, root", newNames+`
		read $D/ptmx
		write $D/ptmx
		rdwr $D/ptmx
		exec $D/ptmx
		getxattr $D/ptmx user.x
		setxattr $D/ptmx user.x
		getxattr $D user.x
		setxattr $D user.x
		getxattr $D/ptmx trusted.x
		getxattr $D/ptmx security.x
		chown $D/ptmx - -
		chown $D/ptmx 70000 0
		mkdir $D/ptmx
		link $D/ptmx $D/new
		rename $D/ptmx $D/new
		unlink $D/ptmx
		rmdir $D/ptmx
		chmod $D/ptmx 0666
	`)
}

func TestDecideTmpfs(t *testing.T) {
	o := newOracle(t)
	dir := tempDir(t)
	mountAt(t, "tmpfs", dir, "tmpfs", 0, "mode=755")
	for name, mode := range map[string]uint32{"suid": 0o4755, "immutable": 0o4755, "append": 0o6755, "plain": 0o644, "secret": 0o600, "plainimmutable": 0o644} {
		file(t, filepath.Join(dir, name), 1000, 1000)
		if err := unix.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, flag := range map[string]int{"immutable": flagImmutable, "append": flagAppend, "plainimmutable": flagImmutable} {
		name = filepath.Join(dir, name)
		setFlag(name, flag)
		t.Cleanup(func() { setFlag(name, 0) })
	}
	mkdir(t, filepath.Join(dir, "d"))
	if err := os.Chown(filepath.Join(dir, "d"), 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("d", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	o.add("root", nil, "")
	o.add("owner", plainUser(1000), "")
	o.add("stranger", plainUser(1001), "")
	o.add("container", containerRoot(0), "")
	const all = "stranger, container, owner, root"
	o.ask(dir, all, `
		chown $D/immutable - -
		chown $D/append - -
		chown $D/plainimmutable - -
		chown $D/immutable 1000 -
		setxattr $D/secret foo.bar
		getxattr $D/secret foo.bar
		setxattr $D/plain foo.bar
		getxattr $D/plain foo.bar
		setxattr $D/plain user
		getxattr $D/plain user
		setxattr $D/plain user.
		getxattr $D/plain user.
		setxattr $D/plain system.foo
		getxattr $D/secret system.foo
		getxattr $D/plain system.posix_acl_default
		getxattr $D system.posix_acl_default
		getxattr $D/d system.posix_acl_default
		getacl $D/d
		setxattr $D/plain system.posix_acl_default
		setxattr $D/immutable system.posix_acl_default
		setxattr $D/suid system.posix_acl_access
		setxattr $D/d system.posix_acl_default
		getxattr $D/d system.posix_acl_default
		chown $D/suid - -
	`)
}

// What the kernel does not start is said to be what it is.
func TestDecideForeignProgram(t *testing.T) {
	o := newOracle(t)
	o.add("root", nil, "")
	dir := tempDir(t)
	own, err := os.ReadFile(o.program)
	if err != nil {
		t.Fatal(err)
	}
	other := elf.EM_AARCH64
	if runtime.GOARCH == "arm64" {
		other = elf.EM_X86_64
	}
	for name, c := range map[string]struct {
		at    int
		value uint16
		says  string
	}{
		"machine": {18, uint16(other), "for another machine, " + strings.ToLower(strings.TrimPrefix(other.String(), "EM_"))},
		"type":    {16, 4, "begins as an ELF program does"},
		"none":    {0, 0, "neither ELF nor a script"},
	} {
		program := bytes.Clone(own[:4096])
		binary.NativeEndian.PutUint16(program[c.at:], c.value)
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, program, 0o755); err != nil {
			t.Fatal(err)
		}
		o.ask(dir, "root", "exec $D/"+name)
		if v, _ := decideFor(t, o.prober, o.agents["root"], "exec "+path); !strings.Contains(v.Explanation, c.says) {
			t.Errorf("%s: %s, not %q", name, v.Explanation, c.says)
		}
	}
	// The class is not what the kernel goes by on most machines.
	program := bytes.Clone(own[:4096]) // so little of it ends at once, by a signal
	program[elf.EI_CLASS] = byte(elf.ELFCLASS32)
	if err := os.WriteFile(filepath.Join(dir, "class"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	o.ask(dir, "root", "exec $D/class")
}
