package main

import (
	"cmp"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// psColumn is a column of nsview ps: what -O and --sort name.
type psColumn struct {
	name string
	what string
	text func(*nsinspect.ProcessRow) string
	num  func(*nsinspect.ProcessRow) uint64 // sorts by number when it is not nil
}

// psColumns are all columns, in the order in which help lists them.
func psColumns() []psColumn {
	type row = nsinspect.ProcessRow
	inode := func(name string, t nsinspect.Type) psColumn {
		return psColumn{name, "inode of its " + string(t) + " namespace", func(r *row) string { return r.Namespaces.Of(t).String() }, func(r *row) uint64 { return uint64(r.Namespaces.Of(t)) }}
	}
	return []psColumn{
		{"pid", "PID on the host", func(r *row) string { return strconv.Itoa(r.PID) }, func(r *row) uint64 { return uint64(r.PID) }},
		{"cpid", "PID in its own PID namespace", func(r *row) string { return strconv.Itoa(innermost(r)) }, func(r *row) uint64 { return uint64(innermost(r)) }},
		{"pids", "PID at every level, outermost first", pidChain, nil},
		{"ppid", "PID of its parent on the host", func(r *row) string { return strconv.Itoa(r.PPID) }, func(r *row) uint64 { return uint64(r.PPID) }},
		{"user", "user on the host", func(r *row) string { return nameOr(r.Host.User, r.Host.UID) }, nil},
		{"uid", "user id on the host", func(r *row) string { return r.Host.UID.String() }, func(r *row) uint64 { return uint64(r.Host.UID) }},
		{"group", "group on the host", func(r *row) string { return nameOr(r.Host.Group, r.Host.GID) }, nil},
		{"gid", "group id on the host", func(r *row) string { return r.Host.GID.String() }, func(r *row) uint64 { return uint64(r.Host.GID) }},
		{"cuser", "user inside the container", func(r *row) string { return nameOr(r.Inside.User, r.Inside.UID) }, nil},
		{"cuid", "user id inside", func(r *row) string { return r.Inside.UID.String() }, func(r *row) uint64 { return uint64(r.Inside.UID) }},
		{"cgroup", "group inside the container", func(r *row) string { return nameOr(r.Inside.Group, r.Inside.GID) }, nil},
		{"cgid", "group id inside", func(r *row) string { return r.Inside.GID.String() }, func(r *row) uint64 { return uint64(r.Inside.GID) }},
		{"state", "state, as in proc_pid_stat(5)", func(r *row) string { return r.State }, nil},
		{"start", "when it started: the time, or the day if that is long ago", func(r *row) string { return startText(r.Started, r.Age) }, started},
		{"elapsed", "time since then, as [[DAYS-]HOURS:]MINUTES:SECONDS", elapsed, func(r *row) uint64 { return uint64(r.Age) }},
		{"engine", "engine of its container", func(r *row) string { return containerRef(r).Engine }, nil},
		{"container", "its container, as a TARGET", containerText, nil},
		{"role", "what it does for an engine: daemon, shim, ...", roleText, nil},
		{"id", "id of its container", func(r *row) string { return containerRef(r).ID }, nil},
		inode("userns", nsinspect.User),
		inode("pidns", nsinspect.PID),
		inode("mntns", nsinspect.Mnt),
		inode("netns", nsinspect.Net),
		inode("utsns", nsinspect.UTS),
		inode("ipcns", nsinspect.IPC),
		inode("cgroupns", nsinspect.Cgroup),
		inode("timens", nsinspect.Time),
		{"comm", "command name", func(r *row) string { return r.Comm }, nil},
		{"args", "command line", commandLine, nil},
	}
}

// Which columns each form of the table has.
const (
	psTable = "pid,cpid,user,cuser,container,comm"
	psWide  = "pid,cpid,pids,ppid,uid,user,cuid,cuser,gid,cgid,state,start,container,userns,pidns,mntns,args"
)

// header is the column's name in the table's first line.
func (c *psColumn) header() string {
	if c.name == "comm" || c.name == "args" {
		return "COMMAND"
	}
	return strings.ToUpper(c.name)
}

// pickColumns finds the columns that a comma-separated list names.
func pickColumns(list string) ([]psColumn, error) {
	all := psColumns()
	var picked []psColumn
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(c psColumn) bool { return c.name == strings.ToLower(strings.TrimSpace(name)) })
		if i < 0 {
			return nil, usageError("the columns are "+columnNames(), "no column \"%s\"", name)
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

// printColumnHelp says what each column is, and ends the command.
func printColumnHelp(out io.Writer) error {
	t := &render.Table{Header: []string{"COLUMN", "MEANING"}}
	for _, c := range psColumns() {
		t.Rows = append(t.Rows, []string{c.name, c.what})
	}
	if err := t.Render(out, render.TableOptions{NoHeaders: true}); err != nil {
		return err
	}
	return &statusError{code: exitOK}
}

func columnNames() string { return strings.Join(psColumnNames(), ", ") }

func psColumnNames() []string {
	var names []string
	for _, c := range psColumns() {
		names = append(names, c.name)
	}
	return names
}

// sortRows orders rows by a comma-separated list of columns; a "-" before one reverses it.
func sortRows(rows []nsinspect.ProcessRow, keys string) error {
	if keys == "" {
		return nil
	}
	type key struct {
		psColumn
		descending bool
	}
	var by []key
	for name := range strings.SplitSeq(keys, ",") {
		bare := strings.TrimPrefix(strings.TrimPrefix(name, "+"), "-")
		columns, err := pickColumns(bare)
		if err != nil {
			return err
		}
		by = append(by, key{columns[0], strings.HasPrefix(name, "-")})
	}
	slices.SortStableFunc(rows, func(a, b nsinspect.ProcessRow) int {
		for _, k := range by {
			var order int
			if k.num != nil {
				order = cmp.Compare(k.num(&a), k.num(&b))
			} else {
				order = cmp.Compare(k.text(&a), k.text(&b))
			}
			if k.descending {
				order = -order
			}
			if order != 0 {
				return order
			}
		}
		return 0
	})
	return nil
}

// started orders by when a process started, those last of which that is unknown.
func started(r *nsinspect.ProcessRow) uint64 {
	if r.Started == nil {
		return math.MaxUint64
	}
	return uint64(r.Started.UnixNano())
}

func elapsed(r *nsinspect.ProcessRow) string {
	if r.Started == nil {
		return ""
	}
	return elapsedText(r.Age)
}

func innermost(r *nsinspect.ProcessRow) int {
	if len(r.PIDs) == 0 {
		return r.PID
	}
	return r.PIDs[len(r.PIDs)-1]
}

func pidChain(r *nsinspect.ProcessRow) string {
	chain := make([]string, len(r.PIDs))
	for i, pid := range r.PIDs {
		chain[i] = strconv.Itoa(pid)
	}
	return strings.Join(chain, ",")
}

// nameOr is the name of an id, else its number, else "unmapped".
func nameOr[ID idmap.Kernel | idmap.Inside](name string, id ID) string {
	if name != "" {
		return name
	}
	return idmap.Kernel(id).String()
}

func containerRef(r *nsinspect.ProcessRow) nsinspect.ContainerRef {
	if r.Container == nil {
		return nsinspect.ContainerRef{}
	}
	return *r.Container
}

func containerText(r *nsinspect.ProcessRow) string {
	if r.Container == nil {
		return ""
	}
	return shortViewer(r.Viewer)
}

// roleText is what a process does for an engine, "" for any other.
func roleText(r *nsinspect.ProcessRow) string {
	if r.Role == nil {
		return ""
	}
	return r.Role.Engine + " " + r.Role.Role
}

// commandLine is the arguments as a shell would take them; in brackets the name of what has none, as ps prints it.
func commandLine(r *nsinspect.ProcessRow) string {
	if len(r.Args) == 0 {
		return "[" + r.Comm + "]"
	}
	return strings.Join(r.Args, " ")
}

// psRows is the table of that many rows in those columns.
func psRows(rows iter.Seq[*nsinspect.ProcessRow], count int, columns []psColumn) *render.Table {
	t := &render.Table{Rows: make([][]string, 0, count)}
	for i := range columns {
		t.Header = append(t.Header, columns[i].header())
	}
	all := make([]string, 0, count*len(columns))
	for row := range rows {
		start := len(all)
		for i := range columns {
			all = append(all, columns[i].text(row))
		}
		t.Rows = append(t.Rows, all[start:len(all):len(all)])
	}
	return t
}

// pointers yields what a list has.
func pointers[T any](list []T) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range list {
			if !yield(&list[i]) {
				return
			}
		}
	}
}

// psTree hangs every process of the table flat below its parent; the last column draws the tree and says what a process
// does for an engine.
func psTree(rows []nsinspect.ProcessRow, flat *render.Table, ascii bool) *render.Table {
	last := len(flat.Header) - 1
	nodes := make(map[int]*render.Node, len(rows))
	for i := range rows {
		text := flat.Rows[i][last]
		if role := roleText(&rows[i]); role != "" {
			text += " (" + role + ")"
		}
		nodes[rows[i].PID] = &render.Node{Cells: flat.Rows[i][:last], Text: text}
	}
	var roots []*render.Node
	for i := range rows {
		n := nodes[rows[i].PID]
		if parent := nodes[rows[i].PPID]; parent != nil {
			parent.Children = append(parent.Children, n)
		} else {
			roots = append(roots, n)
		}
	}
	// A process that is its own ancestor (only a forged snapshot has that, or one of PIDs reused meanwhile) hangs below
	// no root. It becomes one: no row is lost.
	drawn := make(map[*render.Node]bool, len(rows))
	for _, n := range roots {
		markDrawn(drawn, n)
	}
	for i := range rows {
		n := nodes[rows[i].PID]
		if drawn[n] {
			continue
		}
		parent := nodes[rows[i].PPID]
		parent.Children = slices.DeleteFunc(parent.Children, func(child *render.Node) bool { return child == n })
		roots = append(roots, n)
		markDrawn(drawn, n)
	}
	return render.TreeTable(flat.Header, roots, ascii)
}

func markDrawn(drawn map[*render.Node]bool, n *render.Node) {
	drawn[n] = true
	for _, child := range n.Children {
		markDrawn(drawn, child)
	}
}
