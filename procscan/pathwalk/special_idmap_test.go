package pathwalk

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// An idmapped mount of a file system of a user namespace: an id that the mount maps has to be one of that namespace too.
func TestDecideIdmappedMountOfUserNamespace(t *testing.T) {
	o := newOracle(t)
	dir := tempDir(t)
	source, target := mkdir(t, filepath.Join(dir, "source")), mkdir(t, filepath.Join(dir, "target"))
	o.add("container", containerRoot(unix.CLONE_NEWNS), fmt.Sprintf("mount --make-rprivate /; mount -t tmpfs -o mode=777 tmpfs %s; mkdir %[1]s/d; touch %[1]s/f %[1]s/d/g; chmod 0777 %[1]s/d; chmod 666 %[1]s/f", source))
	pid := strconv.Itoa(o.agents["container"].cmd.Process.Pid)
	// 0 and 5 on disk are ids of the user namespace, 70000 is none.
	text, err := exec.CommandContext(t.Context(), "nsenter", "--mount", "--target", pid,
		"mount", "-o", "bind,X-mount.idmap=b:0:2000:1 b:5:1000:1 b:70000:1001:1", source, target).CombinedOutput()
	proctest.Need(t, "idmapped mounts", err == nil, fmt.Sprintf("%v: %s", err, text))
	for _, id := range []string{"0", "1000", "1001", "1002", "2000"} {
		o.add(id, nil, fmt.Sprintf("exec nsenter --mount --target %s setpriv --reuid %s --regid %[2]s --clear-groups %s", pid, id, o.program))
	}
	o.ask(target, "0, 1000, 1001, 1002, 2000, container", `
		lookup $D
		read $D/f
		write $D/f
		create $D/new
		unlink $D/new
		mkdir $D/d/new
		rmdir $D/d/new
		chown $D/f 1000 -
		chown $D/f 1001 -
		chown $D/f - 1001
		chown $D/f 2000 2000
		chown $D/f 0 0
		chmod $D/d 0777
	`)
	o.ask(source, "0, 1000, container", `
		create $D/new
		unlink $D/new
		write $D/f
		chown $D/f - -
	`)
}
