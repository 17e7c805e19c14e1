package runner

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// ReadMaps fills in the maps of a user namespace that has no process from which they could be read, as a pinned one may
// have: nsenter(1) puts one in for a moment, which does nothing there. Outside ids are the caller's only when they are
// read from outside.
func (j *Join) ReadMaps(c *Caller) error {
	fail := func(err error) error {
		return &Error{What: "--join-user " + j.Target, Err: err, Status: StatusFailure}
	}
	if c.NsenterPath == "" {
		return noNsenter(j.Type)
	}
	fd, err := openNamespace(*j)
	if err != nil {
		return err
	}
	ns := os.NewFile(uintptr(fd), j.Path)
	defer ns.Close()
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		return fail(err)
	}
	defer exe.Close()
	cmd := exec.Command(c.NsenterPath, "--user=/proc/self/fd/3", "--preserve-credentials", "--", "/proc/self/fd/4", holdArg, holdSaysUp)
	cmd.Env = []string{}
	cmd.ExtraFiles = []*os.File{ns, exe}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	in, err := cmd.StdinPipe()
	if err != nil {
		return fail(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	_, err = io.ReadFull(out, make([]byte, len(holdSaysUp)))
	if err == nil {
		err = j.readMaps("/proc/" + strconv.Itoa(cmd.Process.Pid))
	}
	_ = in.Close() // its sign to end
	if ended := cmd.Wait(); ended != nil {
		err = fmt.Errorf("nsenter: %w: %s", ended, strings.TrimSpace(complaint.String()))
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

func (j *Join) readMaps(dir string) (err error) {
	if j.UIDMap, err = readMap(dir + "/uid_map"); err != nil {
		return err
	}
	if j.GIDMap, err = readMap(dir + "/gid_map"); err != nil {
		return err
	}
	b, err := os.ReadFile(dir + "/setgroups")
	j.Setgroups = strings.TrimSpace(string(b))
	return err
}

func noNsenter(n Namespace) error {
	return refuse("--join-"+n.Flag(), "install util-linux", "nsenter is not installed")
}
