package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

// psFlags are the flags of nsview ps.
type psFlags struct {
	all     bool
	tree    bool
	sort    string
	columns string
	watch   string
}

func (a *app) psCommand() *cobra.Command {
	var f psFlags
	cmd := &cobra.Command{
		Use:   "ps [TARGET...]",
		Short: "processes with the PIDs and users of both sides",
		Long: `ps shows processes from both sides: their PID on the host and in their own PID namespace (CPID), their user on the
host and inside (CUSER), and the container they are in. Without a TARGET it lists what is in a container or in another
user or PID namespace than nsview; -A lists everything. "unmapped" is an id that the other side has no name for.

The columns are ` + columnNames() + `.`,
		Example: `  nsview ps                    all containers
  nsview ps web                one of them
  nsview ps --tree             with what started them
  nsview ps -A --sort -cuid    every process, by user id inside
  nsview ps -O pid,pids,args   other columns
  nsview ps -o json | jq '.processes[] | {pid, inside}'`,
		ValidArgsFunction: a.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(a, cmd); err != nil {
				return err
			}
			if cmd.Flags().Changed("watch") {
				return a.watchPS(cmd.Context(), &f, args)
			}
			return a.ps(cmd.Context(), &f, args, a.out, a.tableOptions())
		},
	}
	cmd.SetFlagErrorFunc(psFlagError)
	flags := cmd.Flags()
	flags.BoolVarP(&f.all, "all", "A", false, "every process, also the host's own")
	flags.BoolVar(&f.tree, "tree", false, "draw who started whom, with the engines' own processes")
	flags.StringVar(&f.sort, "sort", "", "order by these `COLUMNS`, a - before one reverses it")
	flags.StringVarP(&f.columns, "columns", "O", "", "show these `COLUMNS`; help explains them")
	_ = cmd.RegisterFlagCompletionFunc("columns", completeList(psColumnNames))
	_ = cmd.RegisterFlagCompletionFunc("sort", completeList(psColumnNames))
	flags.StringVar(&f.watch, "watch", "", "print anew every `SECONDS` (2)")
	flags.Lookup("watch").NoOptDefVal = "2"
	a.sourceFlag(cmd)
	a.outputFlags(cmd, nil, "table", "wide", "json", "jsonl", "tree")
	return cmd
}

// check judges the flags before anything is read.
func (f *psFlags) check(a *app, cmd *cobra.Command) error {
	if a.output != "" && !slices.Contains(outputFormats(cmd), a.output) && f.columns == "" {
		if first, _, _ := strings.Cut(a.output, ","); first != "" {
			if _, err := pickColumns(first); err == nil {
				return usageError("-O "+a.output+" chooses columns", "ps has no output format \"%s\", only %s", a.output, strings.Join(outputFormats(cmd), ", "))
			}
		}
	}
	if err := a.format(cmd); err != nil {
		return err
	}
	if err := a.checkSource(); err != nil {
		return err
	}
	f.tree = f.tree || a.output == "tree"
	if f.columns != "" && a.structured() {
		return usageError("", "-O chooses columns of a table, and -o %s is none", a.output)
	}
	if f.columns == columnsHelp {
		return printColumnHelp(a.out)
	}
	if _, err := pickColumns(f.columnList(a.output)); err != nil {
		return err
	}
	if cmd.Flags().Changed("watch") {
		if _, err := f.interval(); err != nil {
			return err
		}
		if a.from != "" {
			return usageError("", "--watch needs the live host, --from is a stored snapshot")
		}
	}
	return sortRows(nil, f.sort)
}

func (f *psFlags) columnList(output string) string {
	switch {
	case f.columns != "":
		return f.columns
	case output == "wide":
		return psWide
	}
	return psTable
}

// facts are what the columns need.
func (f *psFlags) facts(output string, structured bool) procscan.Fact {
	if structured {
		return procscan.Names | procscan.Args
	}
	var facts procscan.Fact
	brief, followers := true, procscan.Followers
	for name := range strings.SplitSeq(f.columnList(output)+","+f.sort, ",") {
		switch strings.ToLower(strings.Trim(name, "+- ")) {
		case "args":
			facts |= procscan.Args
		case "user", "cuser":
			facts |= procscan.UserNames
		case "group", "cgroup":
			facts |= procscan.GroupNames
		case "netns", "utsns", "ipcns", "cgroupns", "timens":
			brief = false
		case "start", "elapsed":
			followers = 0 // they are read without
		}
	}
	if brief {
		facts |= procscan.Brief | followers
	}
	return facts
}

// ps prints the processes once.
func (a *app) ps(ctx context.Context, f *psFlags, args []string, out io.Writer, o render.TableOptions) error {
	facts := f.facts(a.output, a.structured())
	var details procscan.Fact // that are read only of what is shown
	switch {
	case len(args) > 0:
		details = facts & (procscan.Names | procscan.Args)
		facts &^= details | procscan.Brief // a TARGET may be any namespace
	case !f.all:
		facts |= procscan.NoKthreads // they are the host's
	}
	if len(args) == 0 {
		mayTellPart(ctx)
	}
	s, interrupt := a.snapshot(ctx, facts)
	if s == nil || interrupt != nil && len(args) > 0 { // a TARGET that is not known yet may be there
		return interrupt
	}
	query := nsinspect.ProcessQuery{All: f.all, Ancestors: f.tree}
	var failed bool
	query.Targets, failed = a.targets(s, args, a.running)
	if failed && len(query.Targets) == 0 {
		return &statusError{code: exitFailure, hint: psHabit(args)}
	}
	if err := a.addDetails(ctx, s, &query, details); err != nil {
		return err
	}
	shown, err := a.printPS(out, f, s, query, o)
	if err != nil {
		return err
	}
	if interrupt == nil && shown == 0 && query.Targets == nil && !f.all && !a.structured() {
		a.warn("no process is in a container, nor in another user or PID namespace than nsview")
		fmt.Fprintln(a.err, "hint: nsview ps -A lists every process")
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

// addDetails reads those details of what the query shows, and leaves out what ended since.
func (a *app) addDetails(ctx context.Context, s *nsinspect.Snapshot, query *nsinspect.ProcessQuery, details procscan.Fact) error {
	if details == 0 || a.from != "" {
		return nil
	}
	rows, count := s.ProcessRows(*query)
	if count == 0 {
		return nil
	}
	pids := make([]int, 0, count)
	for row := range rows {
		pids = append(pids, row.PID)
	}
	var err error
	query.Gone, err = procscan.Details(ctx, s, procscan.Options{Proc: a.proc, HostRoot: a.hostRoot, Facts: details, PIDs: pids})
	return err
}

// printPS prints what the query shows, and says how many processes that is.
func (a *app) printPS(out io.Writer, f *psFlags, s *nsinspect.Snapshot, query nsinspect.ProcessQuery, o render.TableOptions) (shown int, err error) {
	var rows iter.Seq[*nsinspect.ProcessRow]
	var list *nsinspect.ProcessList // nil where one row after the other will do
	if a.structured() || f.tree || f.sort != "" {
		list = s.ProcessList(query)
		if err := sortRows(list.Processes, f.sort); err != nil {
			return 0, err
		}
		rows, shown = pointers(list.Processes), len(list.Processes)
	} else {
		rows, shown = s.ProcessRows(query)
	}
	if a.structured() {
		return shown, a.printData(out, list, list.Processes)
	}
	columns, err := pickColumns(f.columnList(a.output))
	if err != nil {
		return shown, err
	}
	t := psRows(rows, shown, columns)
	if f.tree {
		t = psTree(list.Processes, t, o.ASCII)
	}
	if f.columnList(a.output) == psTable {
		t.Narrow = columnsOf(t.Header, "CONTAINER", "USER", "CUSER", "CPID")
	}
	return shown, t.Render(out, o)
}

// interval is how long --watch waits: seconds, or a duration with its unit.
func (f *psFlags) interval() (time.Duration, error) {
	text := f.watch
	if strings.Trim(text, "0123456789.") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 100*time.Millisecond {
		return 0, usageError("", "--watch is a number of seconds from 0.1 on, not \"%s\"", f.watch)
	}
	return d, nil
}

// watchPS prints the processes again and again until it is interrupted.
func (a *app) watchPS(ctx context.Context, f *psFlags, args []string) error {
	every, err := f.interval()
	if err != nil {
		return err
	}
	return a.watch(ctx, every, func(out *bytes.Buffer, o render.TableOptions) error {
		return a.ps(ctx, f, args, out, o)
	})
}

// psFlagError answers the flags that fingers know from ps(1).
func psFlagError(cmd *cobra.Command, err error) error {
	if text := err.Error(); strings.Contains(text, "unknown shorthand flag") {
		return usageError("nsview ps shows the processes of containers, -A all, -o wide more columns", "%w", err)
	}
	return flagError(cmd, err)
}

// psHabit is a hint for operands that were meant as the options of ps(1).
func psHabit(args []string) string {
	letters := strings.TrimPrefix(args[0], "-")
	if letters == "" || strings.Trim(letters, "AaefluwxjX") != "" {
		return ""
	}
	return fmt.Sprintf("%s is not an option of nsview ps: it shows the processes of containers, -A all, -o wide more columns", render.Escape(args[0]))
}
