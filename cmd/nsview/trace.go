package main

import (
	"context"
	"fmt"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/trace"
	"github.com/nsview/nsview/runner"
)

// traceFlags are the flags of trace.
type traceFlags struct {
	types    []string
	failed   bool
	denied   bool
	ptrace   bool
	source   string
	log      string
	tree     bool
	summary  bool
	duration time.Duration

	filter  events.Filter
	targets []string
	command []string
}

func (a *app) traceCommand() *cobra.Command {
	f := &traceFlags{}
	cmd := &cobra.Command{
		Use:   "trace [flags] [TARGET...] [-- COMMAND [ARG...]]",
		Short: "show live how containers come to be",
		Long: `trace shows, live, what processes do to namespaces: who makes them, enters them,
writes their id maps, mounts in them and becomes PID 1 of them. It stops nothing.

Without TARGET and COMMAND it shows the whole host. With a TARGET it shows that
process and all that come from it, or whoever is in or enters that container or
namespace; with COMMAND it starts COMMAND and ends with it.

The columns are the PID on the host and inside, and the name that the process
had then. A birth that has nothing to do with namespaces is shown with -v. PIDs of clone, setns and of maps
are the host's, ids of setuid and of maps are inside ids.

Ctrl-C ends it, with the summary: what started, by whom, in which new and which
shared namespaces, and how long each step took.

Exit status: with COMMAND as that of nsview run: COMMAND's, 128+n when signal n
ended it, 125 when nsview failed, 126 and 127 when COMMAND could not be executed
or was not found.`,
		Example: `  nsview trace                        the whole host, until Ctrl-C
  nsview trace --tree -- docker run hello-world
  nsview trace $(pidof containerd)    containerd and all that it starts
  nsview trace -o jsonl --log events.jsonl -- make    what it prints stays apart
  nsview trace --type map --failed    id maps that the kernel refuses`,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			return a.traceError(a.checkCommonFlags(cmd, args))
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.split(cmd, args)
			return a.traceError(a.trace(cmd, f))
		},
		ValidArgsFunction: a.completeTargets,
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return a.traceError(flagError(cmd, err)) })
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringSliceVar(&f.types, "type", nil, "only these `TYPES` of events: "+strings.Join(eventTypes(), ", "))
	flags.BoolVar(&f.failed, "failed", false, "only what the kernel refused")
	flags.BoolVar(&f.denied, "denied", false, "file system calls in containers that fail with EACCES, EPERM, EOVERFLOW or EROFS, and which check decides")
	flags.BoolVar(&f.ptrace, "ptrace", false, "follow COMMAND with ptrace(2), which misses nothing without privilege, slows it down, and keeps set-id programs from working")
	flags.StringVar(&f.log, "log", "", "write to `FILE` what is else on stdout, which COMMAND then has for itself (-o of strace)")
	flags.StringVar(&f.source, "source", "", "only from this `SOURCE`: bpf, perf, proc")
	_ = flags.MarkHidden("source") // for tests: the best one is taken by itself
	flags.DurationVar(&f.duration, "duration", 0, "end after this time, as in 30s; a COMMAND goes on, and is waited for")
	flags.BoolVar(&f.tree, "tree", false, "at the end, the processes as a tree with what each did (-o tree)")
	flags.BoolVar(&f.summary, "summary", false, "at the end, only the summary")
	_ = cmd.RegisterFlagCompletionFunc("type", completeList(eventTypes))
	setFormats(cmd, "table", "jsonl", "json", "tree")
	return cmd
}

func eventTypes() []string {
	var list []string
	for _, t := range events.Types() {
		list = append(list, string(t))
	}
	return list
}

// split tells TARGETs from COMMAND.
func (f *traceFlags) split(cmd *cobra.Command, args []string) {
	f.targets = args
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		f.targets, f.command = args[:dash], args[dash:]
	}
}

// traceError gives a failure the exit status that trace promises: with a COMMAND that of run.
func (a *app) traceError(err error) error {
	if slices.Contains(a.plugin.args, "--") { // also where a wrong flag kept the arguments from being parsed
		return runError(err)
	}
	return err
}

// checkTrace judges the flags.
func (a *app) checkTrace(cmd *cobra.Command, f *traceFlags) error {
	if a.from != "" {
		return usageError("", "trace shows what happens on this host, not in the snapshot of --from")
	}
	if err := a.format(cmd); err != nil {
		return err
	}
	switch {
	case f.tree && f.summary:
		return usageError("", "--tree and --summary are two views, ask for one of them")
	case f.tree && a.output != "table" && a.output != "tree":
		return usageError("", "--tree has no output format \"%s\"", a.output)
	case f.summary && a.output != "table" && a.output != "json" && a.output != "yaml":
		return usageError("", "--summary has no output format \"%s\", only table, json, yaml", a.output)
	case f.denied && (f.tree || f.summary || f.failed || len(f.types) > 0):
		return usageError("", "--denied shows refused file system calls only: --type, --failed, --tree and --summary are about other events")
	case f.ptrace && (len(f.command) == 0 || len(f.targets) > 0 || f.denied || f.duration > 0):
		return usageError("nsview trace --ptrace -- COMMAND", "--ptrace follows a COMMAND to its end: no TARGET, --denied or --duration goes with it")
	case f.source != "" && !slices.Contains([]string{"bpf", "perf", "proc"}, f.source):
		return usageError("", "no source \"%s\", only bpf, perf, proc", f.source)
	case f.source != "" && f.ptrace:
		return usageError("", "--ptrace is a source already")
	case f.log == "" && cmd.Flags().Changed("log"):
		return usageError("", "--log takes the name of a file")
	case f.duration < 0, f.duration == 0 && cmd.Flags().Changed("duration"):
		return usageError("", "--duration is a time above 0, as in 30s")
	case len(f.types) == 0 && cmd.Flags().Changed("type"):
		return usageError("", "--type takes types of events: %s", strings.Join(eventTypes(), ", "))
	case cmd.ArgsLenAtDash() >= 0 && len(f.command) == 0:
		return usageError("", "no COMMAND after --")
	}
	for _, name := range f.types {
		if !slices.Contains(eventTypes(), name) {
			return usageError("", "no type of events \"%s\", only %s", name, strings.Join(eventTypes(), ", "))
		}
		f.filter.Types = append(f.filter.Types, events.Type(name))
	}
	if f.tree {
		a.output = "tree"
	}
	f.filter.Failed, f.filter.Plain = f.failed, a.verbose
	return nil
}

// trace prints to stdout, or to the file of --log.
func (a *app) trace(cmd *cobra.Command, f *traceFlags) error {
	if err := a.checkTrace(cmd, f); err != nil {
		return err
	}
	a.lasting = true
	if f.log == "" {
		return a.traceLive(cmd, f)
	}
	file, err := openLog(f.log)
	if err != nil {
		return err
	}
	a.out = file
	err = a.traceLive(cmd, f)
	if closed := file.Close(); closed != nil {
		return fmt.Errorf("--log: %w", closed)
	}
	return err
}

// traceLive opens a source, begins to read, and only then starts or looks for whom to follow, so that nothing is missed.
func (a *app) traceLive(cmd *cobra.Command, f *traceFlags) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the others are for those who are traced
	source, err := a.traceSource(f)
	if err != nil {
		return err
	}
	defer source.Close()
	t := &tracing{app: a, flags: f, source: source, history: events.NewHistory(), fold: events.NewFold(), owners: owners{app: a, none: map[nsinspect.Inode]time.Time{}}, agreements: map[events.Agreement]int{}}
	t.history.Failures, t.history.Everyone = a.output == "tree", a.verbose
	if f.denied {
		if t.asker, err = a.asker(cmd.Context()); err != nil {
			return err
		}
		defer t.asker.close()
	}
	reader := t.read()
	defer reader.stop()
	ctx := cmd.Context()
	if t.follower, err = t.follow(ctx); err != nil {
		return err
	}
	if f.command == nil {
		return t.watch(ctx, reader)
	}
	return t.command(reader)
}

// command starts COMMAND and shows what it and its descendants do.
func (t *tracing) command(reader *traceReader) error {
	if p, ok := t.source.(*trace.Ptrace); ok {
		return t.ptraced(p, reader)
	}
	caller, err := runner.ReadCaller()
	if err != nil {
		return err
	}
	plan, err := runner.NewPlan(runner.Spec{Command: t.flags.command}, caller)
	if err != nil {
		return err
	}
	c, err := plan.Start()
	if err != nil {
		return err
	}
	if p, ok := t.source.(*trace.Proc); ok {
		p.Follow(c.PID)
		t.follower.AddProcess(c.PID)
	} else {
		t.starting, t.root = true, c.PID
	}
	if err := t.begin(); err != nil {
		return err
	}
	shown, ended := make(chan error, 1), make(chan int, 1)
	go func() { shown <- t.show(reader) }()
	go func() { ended <- c.Wait() }()
	code := 0
	select {
	case code = <-ended:
		err = t.finish(reader, shown)
	case <-t.over():
		err = t.finish(reader, shown)
		code = <-ended
	}
	if err != nil {
		return err
	}
	if code != 0 {
		return &statusError{code: code}
	}
	return nil
}

// ptraced shows what a COMMAND does that its source has started. Only what it traces is seen.
func (t *tracing) ptraced(p *trace.Ptrace, reader *traceReader) error {
	t.follower = events.Everybody()
	if err := t.begin(); err != nil {
		return err
	}
	if err := t.show(reader); err != nil {
		if p.Root() == 0 {
			return &runner.Error{Err: err, Status: runner.StatusNotExecutable}
		}
		return err
	}
	if err := t.end(); err != nil {
		return err
	}
	switch ws := p.Status(); {
	case ws.Signaled():
		return &statusError{code: 128 + int(ws.Signal())}
	case ws.ExitStatus() != 0:
		return &statusError{code: ws.ExitStatus()}
	}
	return nil
}

// watch shows the host or the TARGETs until it is interrupted or the time is over.
func (t *tracing) watch(ctx context.Context, reader *traceReader) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := t.begin(); err != nil {
		return err
	}
	shown := make(chan error, 1)
	go func() { shown <- t.show(reader) }()
	select {
	case <-ctx.Done():
	case <-t.over():
	case err := <-shown: // the output or the source failed
		shown <- err
	}
	if err := t.finish(reader, shown); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return &statusError{code: exitInterrupted}
	}
	return nil
}

// over tells when the time of --duration is over, and without one never.
func (t *tracing) over() <-chan time.Time {
	if t.flags.duration == 0 {
		return nil
	}
	return time.After(t.flags.duration)
}

// finish ends the reading, and prints what is left and what is printed at the end.
func (t *tracing) finish(reader *traceReader, shown <-chan error) error {
	reader.stop()
	if err := <-shown; err != nil {
		return err
	}
	return t.end()
}
