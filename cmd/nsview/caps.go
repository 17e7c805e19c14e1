package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
)

func (a *app) capsCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "caps TARGET [OTHER]",
		Short: "what TARGET's capabilities count for",
		Long: `caps shows what the capabilities of TARGET count for: in its own user namespace, in the one that OTHER is in, and in
those that own each of TARGET's namespaces: a capability over the network, say, counts if it counts in the user namespace
that owns the network namespace.

What a process holds counts in its own user namespace and in those below it, never above or beside. A process whose
effective uid made a user namespace from its own has every capability in that and below.

With --file it shows what they count for over one file, as TARGET sees it: most count only where both the uid and the gid
of the file are mapped in TARGET's user namespace; to do what an owner may, with CAP_FOWNER, the uid is enough.

Exit status: 0 done, 2 usage or failure, 3 what was asked about OTHER or the file could not be told.`,
		Example: `  nsview caps web                       what container web's root may do
  nsview caps 4711 web                  what process 4711 may do to container web
  nsview caps web --file /var/lib/data  do its capabilities count for this file`,
		ValidArgsFunction: a.completeFirst(2),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > 2 {
				return usageError("nsview caps TARGET [OTHER]", "caps needs a TARGET, and at most one OTHER")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.format(cmd); err != nil {
				return err
			}
			if err := a.checkColumns(capsColumns()); err != nil {
				return err
			}
			if file == "" && cmd.Flags().Changed("file") {
				return usageError("", "--file is empty")
			}
			if file != "" && a.from != "" {
				return usageError("", "--file asks this host, not a stored snapshot")
			}
			return a.caps(cmd.Context(), args, file)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "what they count for over this `FILE` of TARGET's")
	_ = cmd.RegisterFlagCompletionFunc("file", func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.completePaths(cmd, args[0], word)
	})
	a.outputFlags(cmd, capsColumns, "table", "wide", "json")
	return cmd
}

func capsColumns() []string { return capsTable(&access.CapReport{}).Columns() }

func (a *app) caps(ctx context.Context, args []string, file string) error {
	r, err := a.capReport(ctx, args, file)
	if err != nil {
		return err
	}
	if a.structured() {
		err = a.printData(a.out, r, nil)
	} else {
		err = a.printCaps(r)
	}
	if err != nil {
		return err
	}
	for i := range r.Over {
		if r.Over[i].Scope == "other" && r.Over[i].Result == access.Unknown {
			return &statusError{code: exitUnknown}
		}
	}
	if r.File != nil && r.File.Result == access.Unknown {
		return &statusError{code: exitUnknown}
	}
	return nil
}

// capReport answers for TARGET, OTHER and a file.
func (a *app) capReport(ctx context.Context, args []string, file string) (*access.CapReport, error) {
	facts := procscan.Graph
	if file != "" {
		facts = accessFacts
	}
	s, err := a.snapshot(ctx, facts)
	if err != nil {
		return nil, err
	}
	t, err := a.running(s, args[0])
	if err != nil {
		return nil, err
	}
	if t.Process == nil {
		return nil, fmt.Errorf("%s has no process that could hold a capability", args[0])
	}
	r := access.NewCapReport(s, t.Process, args[0])
	if len(args) > 1 {
		other, err := a.target(s, args[1])
		if err != nil {
			return nil, err
		}
		r.AddOther(s, t.Process, args[1], userNSOf(s, &other))
	}
	if file != "" {
		r.File, err = a.capsOverFile(ctx, s, t.Process, args[0], file)
	}
	return r, err
}

// capsOverFile is what the capabilities of a process count for over a file of its own.
func (a *app) capsOverFile(ctx context.Context, snap *nsinspect.Snapshot, p *nsinspect.Process, target, file string) (*access.CapFile, error) {
	prober, err := newProber(snap, a.proc)
	if err != nil {
		return nil, err
	}
	defer prober.Close()
	s, err := prober.Process(ctx, p.PID, target)
	if err != nil {
		return nil, subjectError(target, err)
	}
	w, err := prober.Walk(ctx, s, access.Operation{Op: access.OpLookup}, file)
	if err != nil {
		return nil, err
	}
	n := w.Reached()
	switch {
	case n != nil:
		return access.FileCapsOver(s, w.Host, n), nil
	case w.Missing != "":
		return nil, fmt.Errorf("%s: could not be looked at: %s", file, w.Missing)
	case w.Fail != "":
		return nil, fmt.Errorf("%s: %s", file, w.Fail)
	}
	return nil, fmt.Errorf("no such file: %s", file)
}

// userNSOf is the user namespace in which capabilities over a TARGET are asked for: of another namespace its owner.
func userNSOf(s *nsinspect.Snapshot, t *nsinspect.Target) nsinspect.Inode {
	if t.Namespace != 0 && t.Type != nsinspect.User {
		if n := s.Namespace(t.Namespace); n != nil {
			return n.OwnerUserNS
		}
		return 0
	}
	_, inode := s.MapsOf(*t)
	return inode
}

// capsTable has a line for every user namespace, and two for a file.
func capsTable(r *access.CapReport) *render.Table {
	t := &render.Table{Header: []string{"OVER", "NAMESPACE", "USERNS", "COUNTS", "REASON", "MEANING"}}
	t.Spare = columnsOf(t.Header, "MEANING")
	for i := range r.Over {
		c := &r.Over[i]
		over, namespace := c.Scope, ""
		if c.Scope == "other" {
			over = c.Target
		}
		if c.Namespace != 0 {
			namespace = c.Namespace.String()
		}
		t.Rows = append(t.Rows, []string{over, namespace, c.UserNS.String(), capsText(c.Result, c.Caps), string(c.Reason), c.Detail})
	}
	if f := r.File; f != nil {
		ids := fmt.Sprintf("uid %s inside, %s outside; gid %s inside, %s outside: ", f.Inside.UID, f.UID, f.Inside.GID, f.GID)
		t.Rows = append(t.Rows,
			[]string{f.Path, "", r.UserNS.String(), capsText(f.Result, f.Caps), "file", ids + f.Detail},
			[]string{f.Path, "", r.UserNS.String(), answerText(f.Owner), "as-owner", f.OwnerDetail})
	}
	return t
}

func (a *app) printCaps(r *access.CapReport) error {
	t := capsTable(r)
	if a.wide() {
		t.Spare = nil
	}
	if err := a.printTable(a.out, t); err != nil {
		return err
	}
	a.gaps(gapsAbout(r.Gaps, r.PID))
	return nil
}

// capsText is a set in a table: what is missing, where that is less.
func capsText(result access.Answer, caps []string) string {
	all := access.CapNames(access.EveryCap)
	switch {
	case result == access.Unknown:
		return "unknown"
	case len(caps) == 0:
		return "none"
	case len(caps) >= len(all):
		return "all"
	case len(caps) <= len(all)/2:
		return strings.Join(caps, ",")
	}
	have := make(map[string]bool, len(caps))
	for _, name := range caps {
		have[name] = true
	}
	var missing []string
	for _, name := range all {
		if !have[name] {
			missing = append(missing, name)
		}
	}
	return "all but " + strings.Join(missing, ",")
}

func answerText(answer access.Answer) string {
	switch answer {
	case access.Allow:
		return "yes"
	case access.Deny:
		return "no"
	}
	return "unknown"
}
