// Impostor is for tests: a process with any command line, and a child in a mount namespace of its own. Its name is that of
// its file.
//
// The command line is in IMPOSTOR, an argument a line: first it executes itself with that.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "impostor:", err)
		os.Exit(1)
	}
}

func run() error {
	const asked, dressed, child = "IMPOSTOR", "IMPOSTOR_FILE", "IMPOSTOR_CHILD"
	if os.Getenv(child) == "" {
		if args := os.Getenv(asked); args != "" {
			return syscall.Exec(os.Args[0], strings.Split(args, "\n"), []string{dressed + "=" + os.Args[0]})
		}
		c := exec.Command(os.Getenv(dressed))
		c.Env = []string{child + "=1"}
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if uid := os.Getuid(); uid != 0 {
			c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		}
		if err := c.Start(); err != nil {
			return err
		}
		fmt.Println("ready")
	}
	time.Sleep(time.Hour)
	return nil
}
