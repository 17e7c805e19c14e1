package enginetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Flatpak installs an application, org.nsview.Test, from a repository that it makes, and runs it. It returns the value of
// XDG_RUNTIME_DIR with which it runs, and the PID of its bwrap.
func Flatpak(t *testing.T) (runtimeDir string, monitor int) {
	t.Helper()
	Need(t, "flatpak", "bwrap", "busybox")
	dir := Dir(t)
	arch := Run(t, nil, "flatpak", "--default-arch")
	const runtime = "org.nsview.Platform"
	for name, content := range map[string]string{
		"runtime/metadata": "[Runtime]\nname=" + runtime + "\nruntime=" + runtime + "/" + arch + "/1\nsdk=" + runtime + "/" + arch + "/1\n",
		"app/metadata": "[Application]\nname=org.nsview.Test\nruntime=" + runtime + "/" + arch + "/1\nsdk=" + runtime + "/" + arch + "/1\ncommand=app\n" +
			"[Context]\nfilesystems=" + dir + "/data:ro;\n",
		"app/files/bin/app": "#!/bin/sh\n" + sleepCommand + "\n",
		"data/file":         "",
		"run/empty":         "",
		"app/export/empty":  "",
	} {
		err := os.MkdirAll(filepath.Dir(dir+"/"+name), 0o755)
		if err == nil {
			err = os.WriteFile(dir+"/"+name, []byte(content), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	Rootfs(t, dir+"/runtime/files")
	env := []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir + "/run", "FLATPAK_USER_DIR=" + dir + "/user"}
	Run(t, env, "flatpak", "build-export", "--runtime", "--files=files", dir+"/repo", dir+"/runtime", "1")
	Run(t, env, "flatpak", "build-export", dir+"/repo", dir+"/app", "1")
	Run(t, env, "flatpak", "--user", "remote-add", "--no-gpg-verify", "test", "file://"+dir+"/repo")
	Run(t, env, "flatpak", "--user", "install", "-y", "--noninteractive", "test", runtime+"//1", "org.nsview.Test//1")
	cmd := exec.Command("flatpak", "--user", "run", "org.nsview.Test")
	cmd.Env = append(os.Environ(), env...)
	return dir + "/run", start(t, 0, cmd, syscall.SIGKILL)
}
