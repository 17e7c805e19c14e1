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
		Long: `run starts COMMAND in new namespaces, with the id maps, mounts and credentials
that the flags ask for. It works as root, and as an ordinary user in a user
namespace, which --map-root, --map-current and --map-auto make.

A flag makes the namespaces that it needs: a map flag and --setgroups --user;
--init --pid; --mount-proc --pid and --mount; --root, --bind and --tmpfs
--mount; --hostname --uts; --time-offset --time. The namespaces of another
process are joined with --join-TYPE TARGET; nsview --help says what a TARGET is.

COMMAND runs as your own ids where the map has them, else as 0, else as the
lowest mapped id; --uid and --gid choose others. It has capabilities only as
uid 0 inside, or with --cap-keep. What the kernel would refuse is refused before
anything starts; --dry-run shows what would be done.

In a new PID namespace COMMAND is PID 1, whose end ends all its processes; /proc
shows them with --mount-proc. With --root, an empty /dev gets null, zero, full,
random, urandom and tty of the host. A bind includes what is mounted below SRC;
DST must exist, except below a --tmpfs.

Terminal, signals and job control are COMMAND's. A signal sent to nsview does to
COMMAND what it does to any process, also where COMMAND is a PID 1 that does not
handle it; sent to such a PID 1 itself, only SIGKILL and SIGSTOP do anything.
COMMAND dies with nsview, unless --detach or a set-id program that it executes.

Exit status: COMMAND's, 128+n when signal n ended it, 125 when nsview failed,
126 when COMMAND could not be executed, 127 when it was not found.`,
		Example: `  nsview run --map-root --pid --mount-proc -- ps -ef
  nsview run --map-auto --all --init --name try -- sh -c 'sleep 100 & wait'
  nsview run --map-uid 0:100000:65536 --root /srv/rootfs --mount-proc \
      --bind /srv/data:/data:idmap -- /bin/sh`,
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
	flags.SortFlags = false // related ones stand together
	cmd.SetUsageTemplate(strings.ReplaceAll(cmd.UsageTemplate(), ".FlagUsages ", ".FlagUsagesWrapped 80 "))
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
	flags.BoolVar(&f.all, "all", false, "a new namespace of every type that is not joined")
	for _, n := range runner.Namespaces() {
		flags.BoolFunc(n.Flag(), "a new "+title(n)+" namespace", f.newNamespace(n))
	}
	for _, n := range runner.Namespaces() {
		f.join[n] = new(string)
		flags.Func("join-"+n.Flag(), "be in the "+title(n)+" namespace of `TARGET`", text(f.join[n]))
	}

	flags.Func("map-uid", "map uids, `INSIDE:OUTSIDE:COUNT` (repeatable; gids too without --map-gid)", extents(&s.MapUID))
	flags.Func("map-gid", "map gids, `INSIDE:OUTSIDE:COUNT` (repeatable; uids too without --map-uid)", extents(&s.MapGID))
	flags.BoolVar(&s.MapRoot, "map-root", false, "map your uid and gid to 0 inside")
	flags.BoolVar(&s.MapCurrent, "map-current", false, "map your uid and gid to themselves (keep-id)")
	flags.BoolVar(&s.MapAuto, "map-auto", false, "map all ids that /etc/subuid and /etc/subgid grant you to the lowest inside ids that other maps leave free")
	flags.Func("setgroups", "`allow|deny`: whether setgroups(2) works in the user namespace (default: allow where you may)", text(&s.Setgroups))

	flags.Func("uid", "run as this `UID` inside", idFlag(func(id idmap.Inside) { s.UID = &id }))
	flags.Func("gid", "run with this `GID` inside", idFlag(func(id idmap.Inside) { s.GID = &id }))
	flags.Func("groups", "supplementary groups, `GID,...` inside; an empty list drops them all", f.groups)
	flags.StringSliceVar(&s.CapDrop, "cap-drop", nil, "take these capabilities away for good, `CAP,...` or all")
	flags.StringSliceVar(&s.CapKeep, "cap-keep", nil, "have these capabilities and no others, `CAP,...` or all, also when not uid 0 inside")
	flags.BoolVar(&s.NoNewPrivs, "no-new-privs", false, "set-id programs and file capabilities give nothing")

	flags.Func("root", "make `DIR` the root directory (pivot_root)", text(&s.Root))
	flags.BoolVar(&s.MountProc, "mount-proc", false, "mount a procfs of the new PID namespace on /proc")
	flags.Func("bind", "mount the file or directory SRC on DST, `SRC:DST[:ro,idmap]` (repeatable); idmap: seen with the container's own id map, "+
		"idmap=DISK-SEEN-COUNT: with ids DISK on disk seen as SEEN inside", f.mount(runner.ParseBind))
	flags.Func("tmpfs", "mount an empty tmpfs on `DST` (repeatable)", f.mount(runner.ParseTmpfs))
	flags.Func("hostname", "the host `NAME` inside", text(&s.Hostname))
	flags.Func("workdir", "the working `DIR` inside (default / with --root, else yours)", text(&s.Workdir))
	flags.StringArrayVar(&s.Env, "env", nil, "add `NAME=VALUE` to the environment (repeatable)")
	flags.Func("time-offset", "set clocks of the time namespace off, `[CLOCK=]OFFSET` (repeatable): seconds or a duration as in -36h, "+
		"for monotonic, boottime or, without CLOCK, both", f.timeOffset)

	flags.Func("name", "what nsview calls this container: `NAME` is a TARGET then", text(&s.Name))
	flags.BoolVar(&s.Init, "init", false, "run an init as PID 1 that reaps processes and forwards signals")
	flags.BoolVar(&s.Detach, "detach", false, "print COMMAND's PID and return; its input and output are files or /dev/null")
	flags.Func("pin", "keep the new namespaces as files in `DIR`, and print the commands that undo it", text(&s.Pin))
	flags.BoolVar(&f.dryRun, "dry-run", false, "print what would be done, step by step, and do nothing")
	flags.BoolVar(&s.Report, "report", false, "print on stderr, once COMMAND runs, PIDs, namespaces, ids and owners of binds from both sides")
}

// title is a type of namespace in a sentence.
func title(n runner.Namespace) string {
	switch n {
	case runner.User, runner.Cgroup, runner.Time:
		return string(n)
	case runner.Mount:
		return "mount"
	case runner.Net:
		return "network"
	}
	return strings.ToUpper(string(n))
}

// text is a flag whose value cannot be empty: who writes --root "$DIR" must not get the host's root when DIR is not set.
func text(value *string) func(string) error {
	return func(v string) error {
		if v == "" {
			return errors.New("empty")
		}
		*value = v
		return nil
	}
}

func extents(list *[]idmap.Extent) func(string) error {
	return func(v string) error {
		e, err := idmap.ParseExtent(v)
		if err == nil && !(e.Inside.Mapped() && e.Outside.Mapped()) {
			err = errors.New("4294967295 is not an id")
		}
		*list = append(*list, e)
		return err
	}
}

func (f *runFlags) timeOffset(v string) error {
	offsets, err := runner.ParseTimeOffset(v)
	f.spec.TimeOffsets = append(f.spec.TimeOffsets, offsets...)
	return err
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
