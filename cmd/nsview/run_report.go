package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/shell"
	"github.com/nsview/nsview/runner"
)

// runReport is --report as JSON.
type runReport struct {
	Schema string `json:"schema"`
	Kind   string `json:"kind"`
	*runner.Report
}

// printReport says on stderr, which is not the command's stdout, how the command looks from both sides.
func (a *app) printReport(r *runner.Report) error {
	if a.output == "json" {
		return render.JSON(a.err, runReport{Schema: nsinspect.Schema, Kind: "RunReport", Report: r})
	}
	// In one write, so that the command, which is running already, writes before or after it and not between its lines.
	var text bytes.Buffer
	o := render.TableOptions{ASCII: true}
	for _, t := range []render.Table{reportIDs(r), reportNamespaces(r), reportBinds(r)} {
		if len(t.Rows) == 0 {
			continue
		}
		if err := t.Render(&text, o); err != nil {
			return err
		}
	}
	_, err := a.err.Write(text.Bytes())
	return err
}

func reportIDs(r *runner.Report) render.Table {
	pids := make([]string, len(r.PIDs))
	for i, pid := range r.PIDs {
		pids[i] = strconv.Itoa(pid)
	}
	return render.Table{
		Header: []string{"", "OUTSIDE", "INSIDE", "MAP (INSIDE:OUTSIDE:COUNT)"},
		Rows: [][]string{
			{"pid", strconv.Itoa(r.PID), pids[len(pids)-1], ""},
			{"uid", r.UID.Outside.String(), r.UID.Inside.String(), r.UIDMap.String()},
			{"gid", r.GID.Outside.String(), r.GID.Inside.String(), r.GIDMap.String()},
		},
	}
}

func reportNamespaces(r *runner.Report) render.Table {
	t := render.Table{Header: []string{"NAMESPACE", "INODE", "STATE"}}
	for _, n := range r.Namespaces {
		t.Rows = append(t.Rows, []string{string(n.Type), strconv.FormatUint(n.Inode, 10), n.State})
	}
	return t
}

func reportBinds(r *runner.Report) render.Table {
	t := render.Table{Header: []string{"BIND", "ON", "OWNER ON THE HOST", "OWNER INSIDE", "OPTIONS"}}
	for _, b := range r.Binds {
		var options []string
		if b.ReadOnly {
			options = append(options, "ro")
		}
		if b.Idmapped {
			options = append(options, "idmap")
		}
		if b.Error != "" {
			options = append(options, b.Error)
		}
		t.Rows = append(t.Rows, []string{b.Source, b.Target, bindOwner(b.Host), bindOwner(b.Inside), strings.Join(options, ",")})
	}
	return t
}

func bindOwner(o runner.Owner) string {
	id := func(n *uint32) string {
		if n == nil {
			return "unmapped"
		}
		return strconv.FormatUint(uint64(*n), 10)
	}
	return id(o.UID) + ":" + id(o.GID)
}

// sayPins tells how to undo --pin, and what a pinned PID namespace is good for.
func (a *app) sayPins(c *runner.Container) {
	undo := c.Pins.Undo()
	if len(undo) == 0 {
		return
	}
	a.warn("the new namespaces are kept as files in %s; to undo that:", c.Pins.Dir)
	for _, words := range undo {
		fmt.Fprintln(a.err, shell.Quote(words...))
	}
	if slices.Contains(c.Plan.Spec.New, runner.PID) {
		a.warn("a process can be started in the pinned PID namespace only as long as its init, process %d, lives", c.PID)
	}
}
