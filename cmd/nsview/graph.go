package main

import (
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/cmd/nsview/internal/render/picture"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

// graphFlags are the flags of nsview graph.
type graphFlags struct {
	of  string
	ids []string
}

func (a *app) graphCommand() *cobra.Command {
	var f graphFlags
	cmd := &cobra.Command{
		Use:   "graph [TARGET...]",
		Short: "pictures of namespaces, id maps and volumes, for a README or a ticket",
		Long: `graph prints a picture of all containers, or of those that are TARGETs, as Mermaid (for Markdown), DOT (for graphviz)
or SVG. --of says of what:

  namespaces  which user namespace owns which namespaces, and who is in them
  uids        the uid maps as ribbons between the ids inside and those outside; where maps overlap, and which ids no map
              leads to: owners of volumes, and each --id
  gids        the same of groups
  volumes     paths of the host, where they are mounted, in which containers, and who owns them on each side; what
              "nsview doctor" would find is marked

"nsview report" has all of them on one page.`,
		Example: `  nsview graph                              namespaces, as Mermaid
  nsview graph --of uids -o svg > ids.svg
  nsview graph --of uids --id 1000 web       is 1000 in the map of web?
  nsview graph --of volumes -o dot | dot -Tpng > volumes.png`,
		ValidArgsFunction: a.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.format(cmd); err != nil {
				return err
			}
			return a.graph(cmd.Context(), &f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.of, "of", graphKinds()[0], "what the picture is of, `WHAT`: "+strings.Join(graphKinds(), ", "))
	flags.StringArrayVar(&f.ids, "id", nil, "point at this outside `ID` in a picture of id maps; repeatable")
	complete(cmd, "of", graphKinds())
	a.outputFlags(cmd, nil, "mermaid", "dot", "svg")
	return cmd
}

func graphKinds() []string { return []string{"namespaces", "uids", "gids", "volumes"} }

// marks are the ids of --id.
func (f *graphFlags) marks() ([]idMark, error) {
	var marks []idMark
	for _, text := range f.ids {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil || !idmap.Kernel(id).Mapped() {
			return nil, usageError("ids are numbers from 0 to 4294967294", "\"%s\" is not an id", text)
		}
		marks = append(marks, idMark{id: idmap.Kernel(id)})
	}
	if len(marks) > 0 && f.of != "uids" && f.of != "gids" {
		return nil, usageError("nsview graph --of uids --id "+f.ids[0], "--id points at an id in a picture of id maps")
	}
	return marks, nil
}

func (a *app) graph(ctx context.Context, f *graphFlags, args []string) error {
	if !slices.Contains(graphKinds(), f.of) {
		return usageError("", "--of is one of %s, not \"%s\"", strings.Join(graphKinds(), ", "), f.of)
	}
	marks, err := f.marks()
	if err != nil {
		return err
	}
	facts := procscan.Graph | procscan.Names
	if f.of != "namespaces" {
		facts = ownerFacts
	}
	s, err := a.snapshot(ctx, facts)
	if err != nil {
		return err
	}
	targets, failed := a.targets(s, args, a.target)
	if failed && len(targets) == 0 {
		return &statusError{code: exitFailure}
	}
	gaps, err := a.drawGraph(ctx, f, s, targets, marks)
	if err != nil {
		return err
	}
	a.gaps(gaps)
	if failed {
		return &statusError{code: exitFailure}
	}
	return nil
}

// drawGraph prints the picture and returns what it lacks.
func (a *app) drawGraph(ctx context.Context, f *graphFlags, s *nsinspect.Snapshot, targets []nsinspect.Target, marks []idMark) ([]nsinspect.Gap, error) {
	if f.of == "namespaces" {
		query := nsinspect.NamespaceQuery{Targets: targets}
		list := s.NamespaceList(query)
		return list.Gaps, a.writeGraph(namespacePicture(list.Namespaces, s.Subset(query)))
	}
	list := s.ContainerList(targets, false)
	dropOwnMounts(list)
	a.volumeOwners(ctx, s, list)
	if f.of != "volumes" {
		gids := f.of == "gids"
		p := idPicture(list.Containers, gids, append(volumeMarks(list.Containers, gids), marks...))
		if a.output == "svg" {
			return list.Gaps, p.SVG(a.out, true)
		}
		return list.Gaps, a.writeGraph(p.Graph())
	}
	var containers []int
	for i, viewer := range s.Viewers() {
		if slices.ContainsFunc(list.Containers, func(r nsinspect.ContainerRow) bool { return r.Viewer == viewer }) {
			containers = append(containers, i)
		}
	}
	findings := a.diagnose(ctx, s, containers, false, graphBudget)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return append(list.Gaps, findings.Gaps...), a.writeGraph(volumePicture(list.Containers, findings.Findings))
}

// graphBudget is how long the files of one volume are counted for a picture.
const graphBudget = time.Second

func (a *app) writeGraph(g *picture.Graph) error {
	writers := map[string]func(io.Writer) error{
		"mermaid": g.Mermaid,
		"dot":     g.DOT,
		"svg":     func(w io.Writer) error { return g.SVG(w, true) },
	}
	return writers[a.output](a.out)
}
