package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/pathwalk"
)

// volumeOwners fills in who owns each volume of the listed containers for the host and for the container. For one that is
// not running that is what it would see. What cannot be looked at is a gap of the list.
func (a *app) volumeOwners(ctx context.Context, s *nsinspect.Snapshot, list *nsinspect.ContainerList) {
	defer a.progress("looking at the volumes of " + counted(len(list.Containers), "container"))()
	atlas := nsinspect.NewAtlas(s)
	w := pathwalk.New(s, atlas, a.proc)
	for i := range list.Containers {
		if ctx.Err() != nil {
			list.Partial = true
			return
		}
		c := &list.Containers[i]
		t, err := nsinspect.Resolve(s, c.Viewer)
		if err != nil {
			list.Gaps = append(list.Gaps, nsinspect.Gap{Subject: c.Viewer, Fact: "owners of volumes", Error: err.Error()})
			continue
		}
		query := nsinspect.OwnerQuery{Target: &t}
		for j := range c.Volumes {
			v := &c.Volumes[j]
			ask, ok := volumeAsk(v, t.Process, c.Viewer)
			if !ok {
				continue
			}
			f, err := a.fileFacts(ctx, s, w, ask)
			if err != nil {
				list.Gaps = append(list.Gaps, nsinspect.Gap{Subject: ask.Target + ":" + ask.Path, Fact: "owner", Error: fileError(ask.Path, err).Error()})
				continue
			}
			owners, gaps := s.Owners(atlas, f, query)
			v.Views = owners.Views
			list.Gaps = append(list.Gaps, gaps...)
		}
	}
}

// printWhole prints each container with everything about it.
func (a *app) printWhole(s *nsinspect.Snapshot, list *nsinspect.ContainerList) error {
	o := a.tableOptions()
	plain := o
	plain.NoHeaders, plain.Width = true, 0 // ids and paths to be copied are not cut
	for i := range list.Containers {
		c := &list.Containers[i]
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		if _, err := fmt.Fprintln(a.out, render.Escape(c.Viewer)); err != nil {
			return err
		}
		if err := (&render.Table{Header: []string{"", ""}, Rows: wholeFacts(s, c, a.verbose)}).Render(a.out, plain); err != nil {
			return err
		}
		for _, t := range []*render.Table{wholeVolumes(c, a.verbose), wholeMaps(c), wholeNamespaces(s, c)} {
			if len(t.Rows) == 0 {
				continue
			}
			fmt.Fprintln(a.out)
			if err := t.Render(a.out, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// wholeFacts are the facts that have a line each; those that are not known have none. Without verbose what engines and
// their tools add on their own is only counted.
func wholeFacts(s *nsinspect.Snapshot, c *nsinspect.ContainerRow, verbose bool) [][]string {
	var rows [][]string
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{" " + name, value})
		}
	}
	add("id", c.ID)
	add("image", c.Image)
	add("state", wholeState(s, c))
	add("project", c.Project)
	add("service", c.Service)
	if c.Pod != nil {
		add("pod", strings.Trim(c.Pod.Namespace+"/"+c.Pod.Name, "/"))
		add("pod id", c.Pod.ID)
	}
	add("user", wholeUser(s, c))
	add("engine", wholeChain(s, c))
	add("runtime", c.Runtime)
	add("bundle", c.Bundle)
	add("known by", evidenceText(c.Evidence))
	folded := 0
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		if toolLabel(name) && !verbose {
			folded++
			continue
		}
		add("label", name+"="+c.Labels[name])
	}
	if folded > 0 {
		add("label", fmt.Sprintf("%d more by tools (-v lists them)", folded))
	}
	var files []string
	for i := range c.Volumes {
		if point := c.Volumes[i].Point; c.OwnMount(point) && !verbose {
			files = append(files, point)
		}
	}
	if len(files) > 0 {
		slices.Sort(files)
		add("mounts", "the engine's own "+strings.Join(slices.Compact(files), ", ")+" (-v shows them)")
	}
	return rows
}

// evidenceText is on what a container's name rests.
func evidenceText(evidence string) string {
	switch evidence {
	case "state":
		return "state, the engine's own records"
	case "api":
		return "api, the engine's answer"
	case "process":
		return "process, the engine's program above it"
	case "cgroup":
		return "cgroup, which only its path tells"
	}
	return evidence
}

// toolLabel reports whether a label is of those that compose, Kubernetes and image builders put on everything.
func toolLabel(name string) bool {
	return slices.ContainsFunc([]string{"com.docker.compose.", "io.kubernetes.", "org.opencontainers.image."}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

func wholeState(s *nsinspect.Snapshot, c *nsinspect.ContainerRow) string {
	init := s.Process(c.InitPID)
	if init == nil {
		return stoppedText(&c.EngineFacts)
	}
	text := fmt.Sprintf("%s, PID %d", c.State, init.PID)
	if n := len(init.PIDs); n > 1 {
		text += fmt.Sprintf(" (%d inside)", init.PIDs[n-1])
	}
	if c.Processes == 1 {
		return text + ", 1 process"
	}
	return fmt.Sprintf("%s, %d processes", text, c.Processes)
}

// wholeUser is whom the container was configured to run as, and as whom its first process does, on both sides.
func wholeUser(s *nsinspect.Snapshot, c *nsinspect.ContainerRow) string {
	var parts []string
	if c.User != "" {
		parts = append(parts, c.User+" configured")
	}
	if init := s.Process(c.InitPID); init != nil {
		row := s.ProcessRow(init)
		parts = append(parts,
			nameAndID(row.Inside.User, row.Inside.UID.String())+" inside",
			nameAndID(row.Host.User, row.Host.UID.String())+" on the host")
	}
	return strings.Join(parts, ", ")
}

func nameAndID(name, id string) string {
	if name == "" {
		return id
	}
	return name + " (" + id + ")"
}

// wholeChain is the engine's processes from the daemon down to the container's first process.
func wholeChain(s *nsinspect.Snapshot, c *nsinspect.ContainerRow) string {
	parts := make([]string, 0, len(c.Chain)+1)
	for _, l := range c.Chain {
		parts = append(parts, fmt.Sprintf("%s %d (%s)", l.Comm, l.PID, l.Role))
	}
	if init := s.Process(c.InitPID); init != nil && len(parts) > 0 {
		parts = append(parts, fmt.Sprintf("%s %d", init.Comm, init.PID))
	}
	return strings.Join(parts, " -> ")
}

func wholeNamespaces(s *nsinspect.Snapshot, c *nsinspect.ContainerRow) *render.Table {
	t := &render.Table{Header: []string{"NAMESPACE", "INODE", "HOST", "SHARING"}}
	if c.InitPID == 0 {
		return t
	}
	for _, n := range nsinspect.Share(&c.Namespaces, &s.Observer.Namespaces) {
		t.Rows = append(t.Rows, []string{string(n.Type), n.A.String(), n.B.String(), string(n.Sharing)})
	}
	return t
}

// wholeMaps are the id maps that a container has, or would have.
func wholeMaps(c *nsinspect.ContainerRow) *render.Table {
	t := &render.Table{Header: []string{"MAP", "INSIDE", "OUTSIDE", "COUNT"}}
	uid, gid := c.ActualUID, c.ActualGID
	if c.InitPID == 0 {
		uid, gid = c.UIDMap, c.GIDMap
	}
	for _, e := range uid {
		t.Rows = append(t.Rows, []string{"uid", e.Inside.String(), e.Outside.String(), strconv.FormatUint(uint64(e.Count), 10)})
	}
	for _, e := range gid {
		t.Rows = append(t.Rows, []string{"gid", e.Inside.String(), e.Outside.String(), strconv.FormatUint(uint64(e.Count), 10)})
	}
	return t
}

func wholeVolumes(c *nsinspect.ContainerRow, verbose bool) *render.Table {
	t := &render.Table{Header: []string{"VOLUME", "ON", "OWNER ON HOST", "OWNER INSIDE", "OPTIONS", "SOURCE"}, KeepEnd: []int{1, 5}}
	for i := range c.Volumes {
		v := &c.Volumes[i]
		if c.OwnMount(v.Point) && !verbose {
			continue
		}
		source := v.Source
		if source == "" {
			source = v.Dev + v.Root
		}
		var options []string
		if v.ReadOnly {
			options = append(options, "ro")
		}
		if v.Idmapped {
			options = append(options, "idmap")
		}
		t.Rows = append(t.Rows, []string{v.Name, v.Point, viewOwner(v, true), viewOwner(v, false), strings.Join(options, ","), source})
	}
	return t
}

// viewOwner is USER:GROUP as one side sees them, as ls -l prints them; "" when that side was not asked.
func viewOwner(v *nsinspect.Volume, host bool) string {
	for i := range v.Views {
		if w := &v.Views[i]; (w.Viewer == "host") == host {
			return ownerName(w.User, viewID(w.UnknownIDs, "uid", w.UID)) + ":" + ownerName(w.Group, viewID(w.UnknownIDs, "gid", w.GID))
		}
	}
	return ""
}
