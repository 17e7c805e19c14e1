package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/access"
)

// stored is what a snapshot keeps of Facts, in Snapshot.Doctor.
type stored struct {
	Host    *access.Host `json:"host"`    // of every walk
	Volumes bool         `json:"volumes"` // there is what was fetched for a plan, not only paths that were asked for
	Asked   []Asked      `json:"asked"`
	Answers []Answer     `json:"answers"`
	Counts  []Count      `json:"counts"`
	Samples []Sample     `json:"samples"`
	Hidden  []Hidden     `json:"hidden"`
	SubUID  idmap.SubIDs `json:"subuid"`
	SubGID  idmap.SubIDs `json:"subgid"`
}

// Store puts what was fetched into the snapshot that it is about. volumes says that it was for a plan, so that it can be
// judged.
func Store(f *Facts, volumes bool) error {
	out := stored{Volumes: volumes, Asked: f.Asked, Answers: f.Answers, Counts: f.Counts, Samples: f.Samples, Hidden: f.Hidden, SubUID: f.SubUID, SubGID: f.SubGID}
	for i := range f.Answers {
		out.Host = f.Answers[i].Walk.Host
	}
	for i := range f.Asked {
		out.Host = f.Asked[i].Walk.Host
	}
	text, err := json.Marshal(&out)
	if err != nil {
		return fmt.Errorf("store what doctor needs: %w", err)
	}
	f.Snapshot.Doctor = text
	return nil
}

// Load takes what [Store] put into a snapshot, of the containers of f. It may come from a stranger: references to what is
// not there, and walks of which a part is missing, are errors. False when no volumes were stored: there is nothing to judge.
func Load(f *Facts) (bool, error) {
	if len(f.Snapshot.Doctor) == 0 {
		return false, nil
	}
	dec := json.NewDecoder(bytes.NewReader(f.Snapshot.Doctor))
	dec.DisallowUnknownFields()
	var in stored
	if err := dec.Decode(&in); err != nil {
		return false, fmt.Errorf("what the snapshot stores for doctor: %w", err)
	}
	if err := in.check(len(f.Snapshot.Containers)); err != nil {
		return false, fmt.Errorf("what the snapshot stores for doctor: %w", err)
	}
	for i := range in.Answers {
		a := &in.Answers[i]
		c := &f.Snapshot.Containers[a.Container]
		a.Subject.Container, a.Subject.Names, a.Walk.Host = c, f.Snapshot.NamesAt(c.Names), in.Host
	}
	for i := range in.Samples {
		a := &in.Samples[i]
		c := &f.Snapshot.Containers[a.Container]
		a.Subject.Container, a.Subject.Names, a.Walk.Host = c, f.Snapshot.NamesAt(c.Names), in.Host
	}
	for i := range in.Asked {
		a := &in.Asked[i]
		a.Walk.Host = in.Host
		if a.Container >= 0 {
			a.Subject.Container = &f.Snapshot.Containers[a.Container]
			a.Subject.Names = f.Snapshot.NamesAt(a.Subject.Container.Names)
		} else if p := f.Snapshot.Process(a.Subject.PID); p != nil {
			a.Subject.Names = f.Snapshot.NamesAt(p.Names)
		}
	}
	if in.Host != nil {
		in.Host.Names = f.Snapshot.NamesAt(f.Snapshot.Observer.Names)
	}
	f.Asked, f.Answers, f.Counts, f.Samples, f.Hidden, f.SubUID, f.SubGID = in.Asked, in.Answers, in.Counts, in.Samples, in.Hidden, in.SubUID, in.SubGID
	return in.Volumes, nil
}

var errPart = errors.New("a part of a walk is missing")

func (in *stored) check(containers int) error {
	inRange := func(i int) error {
		if i < 0 || i >= containers {
			return fmt.Errorf("container %d is out of range", i)
		}
		return nil
	}
	for i := range in.Answers {
		a := &in.Answers[i]
		if err := inRange(a.Container); err != nil {
			return err
		}
		if a.Subject == nil || a.Walk == nil || in.Host == nil || !wholeWalk(a.Walk) {
			return errPart
		}
	}
	for i := range in.Asked {
		a := &in.Asked[i]
		if a.Container != -1 {
			if err := inRange(a.Container); err != nil {
				return err
			}
		}
		if a.Subject == nil || a.Walk == nil || in.Host == nil || !wholeWalk(a.Walk) {
			return errPart
		}
	}
	for i := range in.Samples {
		a := &in.Samples[i]
		if err := inRange(a.Container); err != nil {
			return err
		}
		if a.Subject == nil || a.Walk == nil || in.Host == nil || !wholeWalk(a.Walk) {
			return errPart
		}
	}
	for i := range in.Counts {
		if err := inRange(in.Counts[i].Container); err != nil {
			return err
		}
	}
	for i := range in.Hidden {
		if err := inRange(in.Hidden[i].Container); err != nil {
			return err
		}
	}
	return in.checkHost()
}

// checkHost refuses user namespaces that are their own ancestors: whoever walks up would not come to an end.
func (in *stored) checkHost() error {
	if in.Host == nil {
		return nil
	}
	for inode, ns := range in.Host.UserNS {
		at := ns
		for up := 0; at != nil; up++ {
			if up > maxLevels {
				return fmt.Errorf("user namespace %d has more than %d ancestors", inode, maxLevels)
			}
			at = in.Host.UserNS[at.Parent]
		}
		if ns == nil {
			return fmt.Errorf("user namespace %d: null", inode)
		}
	}
	return nil
}

// maxLevels is how deep user namespaces nest (kernel/user_namespace.c), and more.
const maxLevels = 40

// wholeWalk reports whether every step of a walk has what a walk always has. Walks here have no second path and no
// program to run.
func wholeWalk(w *access.Walk) bool {
	if w.New != nil || !wholeNode(w.Start, 0) {
		return false
	}
	for i := range w.Steps {
		s := &w.Steps[i]
		if !wholeNode(s.Dir, 0) || s.Found != nil && !wholeNode(s.Found, 0) || s.End != nil && !wholeNode(s.End, 0) {
			return false
		}
	}
	return true
}

// maxStacked is how many overlays may lie on one another; the kernel takes two.
const maxStacked = 4

func wholeNode(n *access.Node, depth int) bool {
	if n == nil || n.Mount == nil || n.Mount.Super == nil || n.Exec != nil || depth > maxStacked {
		return false
	}
	if o := n.Overlay; o != nil {
		if o.Real == nil && o.Missing == "" && !o.Unhindered || o.Real != nil && !wholeNode(o.Real, depth+1) {
			return false
		}
		for _, parent := range o.CopyUp {
			if !wholeNode(parent, depth+1) {
				return false
			}
		}
	}
	return true
}
