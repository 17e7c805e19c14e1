package pathwalk

import (
	"path/filepath"
	"testing"

	"github.com/nsview/nsview/procscan/proctest"
)

// TestDeletedWorkingDirectory: a process may stay in a directory that was removed, and on a mount that was unmounted.
func TestDeletedWorkingDirectory(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	mkdir(t, filepath.Join(dir, "up", "gone"))
	file(t, filepath.Join(dir, "up", "f"), 0, 0)
	a := startAgent(t, "root", nil, "/bin/sh", "-c", `cd "$1" && rmdir "$1" && exec "$0"`, agentProgram(t), filepath.Join(dir, "up", "gone"))
	p := proberNow(t)
	all := []string{
		"lookup .", "lookup ..", "lookup x", "create x", "opencreat x", "mkdir x", "symlink x", "mkfifo x", "unlink x", "rmdir x", "read ../f",
		"link ../f x", "rename ../f x", "rename x ../y", "exchange ../f x", "noreplace ../f x", "chmod . 0700", "read .", "access . w", "create ./../n", "mkdir x/", "create x/y", "exec x",
	}
	agree(t, p, a, all...)
	setpriv, err := findTool("setpriv")
	proctest.Need(t, "setpriv", err == nil, "setpriv (util-linux) makes the subjects")
	for _, id := range []string{"0", "1000"} {
		mount := mkdir(t, filepath.Join(dir, "mount"+id))
		b := scriptedAgent(t, "on an unmounted file system "+id, nil, "mount -t tmpfs -o mode=0755 tmpfs "+mount+"\nmkdir "+mount+"/in "+mount+"/in/d\nchmod 700 "+mount+"/in/d\ntouch "+mount+"/in/f\ncd "+mount+"/in\numount -l "+mount+"\n",
			setpriv, "--reuid", id, "--regid", id, "--clear-groups")
		agree(t, proberNow(t), b, "lookup .", "read f", "write f", "create n", "unlink f", "mkdir m", "rmdir m", "lookup ..", "lookup ../in", "lookup ../../..", "chdir d", "rename d e", "rmdir e", "lookup "+dir)
	}
}
