package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

func (a *app) snapshotCommand() *cobra.Command {
	var f snapshotFlags
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "all that was read of this host, to answer from later or elsewhere",
		Long: `snapshot writes everything that nsview reads of this host to stdout as JSON. Any command that reads answers from such
a file with --from FILE, on any host. Files are looked at only when --path or --volumes ask for them. --redact leaves
command lines and the values of labels out, which may hold secrets; environments are never read.`,
		Example: `  nsview snapshot > host.json
  nsview ps --from host.json
  nsview snapshot --path host:/srv/data --path web:/var/lib/mysql --volumes > host.json
  ssh server nsview snapshot | nsview ns --tree --from -`,
		Args: exactly(0, "snapshot takes no operands"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.format(cmd); err != nil {
				return err
			}
			return a.takeSnapshot(cmd.Context(), &f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.redact, "redact", false, "leave command lines and the values of labels out")
	flags.StringArrayVar(&f.paths, "path", nil, "also store who sees this file as whose, and who may access it: `TARGET:PATH`, repeatable")
	flags.BoolVar(&f.volumes, "volumes", false, "also store the volumes of all containers, for owner, access and doctor")
	_ = cmd.RegisterFlagCompletionFunc("path", a.completeTargetPath)
	setFormats(cmd, "json")
	return cmd
}

// allFacts is what a snapshot has, so that every question can be asked of it.
const allFacts = procscan.Args | procscan.Graph | procscan.Mounts | procscan.Names | procscan.FDPins

// snapshotFlags are the flags of nsview snapshot.
type snapshotFlags struct {
	redact  bool
	paths   []string
	volumes bool
}

func (a *app) takeSnapshot(ctx context.Context, f *snapshotFlags) error {
	if a.from != "" && (len(f.paths) > 0 || f.volumes) {
		return usageError("", "--path and --volumes need the live host, --from is a stored snapshot")
	}
	mayTellPart(ctx)
	s, err := a.snapshot(ctx, allFacts)
	if s == nil {
		return err
	}
	failed := false
	if err == nil && (len(f.paths) > 0 || f.volumes) {
		failed = a.storeFiles(ctx, s, f.paths, f.volumes)
		if err := a.storeWalks(ctx, s, f.paths, f.volumes); err != nil && ctx.Err() == nil {
			return err
		}
	}
	if ctx.Err() != nil && !s.Partial {
		s.Partial = true
		s.Gaps = append(s.Gaps, nsinspect.Gap{Subject: "the host", Fact: "files", Error: "interrupted: not all that were asked for are stored"})
	}
	if f.redact {
		s.Redact()
	}
	if err := render.JSON(a.out, s); err != nil {
		return err
	}
	if s.Partial {
		return a.interrupted(ctx)
	}
	if failed {
		return &statusError{code: exitFailure}
	}
	return nil
}
