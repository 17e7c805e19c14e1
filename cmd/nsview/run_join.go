package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/runner"
)

// joins finds the namespaces that the --join flags name.
func (a *app) joins(f *runFlags, c *runner.Caller) error {
	wanted := false
	for _, target := range f.join {
		wanted = wanted || *target != ""
	}
	if !wanted {
		return nil
	}
	s, err := a.snapshot(context.Background(), procscan.Graph)
	if err != nil {
		return err
	}
	for _, n := range runner.Namespaces() {
		if *f.join[n] == "" {
			continue
		}
		j, err := a.joinOf(s, n, *f.join[n])
		if err != nil {
			return &runner.Error{What: "--join-" + n.Flag(), Err: err}
		}
		if n == runner.User && j.Setgroups == "" { // no process is in it
			if err := j.ReadMaps(c); err != nil {
				return err
			}
		}
		f.spec.Join = append(f.spec.Join, j)
	}
	return nil
}

// joinOf is the namespace of type n that a TARGET has.
func (a *app) joinOf(s *nsinspect.Snapshot, n runner.Namespace, arg string) (runner.Join, error) {
	t, err := a.running(s, arg)
	if err != nil {
		return runner.Join{}, err
	}
	kind := nsinspect.Type(n)
	j := runner.Join{Type: n, Target: arg}
	switch {
	case strings.HasPrefix(arg, "/") || strings.HasPrefix(arg, "."):
		j.Path, j.Inode = arg, uint64(t.Namespace)
	case t.Process != nil:
		j.Path = a.proc + "/" + strconv.Itoa(t.Process.PID) + "/ns/" + string(n)
		j.Inode = uint64(t.Process.Namespaces.Of(kind))
	}
	if t.Namespace != 0 && t.Type != kind {
		return runner.Join{}, fmt.Errorf("%s is a %s namespace", arg, t.Type)
	}
	if j.Path == "" {
		return runner.Join{}, fmt.Errorf("%s has no process through which its %s namespace could be joined", arg, n)
	}
	if n != runner.User {
		return j, nil
	}
	inode := nsinspect.Inode(j.Inode)
	if ns := s.Namespace(inode); ns != nil {
		j.OwnerUID = ns.OwnerUID
		if ns.IDMaps >= 0 {
			maps := s.IDMaps[ns.IDMaps]
			j.UIDMap, j.GIDMap, j.Setgroups = maps.UID, maps.GID, maps.Setgroups
			return j, nil
		}
	}
	if t.Process != nil && t.Process.IDMaps >= 0 {
		maps := s.IDMaps[t.Process.IDMaps]
		j.UIDMap, j.GIDMap, j.Setgroups = maps.UID, maps.GID, maps.Setgroups
	}
	return j, nil
}
