package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

// nsFlags are the flags of nsview ns.
type nsFlags struct {
	tree  bool
	pins  bool
	types []string
}

func (a *app) nsCommand() *cobra.Command {
	var f nsFlags
	cmd := &cobra.Command{
		Use:   "ns [TARGET...]",
		Short: "namespaces, how they hang together and what keeps them alive",
		Long: `ns lists namespaces: all that the host's processes are in or that something else keeps alive, or with TARGETs those
that their processes are in. OWNER is the user namespace in which capabilities over it count; CREATOR is, of a user
namespace, the user on this side who created it.

PINS says what keeps a namespace without processes: bind mounts, child namespaces, namespaces it owns, tasks whose
children will be in it. With --pins also threads that are alone in one and open file descriptors (these always in JSON), for
every namespace. A network namespace that only a socket keeps alive is not found: no file in /proc leads from it there.`,
		Example: `  nsview ns
  nsview ns --tree             by owner: user namespaces and what they own
  nsview ns -t pid --tree      PID namespaces by their parents
  nsview ns web                those that the container web is in
  nsview ns --pins -t net      what keeps network namespaces alive`,
		ValidArgsFunction: a.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.format(cmd); err != nil {
				return err
			}
			if err := a.checkSource(); err != nil {
				return err
			}
			f.tree = f.tree || a.output == "tree"
			if f.tree && a.columns != "" {
				return usageError("", "-O chooses columns of a table, --tree has its own")
			}
			if err := a.checkColumns(nsColumns()); err != nil {
				return err
			}
			return a.ns(cmd.Context(), &f, args)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.tree, "tree", false, "draw which namespace owns which; with -t pid or -t user, which is whose parent")
	flags.BoolVar(&f.pins, "pins", false, "say of every namespace what pins it, also threads and open file descriptors")
	flags.StringSliceVarP(&f.types, "type", "t", nil, "only namespaces of this `TYPE`: "+typeNames())
	a.sourceFlag(cmd)
	a.outputFlags(cmd, nsColumns, "table", "wide", "json", "jsonl", "tree")
	_ = cmd.RegisterFlagCompletionFunc("type", completeList(func() []string { return strings.Split(typeNames(), ", ") }))
	return cmd
}

func (a *app) ns(ctx context.Context, f *nsFlags, args []string) error {
	var query nsinspect.NamespaceQuery
	for _, name := range f.types {
		if !slices.Contains(nsinspect.Types(), nsinspect.Type(name)) {
			return usageError("the types are "+typeNames(), "no namespace type \"%s\"", name)
		}
		query.Types = append(query.Types, nsinspect.Type(name))
	}
	facts := procscan.Graph | procscan.CreatorNames
	if f.pins || a.structured() {
		facts |= procscan.FDPins
	}
	if f.pins {
		facts |= procscan.Threads
	}
	if len(args) == 0 {
		mayTellPart(ctx)
	}
	s, interrupt := a.snapshot(ctx, facts)
	if s == nil || interrupt != nil && len(args) > 0 { // a TARGET that is not known yet may be there
		return interrupt
	}
	var failed bool
	query.Targets, failed = a.targets(s, args, a.running)
	if failed && len(query.Targets) == 0 {
		return &statusError{code: exitFailure}
	}
	if err := a.printNS(s, f, query); err != nil {
		return err
	}
	a.gaps(s.Gaps)
	if interrupt != nil {
		return a.interrupted(ctx)
	}
	if failed {
		return &statusError{code: exitFailure}
	}
	return nil
}

func (a *app) printNS(s *nsinspect.Snapshot, f *nsFlags, query nsinspect.NamespaceQuery) error {
	list := s.NamespaceList(query)
	o := a.tableOptions()
	switch {
	case a.structured():
		return a.printData(a.out, list, list.Namespaces)
	case f.tree:
		return nsTree(s, f, query, list.Namespaces, o.ASCII).Render(a.out, o)
	}
	return a.printTable(a.out, nsTable(list.Namespaces, f.pins, a.wide()))
}

func nsColumns() []string { return nsTable(nil, false, true).Columns() }

func nsTable(rows []nsinspect.NamespaceRow, pins, wide bool) *render.Table {
	t := &render.Table{Header: []string{"TYPE", "INODE", "PARENT", "OWNER", "NPROCS", "LEADER", "COMMAND", "CONTAINER", "CREATOR", "PINS"}}
	if wide {
		t.Header = slices.Insert(t.Header, len(t.Header)-1, "OWNER-UID", "ID")
	} else {
		t.Narrow = columnsOf(t.Header, "CREATOR", "NPROCS", "COMMAND", "PARENT", "OWNER", "LEADER")
	}
	for i := range rows {
		r := &rows[i]
		cells := []string{
			string(r.Type), r.Inode.String(), inodeText(r.Parent), ownerNSText(r), strconv.Itoa(r.Processes),
			leaderText(r), r.Command, nsContainer(r), ownerText(r), pinsText(r, pins),
		}
		if wide {
			cells = slices.Insert(cells, len(cells)-1, ownerUIDText(r), nsIDText(r))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// nsTree draws the namespaces by their owners, or by their parents when only user or only PID namespaces are asked for.
func nsTree(s *nsinspect.Snapshot, f *nsFlags, query nsinspect.NamespaceQuery, rows []nsinspect.NamespaceRow, ascii bool) *render.Table {
	byInode := make(map[nsinspect.Inode]*nsinspect.NamespaceRow, len(rows))
	for i := range rows {
		byInode[rows[i].Inode] = &rows[i]
	}
	list := s.Subset(query)
	roots := nsinspect.OwnerTree(list)
	if len(query.Types) == 1 {
		roots = nsinspect.ParentTree(list)
	}
	var convert func([]*nsinspect.NamespaceNode) []*render.Node
	convert = func(nodes []*nsinspect.NamespaceNode) []*render.Node {
		var out []*render.Node
		for _, n := range nodes {
			r := byInode[n.Namespace.Inode]
			out = append(out, &render.Node{
				Cells:    []string{strconv.Itoa(r.Processes), leaderText(r), ownerText(r), nsContainer(r)},
				Text:     strings.TrimRight(fmt.Sprintf("%s %s %s %s", r.Type, r.Inode, r.Command, pinsText(r, f.pins)), " "),
				Children: convert(n.Children),
			})
		}
		return out
	}
	t := render.TreeTable([]string{"NPROCS", "LEADER", "CREATOR", "CONTAINER", "NAMESPACE"}, convert(roots), ascii)
	t.Narrow = columnsOf(t.Header, "CREATOR", "NPROCS", "LEADER", "CONTAINER")
	return t
}

// inodeText is a namespace, or nothing where there is none.
func inodeText(i nsinspect.Inode) string {
	if i == 0 {
		return ""
	}
	return i.String()
}

// ownerNSText is the user namespace that owns a namespace: every one has an owner but the initial user namespace.
func ownerNSText(r *nsinspect.NamespaceRow) string {
	if r.Type == nsinspect.User {
		return inodeText(r.OwnerUserNS)
	}
	return r.OwnerUserNS.String()
}

// ownerUIDText is the creator's uid; only user namespaces have one.
func ownerUIDText(r *nsinspect.NamespaceRow) string {
	if r.Type != nsinspect.User {
		return ""
	}
	return r.OwnerUID.String()
}

// nsIDText is the namespace's id since boot, where the kernel has one.
func nsIDText(r *nsinspect.NamespaceRow) string {
	if r.ID == 0 {
		return ""
	}
	return strconv.FormatUint(r.ID, 10)
}

// ownerText is who created a user namespace: the name, else the uid.
func ownerText(r *nsinspect.NamespaceRow) string {
	if r.Type != nsinspect.User {
		return ""
	}
	return nameOr(r.Creator, r.OwnerUID)
}

func leaderText(r *nsinspect.NamespaceRow) string {
	if r.Leader == nil {
		return ""
	}
	return strconv.Itoa(*r.Leader)
}

func nsContainer(r *nsinspect.NamespaceRow) string {
	if r.Container == nil {
		return ""
	}
	return shortViewer(r.Viewer)
}

// pinsText says what pins a namespace: all with --pins, else only what a namespace without processes lives by.
func pinsText(r *nsinspect.NamespaceRow, all bool) string {
	if !all && r.Processes > 0 {
		return ""
	}
	var pins []string
	for i := range r.Pins {
		// A mount may be in many mount namespaces: copies of it are said once.
		if text := pinText(&r.Pins[i]); !slices.Contains(pins, text) {
			pins = append(pins, text)
		}
	}
	return strings.Join(pins, ",")
}

func pinText(p *nsinspect.Pin) string {
	switch p.Kind {
	case nsinspect.PinBindMount:
		return "mount:" + p.Path
	case nsinspect.PinFD, nsinspect.PinSocket:
		if p.FD != nil {
			return fmt.Sprintf("%s:%d/%d", p.Kind, p.PID, *p.FD)
		}
	case nsinspect.PinChild, nsinspect.PinOwned:
		return fmt.Sprintf("%s:%d", p.Kind, p.Inode)
	case nsinspect.PinThread:
		return fmt.Sprintf("thread:%d/%d", p.PID, p.TID)
	}
	return fmt.Sprintf("%s:%d", p.Kind, p.PID)
}

func typeNames() string {
	var names []string
	for _, t := range nsinspect.Types() {
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}
