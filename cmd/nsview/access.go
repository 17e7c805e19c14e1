package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
)

// accessFlags are the flags of nsview access.
type accessFlags struct {
	user    string
	explain bool
	batch   bool
}

func (a *app) accessCommand() *cobra.Command {
	var f accessFlags
	cmd := &cobra.Command{
		Use:   "access TARGET PATH [OP [ARG...]]",
		Short: "why TARGET may or may not do something with a file, and what would fix it",
		Long: `access says whether the kernel would let TARGET do an operation on PATH, which check decides, and what to change so
that it does. PATH is TARGET's own: in its root, through its mounts, relative to its working directory. Nothing is
opened on behalf of TARGET and nothing is changed; a fix is printed, not carried out.

The subject is the process of that PID, or the first process of a container, with the credentials that it has now;
TARGET "host" is you. --user asks for somebody else in the same place, as the engine would start it.

Without OP it asks for the common operations, a line each. An operation is what this system call would do:

` + operationsHelp() + `

UID and GID are TARGET's own numbers, and "-" or "-1" keeps the one there is. Opens are O_NONBLOCK.

"unknown" is an answer that depends on a fact that could not be read; it is named. A security module, a seccomp filter or
a server behind a file system may still refuse what is allowed: those are listed as assumptions.

--batch reads one JSON object a line: {"id":"17","target":"web","op":"rename","path":"/a","args":["/b"]}, with "user" for
--user, and answers each with one line, in order and as soon as it is known. The target's credentials and the path are
read anew for every question. A line that is no question is answered too, with "verdict":"unknown" and "error".

Exit status: 0 allowed, or no OP was asked; 1 denied; 2 usage or failure; 3 unknown. With --batch 0, or 2 when a line
could not be asked.`,
		Example: `  nsview access web /var/lib/mysql write        may container web write it, and if not, why
  nsview access web /var/lib/mysql               the common operations
  nsview access web /srv/f chown 999 -           may it give the file to its uid 999
  nsview access --user app:www web /srv/f read   for another user there
  nsview access --explain 4711 /srv/f read       with every check that was made`,
		ValidArgsFunction: a.completeAccess,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case cmd.Flags().Changed("user") && f.user == "":
				return usageError("leave --user out to ask for TARGET itself", "--user needs a user, not an empty one")
			case f.batch && len(args) > 0:
				return usageError("nsview access --batch <questions", "--batch reads its questions from standard input, not \"%s\"", args[0])
			case f.batch && (f.user != "" || f.explain):
				return usageError(`{"target":"web","path":"/srv","op":"read","user":"app"}`, "with --batch a question itself says who asks, and has every step")
			case !f.batch && len(args) < 2:
				return usageError("nsview access TARGET PATH [OP [ARG...]]", "access needs a TARGET and a PATH")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			asked := a.output
			if err := a.format(cmd); err != nil {
				return err
			}
			if a.columns != "" && len(args) > 2 {
				return usageError("leave "+args[2]+" out", "-O chooses columns of the table of operations")
			}
			if err := a.checkColumns(accessColumns()); err != nil {
				return err
			}
			if f.batch {
				if asked != "" && asked != "json" || a.template != "" {
					return usageError("", "--batch answers in lines of JSON")
				}
				return a.accessBatch(cmd.Context())
			}
			return a.access(cmd.Context(), &f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.user, "user", "u", "", "ask for this user of TARGET's, `U[:G]`, names or numbers")
	flags.BoolVar(&f.explain, "explain", false, "show every check, in the kernel's order; with an OP -o wide does the same")
	flags.BoolVar(&f.batch, "batch", false, "answer questions that are read as lines of JSON")
	a.outputFlags(cmd, accessColumns, "table", "wide", "json")
	return cmd
}

// operationsHelp lists the operations for the help text.
func operationsHelp() string {
	var b strings.Builder
	for _, o := range access.Operations() {
		usage := strings.Join(append([]string{string(o.Op)}, o.Args...), " ")
		b.WriteString("  " + usage + strings.Repeat(" ", max(1, 18-len(usage))) + o.Call + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// completeAccess offers TARGETs, paths that TARGET sees and operations to the shell.
func (a *app) completeAccess(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return a.completeTarget(cmd, args, word)
	case 1:
		return a.completePaths(cmd, args[0], word)
	case 2:
		var ops []cobra.Completion
		for _, o := range access.Operations() {
			ops = append(ops, cobra.CompletionWithDesc(string(o.Op), o.Call))
		}
		return ops, cobra.ShellCompDirectiveNoFileComp
	}
	if op := access.Op(args[2]); op == access.OpRename || op == access.OpNoreplace || op == access.OpExchange || op == access.OpLink {
		return a.completePaths(cmd, args[0], word)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// keepIDs lets the -1 of chown through: pflag would take it for a flag. It becomes "-", which means the same.
func keepIDs(root *cobra.Command, args []string) []string {
	if cmd, _, err := root.Find(args); err != nil || cmd.Name() != "access" {
		return args
	}
	at := slices.IndexFunc(args, func(arg string) bool {
		return arg == string(access.OpChown) || arg == string(access.OpLchown)
	})
	if at < 0 {
		return args
	}
	args = slices.Clone(args)
	for i := at + 1; i < len(args) && args[i] != "--"; i++ {
		if args[i] == "-1" {
			args[i] = "-"
		}
	}
	return args
}

// accessVerdict is what access -o json prints for an operation.
type accessVerdict struct {
	nsinspect.Report
	access.Verdict
}

// accessReport is what access -o json prints without one.
type accessReport struct {
	nsinspect.Report
	Target   string           `json:"target"`
	Path     string           `json:"path"`
	Verdicts []access.Verdict `json:"verdicts"`
}

// accessFacts are what the question needs to know of the host besides what is read anew for it.
const accessFacts = procscan.Graph | procscan.Mounts | procscan.Names

// access answers one question, or with no OP the common ones.
func (a *app) access(ctx context.Context, f *accessFlags, args []string) error {
	q := question{Target: args[0], Path: args[1], User: f.user}
	if len(args) > 2 {
		q.Op, q.Args = args[2], args[3:]
		if _, err := q.operation(); err != nil { // before anything is read
			return err
		}
	}
	asker, err := a.asker(ctx)
	if err != nil {
		return err
	}
	defer asker.close()
	defer a.progress("looking at " + q.Path)()
	if q.Op == "" {
		return a.accessCommon(ctx, asker, q)
	}
	v, err := asker.ask(ctx, q)
	if err != nil {
		return err
	}
	report := asker.s.Report("AccessVerdict")
	if a.structured() {
		err = a.printData(a.out, accessVerdict{report, v}, nil)
	} else {
		err = a.printVerdict(&v, f.explain || a.verbose || a.wide(), asker.targets[q.Target].container != nil)
		a.rootHint(&asker.s.Observer, v.Fixes...)
		a.unseenHint(asker, &q, &v)
		a.accessNotes(asker, q)
	}
	if err != nil {
		return err
	}
	switch v.Verdict {
	case access.Deny:
		return &statusError{code: exitNegative}
	case access.Unknown:
		return &statusError{code: exitUnknown}
	}
	return nil
}

// accessCommon answers for the operations that ls -l is read for.
func (a *app) accessCommon(ctx context.Context, asker *asker, q question) error {
	r := accessReport{Report: asker.s.Report("AccessReport"), Target: q.Target, Path: q.Path}
	var err error
	if r.Verdicts, err = asker.common(ctx, q); err != nil {
		return err
	}
	if a.structured() {
		return a.printData(a.out, r, r.Verdicts)
	}
	if err := a.printTable(a.out, accessTable(r.Verdicts, a.wide())); err != nil {
		return err
	}
	a.accessAssumptions(r.Verdicts)
	a.accessNotes(asker, q)
	return nil
}

// accessNotes says what else there is to know about the subject: other processes of a container have other credentials,
// and facts about it that could not be read.
func (a *app) accessNotes(asker *asker, q question) {
	subject := asker.targets[q.Target]
	if q.User == "" {
		if note := asker.others(&subject); note != "" {
			a.warn("%s", note)
		}
	}
	a.gaps(gapsAbout(asker.s.Gaps, subject.pid))
}

// hinted turns an operation that was not understood into a usage error.
func hinted(err error) error {
	var wrong *access.OperationError
	if errors.As(err, &wrong) {
		return usageError(wrong.Hint, "%s", wrong.Problem)
	}
	return err
}
