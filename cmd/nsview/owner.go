package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/pathwalk"
)

// ownerFlags are the flags of nsview owner.
type ownerFlags struct {
	in     string
	follow bool
	tree   bool // -R
	oneFS  bool // -x
}

func (a *app) ownerCommand() *cobra.Command {
	var f ownerFlags
	cmd := &cobra.Command{
		Use:   "owner FILE...",
		Short: "whose a file is for the host and for every container that sees it",
		Long: `owner shows who owns a file for everyone who sees it: the host, and every container into which it is mounted, as it
is, through an overlay or through an idmapped mount. Each has a path of its own, ids of its own user namespace and names
of its own /etc/passwd.

"unmapped" is an id that the viewer, or the mount, has no mapping for: programs there show the overflow id (nobody).
"unknown" is one that could not be told. Sizes are those of stat(2), as ls -l has them, not what is allocated; with -R each name of a file
counts.

With -R it sums trees up: how many files each owner pair (the host's uid:gid) has, of what size (-o wide), what every viewer calls it, and how
many files each viewer sees whose owner or group is unmapped for it. Who sees a file changes only where somebody has
something mounted, and such places are looked at one by one. Symbolic links in a tree are never followed; as with find
and du, one that is named as FILE is itself all there is to it, unless -L is given. A directory that cannot be listed,
or a file system that does not answer, is a gap and the rest is printed; what vanishes meanwhile is not there.
-R -o jsonl prints every file as one line, as it is found and in no order. In JSON, bytes of a name that are not UTF-8
are U+FFFD.`,
		Example: `  nsview owner /srv/data/file.txt             everyone who sees it
  nsview owner --in web /var/lib/mysql/a.txt   a path inside a container: how the host and that container see it
  nsview owner -o wide FILE                    with mounts, their id maps and the ids on disk
  nsview owner -R /srv/data                    how many files are whose, and unmapped for whom`,
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if f.in == "" {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return a.completePaths(cmd, f.in, word)
		},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("nsview owner FILE...", "owner needs a file")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.format(cmd); err != nil {
				return err
			}
			if err := a.checkColumns(ownerColumns(f.tree)); err != nil {
				return err
			}
			if f.oneFS && !f.tree {
				return usageError("nsview owner -R -x DIR...", "-x is for -R")
			}
			if f.tree && a.from != "" {
				return usageError("nsview snapshot --path stores single files", "-R needs the live host, --from is a stored snapshot")
			}
			return a.owner(cmd.Context(), &f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.in, "in", "", "read the paths inside this `TARGET`")
	flags.BoolVarP(&f.follow, "dereference", "L", false, "follow a final symbolic link")
	flags.BoolVarP(&f.tree, "recursive", "R", false, "sum trees up by owner")
	flags.BoolVarP(&f.oneFS, "one-file-system", "x", false, "with -R, leave out what is on other file systems")
	_ = cmd.RegisterFlagCompletionFunc("in", a.completeTarget)
	a.outputFlags(cmd, func() []string { return ownerColumns(f.tree) }, "table", "wide", "json", "jsonl")
	return cmd
}

// ownerColumns are those that -O chooses from, with -R those of the table of owner pairs.
func ownerColumns(tree bool) []string {
	if tree {
		return treeTable(&nsinspect.OwnerSummary{}, true, true).Columns()
	}
	return ownerTable(&nsinspect.OwnerReport{}, true, true).Columns()
}

// ownerFacts are what the question needs to know of the host.
const ownerFacts = procscan.Graph | procscan.Mounts | procscan.Names

// owner answers for every file; those that cannot be opened are errors and the rest is answered.
func (a *app) owner(ctx context.Context, f *ownerFlags, files []string) error {
	scan := ownerFacts | procscan.FileNames // the owners of files are looked up when they are known
	if f.in == "" {
		// A TARGET may be anything; who sees a file is told apart by three namespaces of processes, and no kernel thread does.
		scan = scan&^procscan.Graph | procscan.Relations | procscan.Brief | procscan.Beside | procscan.NoKthreads
	}
	s, err := a.snapshot(ctx, scan)
	if err != nil {
		return err
	}
	q := ownerAsk{app: a, s: s, atlas: nsinspect.NewAtlas(s), flags: f}
	if err := q.resolve(); err != nil {
		return err
	}
	q.viewers = s.OwnerViewers(q.atlas, q.query)
	if f.tree {
		return a.ownerTrees(ctx, &q, files)
	}
	report := nsinspect.OwnerReport{Report: s.Report("OwnerReport"), Files: []nsinspect.FileOwners{}}
	wipe := a.progress("looking for who sees " + counted(len(files), "file"))
	facts, errs := q.collect(ctx, files)
	for _, file := range facts {
		owners, gaps := q.viewers.File(file)
		report.Files = append(report.Files, owners)
		report.Gaps = append(report.Gaps, gaps...)
	}
	wipe()
	report.Partial = tellsPart(ctx)
	if err := a.printOwners(&report, len(files) > 1); err != nil {
		return err
	}
	return a.ownerStatus(ctx, errs, report.Gaps)
}

// ownerStatus says what could not be looked at or read, and is how the command ends then.
func (a *app) ownerStatus(ctx context.Context, errs []error, gaps []nsinspect.Gap) error {
	for _, err := range errs {
		a.complain(err)
	}
	a.gaps(gaps)
	if ctx.Err() != nil {
		return a.interrupted(ctx)
	}
	if len(errs) > 0 {
		return &statusError{code: exitFailure}
	}
	return nil
}

// ownerAsk is one run of the command.
type ownerAsk struct {
	app   *app
	s     *nsinspect.Snapshot
	atlas *nsinspect.Atlas
	flags *ownerFlags

	process *nsinspect.Process   // of --in
	stopped *nsinspect.Container // of --in, when it is not running
	target  string
	query   nsinspect.OwnerQuery
	viewers *nsinspect.OwnerViewers
}

// resolve finds what --in stands for.
func (q *ownerAsk) resolve() error {
	if q.flags.in == "" {
		return nil
	}
	t, err := q.app.target(q.s, q.flags.in)
	if err != nil {
		return err
	}
	if t.Host {
		return nil
	}
	if t.Process == nil {
		if t.Container == nil || t.Container.Running() {
			return fmt.Errorf("%s has no process whose files could be looked at", q.flags.in)
		}
		q.stopped = t.Container
	}
	q.process, q.target, q.query.Target = t.Process, q.flags.in, &t
	return nil
}

// collect reads the facts about every file, from this host or from what a snapshot stored.
func (q *ownerAsk) collect(ctx context.Context, files []string) (facts []*nsinspect.FileFacts, errs []error) {
	w := pathwalk.New(q.s, q.atlas, q.app.proc)
	for _, file := range files {
		ask, err := q.ask(file)
		var f *nsinspect.FileFacts
		if err == nil {
			f, err = q.app.fileFacts(ctx, q.s, w, ask)
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			errs = append(errs, fileError(file, err))
			continue
		}
		facts = append(facts, f)
	}
	if q.app.from == "" {
		q.nameOwners(ctx, facts)
	}
	return facts, errs
}

// ask is what to look at for a FILE. In a container that is not running there is only what would be mounted into it: that
// is looked at on the host.
func (q *ownerAsk) ask(file string) (pathwalk.Ask, error) {
	ask := pathwalk.Ask{Path: file, Follow: q.flags.follow, Process: q.process, Target: q.target}
	if q.stopped == nil {
		return ask, nil
	}
	ask, err := stoppedAsk(q.stopped, q.target, file)
	ask.Follow = q.flags.follow
	return ask, err
}

// hostTarget is the TARGET that is the observer's side.
const hostTarget = "host"

// fileFacts reads the facts about one file, or takes them from the stored snapshot.
func (a *app) fileFacts(ctx context.Context, s *nsinspect.Snapshot, w *pathwalk.Walker, ask pathwalk.Ask) (*nsinspect.FileFacts, error) {
	if a.from != "" {
		return storedFile(s, ask)
	}
	return w.File(ctx, ask)
}

// fileError is why a path could not be looked at.
func fileError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no such file: %s", path)
	}
	return err
}

// nameOwners asks the name service for owners that only it knows.
func (q *ownerAsk) nameOwners(ctx context.Context, facts []*nsinspect.FileFacts) {
	names := q.s.NamesAt(q.s.Observer.Names)
	if names == nil {
		return
	}
	var uids, gids []idmap.Inside
	for _, f := range facts {
		for i := range f.Sightings {
			if st := f.Sightings[i].Stat; st != nil {
				uids, gids = append(uids, idmap.Inside(st.UID)), append(gids, idmap.Inside(st.GID))
			}
		}
	}
	q.s.Gaps = append(q.s.Gaps, procscan.LookupNames(ctx, q.app.hostRoot, names, uids, gids)...)
}

func (a *app) printOwners(r *nsinspect.OwnerReport, several bool) error {
	if a.structured() {
		return a.printData(a.out, r, r.Files)
	}
	if len(r.Files) == 0 {
		return nil
	}
	if err := a.printTable(a.out, ownerTable(r, several || a.columns != "", a.wide())); err != nil {
		return err
	}
	for i := range r.Files {
		f := &r.Files[i]
		if f.Nlink > 1 && f.Type != "directory" {
			a.warn("%s has %d hard links: other names were not searched", f.Path, f.Nlink)
		}
		if a.output == "wide" || a.verbose {
			for _, text := range f.Assumptions {
				a.warn("%s: assumed that %s", f.Path, text)
			}
		}
	}
	return nil
}
