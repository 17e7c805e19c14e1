package main

// The rules of nsview's user interface. Every command keeps to them.
//
//   - Results go to stdout; gaps, hints and errors go to stderr as "nsview: message": lower case, no full stop.
//   - An error is one line that says what was wrong and, where that helps, a second line "hint: what to try".
//   - A command computes a value first and renders it then; it never prints while it computes.
//   - Whatever a container chose (comm, argv, names, paths) goes through render.Escape before a terminal sees it.
//   - Exit status: 0 done, 1 a negative answer, 2 usage or failure, 3 unknown, 130 interrupted. run and trace forward
//     the command's own (125 for nsview's failures).

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
)

// version is set by the linker: -X main.version=V.
var version string

// Exit statuses, see the rules above.
const (
	exitOK          = 0
	exitNegative    = 1
	exitFailure     = 2
	exitUnknown     = 3
	exitInterrupted = 130
)

// app is what the commands share: the streams and the common flags.
type app struct {
	in       io.Reader
	out, err io.Writer

	plugin plugin // what nsview was started as

	output    string // -o
	columns   string // -O
	template  string // --format
	tmpl      *render.Template
	noHeaders bool
	noTrunc   bool
	color     string
	proc      string
	hostRoot  string
	from      string
	source    string // --source, of the commands that have it
	verbose   bool

	scanned bool        // the host was read before
	lasting bool        // endsPromptly has nothing to do
	told    atomic.Bool // that it was interrupted
	shown   *progress   // nil where nobody sees it
}

// statusError ends nsview with an exit status of the command's choice. With a nil err nothing is printed: the result on
// stdout was the answer.
type statusError struct {
	code int
	err  error
	hint string // printed as a second line
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// usageError is a mistake in the arguments, with what would be right as its hint.
func usageError(hint, format string, args ...any) error {
	return &statusError{code: exitFailure, err: fmt.Errorf(format, args...), hint: hint}
}

// run is main without the process around it. args[0] is the name that nsview was started by.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{in: stdin}
	a.err, a.shown = overProgress(stderr)
	a.out = a.results(ctx, stdout)
	var metadata bool
	if a.plugin, metadata = pluginOf(args[0], args[1:]); metadata {
		return a.report(ctx, a.printMetadata())
	}
	root := a.rootCommand(a.plugin.args)
	if a.plugin.of != "" {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: a.plugin.of + " nsview"}
	}
	root.SetArgs(keepIDs(root, a.plugin.args))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return a.report(ctx, root.ExecuteContext(ctx))
}

// report prints err as the rules say and returns the exit status.
func (a *app) report(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	var status *statusError
	own := errors.As(err, &status) && status.err == nil // the command's own status, also when it was interrupted
	if !own && ctx.Err() != nil {
		a.sayInterrupted(interruptsOf(ctx))
		return exitInterrupted
	}
	a.complain(err)
	if status == nil {
		return exitFailure
	}
	return status.code
}

// complain prints an error, and its hint when it has one.
func (a *app) complain(err error) {
	var status *statusError
	if !errors.As(err, &status) || status.err != nil {
		a.warn("%v", err)
	}
	if status != nil && status.hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", status.hint)
	}
}

// rootCommand is nsview with the commands that args may be about. To make all of them, with their flags and help, costs
// a third of the time that a short command takes: where the first argument is a command, only that is made.
func (a *app) rootCommand(args []string) *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:   "nsview",
		Short: "show a Linux container from both sides",
		Long: `nsview shows a Linux container from both sides, from outside it, without joining it and without changing it:
who a process is on the host and inside, whose a file is for everyone who sees it, and how the namespaces hang together.

A TARGET is a PID, a namespace (its inode, TYPE:INODE or the path of its file), a container's name, id or unique prefix
of its id, ENGINE:NAME, COMM/PID, or "host".

"nsview help topics" lists what is explained besides commands.

Exit status: 0 done, 1 a negative answer, 2 usage or failure, 3 unknown, 130 interrupted.`,
		Example: `  nsview ps                      the processes of all containers, with both sides' PIDs and users
  nsview owner /srv/data/file    who owns a file, as the host and as every container sees it
  nsview access web /data write  may container web write it, and if not, why
  nsview ns --tree               the namespaces and how they hang together`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		Args:              unknownCommand,
		PersistentPreRunE: a.checkCommonFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if showVersion {
				_, err := fmt.Fprintln(a.out, "nsview", buildVersion())
				return err
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVar(&showVersion, "version", false, "say which version of nsview this is")
	root.SetFlagErrorFunc(flagError)
	root.SuggestionsMinimumDistance = 2
	flags := root.PersistentFlags()
	flags.StringVarP(&a.output, "output", "o", "", "output `FORMAT` (table, wide, json, jsonl, yaml, tree, ...)")
	flags.BoolVar(&a.noHeaders, "no-headers", false, "leave the header line out")
	flags.BoolVar(&a.noTrunc, "no-trunc", false, "do not cut columns to the width of the terminal")
	flags.StringVar(&a.color, "color", "auto", "colour `WHEN`: auto, always or never")
	flags.StringVar(&a.proc, "proc", "/proc", "the `DIR` where procfs is mounted, by default below --host-root if it is there")
	flags.StringVar(&a.hostRoot, "host-root", "/", "the `DIR` where the host's files are")
	flags.StringVar(&a.from, "from", "", "answer from the snapshot in `FILE` (- for stdin) instead of this host")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "leave nothing out: every gap, and what is folded")
	_ = root.RegisterFlagCompletionFunc("output", completeFormats)
	complete(root, "color", []string{"auto", "always", "never"})
	for _, dir := range []string{"proc", "host-root"} {
		_ = root.MarkPersistentFlagDirname(dir)
	}
	if len(args) > 0 {
		if len(args) == 1 && args[0] == "--version" {
			return root
		}
		for _, c := range commands() {
			if c.name == args[0] || c.alias == args[0] {
				root.AddCommand(c.make(a))
				root.SetHelpCommand(helpCommand())
				root.CompletionOptions.DisableDefaultCmd = true // who asks for that command makes them all, below
				return root
			}
		}
	}
	for _, c := range commands() {
		root.AddCommand(c.make(a))
	}
	root.SetHelpCommand(helpCommand())
	root.SetOut(a.out) // the completion command keeps what is set when it is made
	root.InitDefaultCompletionCmd()
	describeCompletion(root)
	return root
}

// command is how a command of nsview is made.
type command struct {
	name, alias string
	make        func(*app) *cobra.Command
}

// commands are all commands. Each is in a file of its name.
func commands() []command {
	return []command{
		{name: "ps", make: (*app).psCommand},
		{name: "owner", make: (*app).ownerCommand},
		{name: "doctor", make: (*app).doctorCommand},
		{name: "ns", make: (*app).nsCommand},
		{name: "diff", make: (*app).diffCommand},
		{name: "containers", alias: "ls", make: (*app).containersCommand},
		{name: "snapshot", make: (*app).snapshotCommand},
		{name: "map", make: (*app).mapCommand},
		{name: "access", make: (*app).accessCommand},
		{name: "caps", make: (*app).capsCommand},
		{name: "report", make: (*app).reportCommand},
		{name: "graph", make: (*app).graphCommand},
		{name: "run", make: (*app).runCommand},
		{name: "trace", make: (*app).traceCommand},
	}
}

// checkCommonFlags judges the flags that every command has.
func (a *app) checkCommonFlags(cmd *cobra.Command, _ []string) error {
	for _, name := range []string{"proc", "host-root", "from"} {
		// A script's unset variable must not be answered from this host. pflag writes a list of nothing as [].
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && (f.Value.String() == "" || f.Value.String() == "[]") {
			return usageError("", "--%s is empty", name)
		}
	}
	if !cmd.Flags().Changed("proc") {
		a.proc = hostProc(a.hostRoot)
	}
	switch a.color {
	case "auto", "always", "never":
		return a.checkPlugin(cmd)
	}
	return usageError("", "--color is auto, always or never, not \"%s\"", a.color)
}

// hostProc is the procfs that --host-root alone stands for: in a container the one below it, where the host's was mounted
// with it, is the host's.
func hostProc(hostRoot string) string {
	dir := filepath.Join(hostRoot, "proc")
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) == nil && fs.Type == unix.PROC_SUPER_MAGIC {
		return dir
	}
	return "/proc"
}

// unknownCommand refuses operands of nsview itself: what is not a command.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help lists the commands"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError(hint, "unknown command \"%s\"", args[0])
}

// flagError is what a wrong flag ends in.
func flagError(cmd *cobra.Command, err error) error {
	return usageError(cmd.CommandPath()+" --help lists the flags", "%w", err)
}

// buildVersion is what the linker was told (make build), else what the module says.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
