package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/runner"
)

// checkMaps judges the proposed maps of q, for a new user namespace of this process's when target is nil.
func (a *app) checkMaps(s *nsinspect.Snapshot, target *nsinspect.Target, q *mapQuestion, r *nsinspect.MapReport) error {
	caller, err := runner.ReadCaller()
	if err != nil {
		return fmt.Errorf("read what this process may do: %w", err)
	}
	for _, half := range []struct {
		kind   idmap.Kind
		m      idmap.Map
		parent idmap.Map
		setid  int
		helper *idmap.Newidmap
		grants string
	}{
		{idmap.UID, q.uid, caller.UIDMap, unix.CAP_SETUID, &caller.Newuidmap, "/etc/subuid"},
		{idmap.GID, q.gid, caller.GIDMap, unix.CAP_SETGID, &caller.Newgidmap, "/etc/subgid"},
	} {
		if len(half.m) == 0 {
			continue
		}
		has := func(c int) bool { return caller.Caps&(1<<c) != 0 }
		w := idmap.Writer{
			Kind: half.kind, EUID: caller.UID, EGID: caller.GID, Owner: caller.UID, Parent: half.parent,
			CapSysAdmin: true, // it is the owner of what it makes
			CapSetID:    has(half.setid), CapSetFCAP: has(unix.CAP_SETFCAP),
			Setgroups: caller.Setgroups, PageSize: os.Getpagesize(),
		}
		if target != nil {
			w.CapSysAdmin = has(unix.CAP_SYS_ADMIN)
			known := false
			if w, known = s.WriterFor(*target, w); !known {
				return &statusError{code: exitUnknown, err: fmt.Errorf("%s: its user namespace's owner, parent or maps could not be read", q.target)}
			}
		}
		r.Check(half.m, w, half.helper)
		if !w.CapSetID {
			r.Gaps = append(r.Gaps, subIDGaps(half.grants)...)
		}
	}
	return nil
}

// maxSubIDs bounds what is read of /etc/subuid.
const maxSubIDs = 16 << 20

// subIDGaps are the lines of /etc/subuid or /etc/subgid that grant nothing because they cannot be read.
func subIDGaps(path string) []nsinspect.Gap {
	f, err := os.Open(path)
	if err != nil {
		return []nsinspect.Gap{{Subject: path, Fact: "grants", Error: reason(err)}}
	}
	defer f.Close()
	var gaps []nsinspect.Gap
	_, err = idmap.ParseSubIDs(io.LimitReader(f, maxSubIDs))
	for _, err := range joined(err) {
		gap := nsinspect.Gap{Subject: path, Fact: "grants", Error: err.Error(), Hint: "correct " + path}
		var line *idmap.LineError
		if errors.As(err, &line) {
			gap.Fact, gap.Error = fmt.Sprintf("line %d", line.Line), line.Err.Error()
		}
		gaps = append(gaps, gap)
	}
	return gaps
}

// joined are the errors that errors.Join put together.
func joined(err error) []error {
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		return several.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

// reason is the kernel's answer, without operation and operand.
func reason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// printChecks prints a line for each map that was judged, and below it what is wrong and what would be accepted.
func printChecks(out io.Writer, r *nsinspect.MapReport) error {
	w := bufio.NewWriter(out)
	for _, c := range r.Checks {
		verdict := "accepted"
		if !c.Accepted {
			verdict = "refused"
		}
		by := ""
		if c.By != "direct" {
			by = " by " + c.By
		}
		fmt.Fprintf(w, "%s_map %v: %s%s\n", c.Kind, c.Map, verdict, by)
		var accepted []string
		for _, p := range r.Problems {
			if p.Kind != c.Kind {
				continue
			}
			fmt.Fprintf(w, "  %s (%s)\n", render.Escape(p.Detail), strings.Trim(string(p.Rule)+", "+p.Errno, ", "))
			if p.Accepted != "" {
				accepted = append(accepted, p.Accepted)
			}
		}
		for i, text := range accepted {
			if i == 0 || text != accepted[i-1] {
				fmt.Fprintf(w, "  accepted would be: %s\n", render.Escape(text))
			}
		}
	}
	return w.Flush()
}
