package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

func (a *app) containersCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "containers [NAME...]",
		Aliases: []string{"ls"},
		Short:   "containers, by the engines that started them and by their namespaces",
		Long: `containers lists containers with their engine, init process, user namespace and the ids on this side that their ids
are mapped to. Namespaces that no engine explains are listed without an engine, as COMM/PID of the process that stands
for them; of that name only the PID decides.`,
		Example: `  nsview containers
  nsview ls web -o wide
  nsview ls -o json | jq -r '.containers[].viewer'`,
		ValidArgsFunction: a.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.format(cmd, containerFormats()...); err != nil {
				return err
			}
			return a.containers(cmd.Context(), args, all)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also stopped ones, where an engine's state tells of them")
	complete(cmd, "output", containerFormats())
	return cmd
}

func containerFormats() []string { return []string{"table", "wide", "json", "jsonl"} }

func (a *app) containers(ctx context.Context, args []string, all bool) error {
	facts := procscan.Fact(0)
	if a.output != "table" {
		facts |= procscan.Mounts
	}
	s, err := a.snapshot(ctx, facts)
	if err != nil {
		return err
	}
	var targets []nsinspect.Target
	var failed bool
	if len(args) > 0 {
		targets, failed = a.targets(s, args)
		if len(targets) == 0 {
			return &statusError{code: exitFailure}
		}
	}
	list := s.ContainerList(targets, all)
	switch a.output {
	case "json":
		err = render.JSON(a.out, list)
	case "jsonl":
		err = render.JSONLines(a.out, list.Containers)
	default:
		err = containerTable(list.Containers, a.output == "wide").Render(a.out, a.tableOptions())
	}
	if err != nil {
		return err
	}
	a.gaps(list.Gaps)
	if failed {
		return &statusError{code: exitFailure}
	}
	return nil
}

func containerTable(rows []nsinspect.ContainerRow, wide bool) *render.Table {
	t := &render.Table{Header: []string{"ENGINE", "NAME", "ID", "IMAGE", "PID", "NPROCS", "USERNS", "UIDS"}}
	if wide {
		t.Header = append(t.Header, "GIDS", "PIDNS", "MNTNS", "VOLUMES")
	}
	for i := range rows {
		r := &rows[i]
		cells := []string{
			r.Engine, r.Name, shortID(r.ID, wide), r.Image, strconv.Itoa(r.InitPID), strconv.Itoa(r.Processes),
			r.Namespaces.User.String(), rangesText(r.UIDMap),
		}
		if wide {
			cells = append(cells, rangesText(r.GIDMap), r.Namespaces.PID.String(), r.Namespaces.Mnt.String(), volumesText(r.Volumes))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// shortID is the first twelve characters of an id, as engines print it.
func shortID(id string, whole bool) string {
	const short = 12
	if whole || len(id) <= short || strings.Trim(id, "0123456789abcdef") != "" {
		return id
	}
	return id[:short]
}

// rangesText is what ids of this side a map reaches: "all" when each id is itself, FIRST-LAST otherwise.
func rangesText(m idmap.Map) string {
	if len(m) == 0 {
		return ""
	}
	if len(m) == 1 && m[0] == idmap.Identity()[0] {
		return "all"
	}
	const shown = 2
	var parts []string
	for i, e := range m {
		if i == shown {
			parts = append(parts, fmt.Sprintf("+%d", len(m)-shown))
			break
		}
		first, last := uint64(e.Outside), uint64(e.Outside)+uint64(e.Count)-1
		switch {
		case !e.Outside.Mapped():
			parts = append(parts, "unmapped")
		case e.Count == 1:
			parts = append(parts, strconv.FormatUint(first, 10))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", first, last))
		}
	}
	return strings.Join(parts, ",")
}

func volumesText(volumes []nsinspect.Volume) string {
	parts := make([]string, len(volumes))
	for i := range volumes {
		v := &volumes[i]
		source := v.Source
		if source == "" {
			source = v.Dev + v.Root
		}
		parts[i] = source + ":" + v.Point
		if v.ReadOnly {
			parts[i] += ":ro"
		}
		if v.Idmapped {
			parts[i] += ":idmap"
		}
	}
	return strings.Join(parts, ",")
}
