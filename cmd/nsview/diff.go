package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

func (a *app) diffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "what two processes, containers or namespaces share",
		Long: `diff compares two TARGETs: which namespaces they share, their ids and id maps, their root directories, and the mounts
at which they see something else. Of a container its init process is compared.

Of a mount it says the file system and the directory of it that is mounted, "ro" and "idmapped", and whatever else is not
the same on both sides. What seldom matters for a volume is only counted: mounts below /dev, /proc and /sys, and, beside a
container, those that only the host has. -o wide lists every mount with its device and all its options.

Exit status: 0 no difference, 1 they differ, 2 usage or failure, 3 no difference seen but not everything could be read.`,
		Example: `  nsview diff wordpress mariadb
  nsview diff host web
  nsview diff 4711 4712 -o json`,
		Args:              exactly(2, "diff takes two TARGETs"),
		ValidArgsFunction: a.completeFirst(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.format(cmd); err != nil {
				return err
			}
			if err := a.checkColumns(diffColumns()); err != nil {
				return err
			}
			return a.diff(cmd.Context(), args[0], args[1])
		},
	}
	a.outputFlags(cmd, diffColumns, "table", "wide", "json")
	return cmd
}

func (a *app) diff(ctx context.Context, nameA, nameB string) error {
	s, err := a.snapshot(ctx, procscan.Graph|procscan.Mounts)
	if err != nil {
		return err
	}
	targets, failed := a.targets(s, []string{nameA, nameB}, a.running)
	if failed {
		return &statusError{code: exitFailure}
	}
	d := s.Diff(targets[0], targets[1], nameA, nameB)
	if a.structured() {
		err = a.printData(a.out, d, nil)
	} else {
		err = a.printDiff(d)
	}
	if err != nil {
		return err
	}
	a.gaps(d.Gaps)
	switch d.Verdict {
	case nsinspect.Separate:
		return &statusError{code: exitNegative}
	case nsinspect.Unknown:
		return &statusError{code: exitUnknown}
	}
	return nil
}

func diffColumns() []string { return diffTable(&nsinspect.Diff{}).Columns() }

// printDiff prints two tables: what the two are, and the mounts at which they see something else. With -O they are one.
func (a *app) printDiff(d *nsinspect.Diff) error {
	if a.columns != "" {
		t := diffTable(d)
		for i := range d.Mounts {
			m := &d.Mounts[i]
			t.Rows = append(t.Rows, []string{"mount " + m.Point, mountLine(m.A), mountLine(m.B), string(nsinspect.Separate)})
		}
		return a.printTable(a.out, t)
	}
	if err := diffTable(d).Render(a.out, a.tableOptions()); err != nil || len(d.Mounts) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(a.out); err != nil {
		return err
	}
	return diffMountTable(d, a.output == "wide").Render(a.out, a.tableOptions())
}

// diffTable has a row for every kind of namespace and every fact.
func diffTable(d *nsinspect.Diff) *render.Table {
	t := &render.Table{Header: []string{"WHAT", "A", "B", "SHARING"}, Titles: map[string]string{"A": sideText(&d.A), "B": sideText(&d.B)}}
	for i := range d.Namespaces {
		n := &d.Namespaces[i]
		t.Rows = append(t.Rows, []string{string(n.Type) + " namespace", n.A.String(), n.B.String(), string(n.Sharing)})
	}
	for _, f := range append(append([]nsinspect.DiffFact{}, d.IDs...), d.Root) {
		t.Rows = append(t.Rows, []string{strings.ReplaceAll(f.Fact, "_", " "), factText(f.A), factText(f.B), string(f.Sharing)})
	}
	return t
}

func sideText(side *nsinspect.DiffSide) string {
	if side.PID == nil || side.Target == "host" || side.Target == fmt.Sprint(*side.PID) { // the host's is nsview itself
		return side.Target
	}
	return fmt.Sprintf("%s (%d)", side.Target, *side.PID)
}

// factText is a fact as the table shows it; the values are those of Diff.
func factText(fact any) string {
	switch v := fact.(type) {
	case nil:
		return "?"
	case idmap.Map:
		return mapText(v)
	case fmt.Stringer:
		return v.String()
	case string:
		return v
	}
	text, _ := json.Marshal(fact)
	return string(text)
}

// mapText is an id map on one line, as INSIDE:OUTSIDE:COUNT.
func mapText(m idmap.Map) string {
	if len(m) == 0 {
		return "empty"
	}
	const shown = 3
	var parts []string
	for i, e := range m {
		if i == shown {
			parts = append(parts, fmt.Sprintf("+%d", len(m)-shown))
			break
		}
		parts = append(parts, fmt.Sprintf("%s:%s:%d", e.Inside, e.Outside, e.Count))
	}
	return strings.Join(parts, ",")
}
