package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/runner"
)

// runFlags are the flags of run that are not fields of runner.Spec as they stand.
type runFlags struct {
	spec   runner.Spec
	all    bool
	dryRun bool
	join   map[runner.Namespace]*string
}

func (a *app) runCommand() *cobra.Command {
	f := &runFlags{join: map[runner.Namespace]*string{}}
	cmd := &cobra.Command{
		Use:   "run [flags] [--] COMMAND [ARG...]",
		Short: "start a command in new namespaces",
		Long: `run starts COMMAND in new namespaces, with the id maps, mounts and credentials that the flags ask for. It works as
root and as an ordinary user, who needs a user namespace: --map-root, --map-current or --map-auto make one.

What a flag needs is implied: a map flag implies --user; --mount-proc --pid and --mount; --root, --bind and --tmpfs
--mount; --hostname --uts; --time-offset --time; --init --pid. COMMAND is PID 1 of a new PID namespace.

COMMAND runs as the caller's own ids where the map has them, else as 0, else as the lowest mapped id. It keeps
capabilities only as uid 0 inside, or with --cap-keep.

With --root, a /dev without devices gets a tmpfs with null, zero, full, random, urandom and tty of the host.
A bind includes what is mounted below SRC. DST must exist, except below a --tmpfs.

The terminal, signals and job control are COMMAND's. A signal that would end or stop any other process does so also
when COMMAND is PID 1 and does not handle it. COMMAND dies with nsview, unless --detach, or it changes its credentials
by executing a set-id program.

Exit status: COMMAND's, 128+n when signal n ended it, 125 when nsview itself failed, 126 when COMMAND could not be
executed, 127 when it was not found.`,
		Example: `  nsview run --map-root --pid --mount-proc -- ps -ef
  nsview run --map-uid 0:100000:65536 --map-gid 0:100000:65536 --root /srv/rootfs --bind /srv/data:/data:idmap -- /bin/sh
  nsview run --map-auto --all --init --name try -- sh -c 'sleep 100 & wait'`,
		// The status of a wrong command line is run's own too.
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			return runError(a.checkCommonFlags(cmd, args))
		},
		RunE: func(_ *cobra.Command, args []string) error {
			f.spec.Command = args
			return runError(a.run(f))
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return runError(flagError(cmd, err)) })
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	f.add(flags)
	return cmd
}

// runError gives every failure the exit status that run promises.
func runError(err error) error {
	var status *statusError
	var failure *runner.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure):
		code := failure.Status
		if code == 0 {
			code = runner.StatusFailure
		}
		return &statusError{code: code, err: err, hint: failure.Hint}
	case errors.As(err, &status):
		if status.err != nil {
			status.code = runner.StatusFailure
		}
		return status
	}
	return &statusError{code: runner.StatusFailure, err: err}
}

func (f *runFlags) add(flags *pflag.FlagSet) {
	s := &f.spec
	for _, n := range runner.Namespaces() {
		flags.BoolFunc(n.Flag(), "a new "+string(n)+" namespace", f.newNamespace(n))
		f.join[n] = flags.String("join-"+n.Flag(), "", "the "+string(n)+" namespace of `TARGET`, instead of a new one")
	}
	flags.BoolVar(&f.all, "all", false, "a new namespace of every type that is not joined")

	extent := func(list *[]idmap.Extent) func(string) error {
		return func(v string) error {
			e, err := idmap.ParseExtent(v)
			*list = append(*list, e)
			return err
		}
	}
	flags.Func("map-uid", "map uids, `INSIDE:OUTSIDE:COUNT` (repeatable; serves for gids too without --map-gid)", extent(&s.MapUID))
	flags.Func("map-gid", "map gids, `INSIDE:OUTSIDE:COUNT` (repeatable; serves for uids too without --map-uid)", extent(&s.MapGID))
	flags.BoolVar(&s.MapRoot, "map-root", false, "map your uid and gid to 0 inside")
	flags.BoolVar(&s.MapCurrent, "map-current", false, "map your uid and gid to themselves (keep-id)")
	flags.BoolVar(&s.MapAuto, "map-auto", false, "map all ids that /etc/subuid and /etc/subgid grant you, from 0 on, around the other maps")
	flags.StringVar(&s.Setgroups, "setgroups", "", "`allow` or deny setgroups(2) in the user namespace")

	flags.Func("uid", "run as this `UID` inside", idFlag(func(id idmap.Inside) { s.UID = &id }))
	flags.Func("gid", "run with this `GID` inside", idFlag(func(id idmap.Inside) { s.GID = &id }))
	flags.Func("groups", "supplementary groups, `GID,...` inside; an empty list drops them all", f.groups)

	flags.BoolVar(&s.MountProc, "mount-proc", false, "mount a procfs of the new PID namespace on /proc")
	flags.StringVar(&s.Root, "root", "", "make `DIR` the root directory (pivot_root)")
	flags.Func("bind", "mount a file or directory, `SRC:DST[:ro,idmap]`; idmap=DISK-SEEN-COUNT maps ids otherwise than the container", f.mount(runner.ParseBind))
	flags.Func("tmpfs", "mount an empty tmpfs on `DST`", f.mount(runner.ParseTmpfs))
	flags.StringVar(&s.Hostname, "hostname", "", "the host `NAME` inside")
	flags.StringVar(&s.Workdir, "workdir", "", "the working `DIR` inside (default / with --root, else the caller's)")
	flags.StringArrayVar(&s.Env, "env", nil, "add `NAME=VALUE` to the environment (repeatable)")

	flags.StringSliceVar(&s.CapDrop, "cap-drop", nil, "take these capabilities away for good, `CAP,...` or all")
	flags.StringSliceVar(&s.CapKeep, "cap-keep", nil, "have these capabilities and no others, `CAP,...` or all, also without being uid 0")
	flags.BoolVar(&s.NoNewPrivs, "no-new-privs", false, "set-id programs and file capabilities give nothing")
	flags.Func("time-offset", "set clocks of the time namespace off, `[CLOCK=]OFFSET` with monotonic or boottime (repeatable)", func(v string) error {
		offsets, err := runner.ParseTimeOffset(v)
		s.TimeOffsets = append(s.TimeOffsets, offsets...)
		return err
	})

	flags.StringVar(&s.Pin, "pin", "", "keep the new namespaces as files in `DIR`")
	flags.StringVar(&s.Name, "name", "", "what nsview calls this container")
	flags.BoolVar(&s.Init, "init", false, "run an init as PID 1 that reaps processes and forwards signals")
	flags.BoolVar(&s.Detach, "detach", false, "print the PID and return; COMMAND goes on in the background, its output goes to files or nowhere")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print what would be done, step by step, and do nothing")
	flags.BoolVar(&s.Report, "report", false, "print both sides' PIDs, namespaces, ids and owners on stderr once COMMAND runs")
}

func (f *runFlags) newNamespace(n runner.Namespace) func(string) error {
	return func(v string) error {
		on, err := strconv.ParseBool(v)
		if err == nil && on {
			f.spec.New = append(f.spec.New, n)
		}
		return err
	}
}

func (f *runFlags) mount(parse func(string) (runner.MountSpec, error)) func(string) error {
	return func(v string) error {
		m, err := parse(v)
		f.spec.Mounts = append(f.spec.Mounts, m)
		return err
	}
}

func (f *runFlags) groups(v string) error {
	f.spec.Groups = []idmap.Inside{}
	for field := range strings.SplitSeq(v, ",") {
		if v == "" {
			break
		}
		if err := idFlag(func(id idmap.Inside) { f.spec.Groups = append(f.spec.Groups, id) })(field); err != nil {
			return err
		}
	}
	return nil
}

func idFlag(set func(idmap.Inside)) func(string) error {
	return func(v string) error {
		id, err := strconv.ParseUint(v, 10, 32)
		if err != nil || !idmap.Inside(id).Mapped() {
			return fmt.Errorf("%q is not an id, a number up to 4294967294", v)
		}
		set(idmap.Inside(id))
		return nil
	}
}

// run plans, starts and waits.
func (a *app) run(f *runFlags) error {
	if a.from != "" {
		return usageError("", "run starts a command on this host, not in the snapshot of --from")
	}
	if a.output == "" {
		a.output = "table"
	}
	if a.output != "table" && a.output != "json" {
		return usageError("", "run has no output format \"%s\", only table, json", a.output)
	}
	if f.all {
		f.spec.New = nil
		for _, n := range runner.Namespaces() {
			if *f.join[n] == "" {
				f.spec.New = append(f.spec.New, n)
			}
		}
	}
	caller, err := runner.ReadCaller()
	if err != nil {
		return err
	}
	if err := a.joins(f, caller); err != nil {
		return err
	}
	plan, err := runner.NewPlan(f.spec, caller)
	if err != nil {
		return err
	}
	if f.dryRun {
		return a.printPlan(plan)
	}
	start := plan.Start
	if f.spec.Detach {
		start = plan.Detach
	}
	c, err := start()
	if err != nil {
		return err
	}
	a.sayPins(c)
	if c.Report != nil {
		if err := a.printReport(c.Report); err != nil {
			a.warn("--report: %v", err)
		}
	}
	if f.spec.Detach {
		_, err := fmt.Fprintln(a.out, c.PID)
		return err
	}
	if code := c.Wait(); code != 0 {
		return &statusError{code: code}
	}
	return nil
}

// runPlan is --dry-run as JSON.
type runPlan struct {
	Schema string        `json:"schema"`
	Kind   string        `json:"kind"`
	Steps  []runner.Step `json:"steps"`
}

func (a *app) printPlan(p *runner.Plan) error {
	if a.output == "json" {
		return render.JSON(a.out, runPlan{Schema: nsinspect.Schema, Kind: "RunPlan", Steps: p.Steps})
	}
	for i, s := range p.Steps {
		if _, err := fmt.Fprintf(a.out, "%2d. %s\n", i+1, render.Escape(s.Text)); err != nil {
			return err
		}
	}
	return nil
}
