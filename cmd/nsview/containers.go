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
for them; of that name only the PID decides. A NAME, which may be any TARGET, is shown whole: the engine's processes
above it, its namespaces, id maps, and volumes with the owners that both sides see.

Names come from what engines leave on disk, in cgroups and in the process tree; no daemon is asked, unless its files are
unreadable and its socket is not.`,
		Example: `  nsview containers              those that run
  nsview ls -a                   also those that are stopped or keep crashing
  nsview ls web                  one of them, whole
  nsview ls -o json | jq -r '.containers[].viewer'`,
		ValidArgsFunction: a.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			whole := len(args) > 0 && a.output == "" && a.template == "" && a.columns == ""
			if err := a.format(cmd); err != nil {
				return err
			}
			if err := a.checkColumns(containerColumns()); err != nil {
				return err
			}
			return a.containers(cmd.Context(), args, all, whole)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also those that are not running")
	a.outputFlags(cmd, containerColumns, "table", "wide", "json", "jsonl")
	return cmd
}

// containers lists containers; whole prints the named ones with everything about them.
func (a *app) containers(ctx context.Context, args []string, all, whole bool) error {
	if len(args) == 0 {
		mayTellPart(ctx)
	}
	s, err := a.snapshot(ctx, a.containerFacts(len(args) > 0))
	if s == nil || err != nil && len(args) > 0 { // a TARGET that is not known yet may be there
		return err
	}
	targets, failed := a.targets(s, args, a.target)
	if failed && len(targets) == 0 {
		return &statusError{code: exitFailure}
	}
	list := s.ContainerList(targets, all)
	if len(args) > 0 {
		a.volumeOwners(ctx, s, list)
		tellsPart(ctx)
	}
	switch {
	case whole:
		err = a.printWhole(s, list)
	case a.structured():
		err = a.printData(a.out, list, list.Containers)
	default:
		err = a.printTable(a.out, containerTable(list.Containers, a.wide()))
	}
	if err != nil {
		return err
	}
	if len(args) > 0 && len(list.Containers) == 0 && !a.structured() {
		a.warn("in no container: %s", strings.Join(args, ", "))
		fmt.Fprintln(a.err, "hint: nsview containers lists them")
	}
	a.gaps(list.Gaps)
	if list.Partial {
		return a.interrupted(ctx)
	}
	if failed {
		return &statusError{code: exitFailure}
	}
	return nil
}

// containerFacts are what a form of output shows.
func (a *app) containerFacts(named bool) procscan.Fact {
	switch {
	case named:
		return ownerFacts
	case a.output == "table" && !a.wide():
		return 0
	}
	return procscan.Mounts
}

func containerColumns() []string { return containerTable(nil, true).Columns() }

func containerTable(rows []nsinspect.ContainerRow, wide bool) *render.Table {
	t := &render.Table{Header: []string{"ENGINE", "NAME", "ID", "IMAGE", "STATE", "PID", "NPROCS", "USERNS", "UIDS"}}
	if wide {
		t.Header = append(t.Header, "GIDS", "AGE", "PIDNS", "MNTNS", "VOLUMES")
	} else {
		t.Narrow = columnsOf(t.Header, "NPROCS", "IMAGE", "ID", "USERNS", "STATE")
	}
	for i := range rows {
		r := &rows[i]
		cells := []string{
			r.Engine, r.Name, shortID(r.ID, wide), r.Image, r.State, pidText(r.InitPID), strconv.Itoa(r.Processes),
			userNSText(r), rangesText(r.ActualUID),
		}
		if wide {
			cells = append(cells, rangesText(r.ActualGID), ageText(r.Started, r.Age), r.Namespaces.PID.String(), r.Namespaces.Mnt.String(), volumesText(r.Volumes))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// pidText is a PID, "" for none.
func pidText(pid int) string {
	if pid == 0 {
		return ""
	}
	return strconv.Itoa(pid)
}

// userNSText is the user namespace of a container, "" for one that is not running.
func userNSText(r *nsinspect.ContainerRow) string {
	if r.InitPID == 0 {
		return ""
	}
	return r.Namespaces.User.String()
}

// shortID is the first twelve characters of an id, as engines print it.
func shortID(id string, whole bool) string {
	const short = 12
	if whole || len(id) <= short || strings.Trim(id, "0123456789abcdef") != "" {
		return id
	}
	return id[:short]
}

// shortViewer is a TARGET for a table: ENGINE:ID, of a container whose name is unknown, with the id as engines print it.
func shortViewer(viewer string) string {
	engine, id, ok := strings.Cut(viewer, ":")
	if !ok || len(id) != 64 {
		return viewer
	}
	return engine + ":" + shortID(id, false)
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
