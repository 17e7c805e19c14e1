package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
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
// judged. A walk of which a part is missing, which [Load] would refuse with all others, is left out and a gap.
func Store(f *Facts, volumes bool) error {
	out := stored{Volumes: volumes, Counts: f.Counts, Hidden: f.Hidden, SubUID: f.SubUID, SubGID: f.SubGID}
	keep := func(w *access.Walk) bool {
		if !wholeWalk(w) {
			f.Snapshot.Gaps = append(f.Snapshot.Gaps, nsinspect.Gap{Subject: w.Path, Fact: "walk", Error: errPart.Error()})
			return false
		}
		out.Host = w.Host
		return true
	}
	for i := range f.Answers {
		if keep(f.Answers[i].Walk) {
			out.Answers = append(out.Answers, f.Answers[i])
		}
	}
	for i := range f.Samples {
		if keep(f.Samples[i].Walk) {
			out.Samples = append(out.Samples, f.Samples[i])
		}
	}
	for i := range f.Asked {
		if keep(f.Asked[i].Walk) {
			out.Asked = append(out.Asked, f.Asked[i])
		}
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
		in.restore(f.Snapshot, a.Container, a.Subject, a.Walk)
	}
	for i := range in.Samples {
		a := &in.Samples[i]
		in.restore(f.Snapshot, a.Container, a.Subject, a.Walk)
	}
	for i := range in.Asked {
		a := &in.Asked[i]
		in.restore(f.Snapshot, a.Container, a.Subject, a.Walk)
	}
	if in.Host != nil {
		in.Host.Names = f.Snapshot.NamesAt(f.Snapshot.Observer.Names)
	}
	f.Asked, f.Answers, f.Counts, f.Samples, f.Hidden, f.SubUID, f.SubGID = in.Asked, in.Answers, in.Counts, in.Samples, in.Hidden, in.SubUID, in.SubGID
	return in.Volumes, nil
}

// restore gives what was asked of a container, -1 for none, what is stored once for all.
func (in *stored) restore(snap *nsinspect.Snapshot, container int, s *access.Subject, w *access.Walk) {
	w.Host = in.Host
	if container >= 0 {
		s.Container = &snap.Containers[container]
		s.Names = snap.NamesAt(s.Container.Names)
	} else if p := snap.Process(s.PID); p != nil {
		s.Names = snap.NamesAt(p.Names)
	}
}

var errPart = errors.New("a part of a walk is missing")

func (in *stored) check(containers int) error {
	inRange := func(i, first int) error {
		if i < first || i >= containers {
			return fmt.Errorf("container %d is out of range", i)
		}
		return nil
	}
	whole := func(container, first int, s *access.Subject, w *access.Walk) error {
		if err := inRange(container, first); err != nil {
			return err
		}
		if s == nil || w == nil || in.Host == nil || !wholeWalk(w) {
			return errPart
		}
		return nil
	}
	for i := range in.Answers {
		a := &in.Answers[i]
		if err := whole(a.Container, 0, a.Subject, a.Walk); err != nil {
			return err
		}
	}
	for i := range in.Asked {
		a := &in.Asked[i]
		if err := whole(a.Container, -1, a.Subject, a.Walk); err != nil { // -1: a process of the host
			return err
		}
	}
	for i := range in.Samples {
		a := &in.Samples[i]
		if err := whole(a.Container, 0, a.Subject, a.Walk); err != nil {
			return err
		}
	}
	for i := range in.Counts {
		if err := inRange(in.Counts[i].Container, 0); err != nil {
			return err
		}
	}
	for i := range in.Hidden {
		if err := inRange(in.Hidden[i].Container, 0); err != nil {
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
	if w.Start == nil && w.Fail != "" { // too long or empty: it is not begun
		return w.New == nil && len(w.Steps) == 0
	}
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
		for _, real := range slices.Concat(o.CopyUp, o.Below) {
			if !wholeNode(real, depth+1) {
				return false
			}
		}
	}
	return true
}
