package enginetest

import (
	"os"
	"os/exec"
	"testing"
)

// LXD is a LXD daemon of the test's own.
type LXD struct {
	t   *testing.T
	Dir string // LXD_DIR
}

// StartLXD starts lxd with a storage pool called pool and an image called busybox, in a network namespace of its own,
// where it finds nobody to ask for images, and a mount namespace of its own, which takes what it mounts away with it.
func StartLXD(t *testing.T) *LXD {
	t.Helper()
	Need(t, "lxd", "lxc", "unshare", "busybox")
	l := &LXD{t: t, Dir: Dir(t)}
	removeLocks(t, l.Dir)
	if err := os.Mkdir(l.Dir+"/d", 0o711); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("unshare", "--net", "--mount", "lxd", "--logfile", l.Dir+"/log")
	daemon.Env = append(os.Environ(), l.env()...)
	Daemon(t, daemon, func() bool {
		_, err := Try(t, l.env(), "lxd", "waitready", "--timeout", "5")
		return err == nil
	})
	l.Run("storage", "create", "pool", "dir")
	l.Run("image", "import", l.image(), "--alias", "busybox")
	return l
}

func (l *LXD) env() []string { return []string{"LXD_DIR=" + l.Dir + "/d", "HOME=" + l.Dir} }

// Run runs the client on this daemon.
func (l *LXD) Run(args ...string) string {
	l.t.Helper()
	return Run(l.t, l.env(), "lxc", append(args, "-q")...)
}

// Create makes a container that is removed at the end of the test.
func (l *LXD) Create(name string, flags ...string) {
	l.t.Helper()
	l.Run(append([]string{"init", "busybox", name, "-s", "pool"}, flags...)...)
	l.t.Cleanup(func() { l.Run("delete", "-f", name) })
}

// image is a tar of metadata and a root file system whose init sleeps.
func (l *LXD) image() string {
	l.t.Helper()
	dir := l.Dir + "/image"
	arch := Run(l.t, nil, "uname", "-m")
	Rootfs(l.t, dir+"/rootfs")
	for name, content := range map[string]string{
		"metadata.yaml":    "architecture: " + arch + "\ncreation_date: 1700000000\nproperties:\n  description: busybox for a test\n",
		"rootfs/sbin/init": "#!/bin/sh\nexec sleep 1000\n",
	} {
		err := os.MkdirAll(dir+"/rootfs/sbin", 0o755)
		if err == nil {
			err = os.WriteFile(dir+"/"+name, []byte(content), 0o755)
		}
		if err != nil {
			l.t.Fatal(err)
		}
	}
	return writeTar(l.t, l.Dir+"/image.tar", dir)
}
