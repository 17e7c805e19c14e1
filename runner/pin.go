package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Pins are the files that keep the new namespaces.
type Pins struct {
	Dir   string
	Made  bool // the directory was made for them
	Files []string
}

// pins are the files that the plan asks for, in the order of Spec.New.
func (p *Plan) pins() Pins {
	pins := Pins{Dir: p.Spec.Pin}
	for _, n := range p.Spec.New {
		pins.Files = append(pins.Files, filepath.Join(pins.Dir, string(n)))
	}
	return pins
}

// pin bind-mounts the files of the new namespaces into a directory: they live as long as these mounts do. A PID
// namespace lives on, too, but nothing can be started in it once its init is gone.
func (c *Container) pin() error {
	fail := func(err error) error {
		return &Error{What: "--pin " + c.Plan.Spec.Pin, Err: err, Status: StatusFailure}
	}
	want := c.Plan.pins()
	c.Pins.Dir = want.Dir
	switch err := os.Mkdir(want.Dir, 0o755); {
	case err == nil:
		c.Pins.Made = true
	case !errors.Is(err, fs.ErrExist):
		return fail(err)
	}
	for i, n := range c.Plan.Spec.New {
		path := want.Files[i]
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
		if err != nil {
			return fail(err)
		}
		f.Close()
		source := "/proc/" + strconv.Itoa(c.PID) + "/ns/" + string(n)
		if n == Time {
			// The stage is in it only once it has executed the command.
			source = "/proc/" + strconv.Itoa(c.PID) + "/ns/time_for_children"
		}
		if err := unix.Mount(source, path, "", unix.MS_BIND, ""); err != nil {
			_ = os.Remove(path)
			return fail(fmt.Errorf("bind %s: %w", source, err))
		}
		c.Pins.Files = append(c.Pins.Files, path)
	}
	return nil
}

// Undo are the commands that let the namespaces go, each as its words. There are none without pins.
func (p *Pins) Undo() [][]string {
	if len(p.Files) == 0 {
		return nil
	}
	undo := [][]string{
		append([]string{"umount", "--"}, p.Files...),
		append([]string{"rm", "--"}, p.Files...),
	}
	if p.Made {
		undo = append(undo, []string{"rmdir", "--", p.Dir})
	}
	return undo
}

// remove undoes pin, after a start that failed.
func (p *Pins) remove() {
	for _, path := range p.Files {
		_ = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		_ = os.Remove(path) // fails, and rightly, while something is still mounted there
	}
	if p.Made {
		_ = os.Remove(p.Dir) // only when nothing else is in it
	}
	*p = Pins{}
}
