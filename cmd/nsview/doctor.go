package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/cmd/nsview/internal/ci"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/nsinspect/doctor"
	"github.com/nsview/nsview/procscan"
)

// countBudget is how long the files of one volume are counted, unless --budget says otherwise.
const countBudget = 5 * time.Second

func (a *app) doctorCommand() *cobra.Command {
	var budget time.Duration
	cmd := &cobra.Command{
		Use:   "doctor [TARGET...]",
		Short: "what is wrong with the volumes and id maps of containers, and what would change it",
		Long: `doctor looks at whole containers: whether the user they are configured to run as, their first process and their other
processes can reach, read and write their volumes, whose files are nobody's inside, and what else of mounts, ids and groups
is likely to fail. Without TARGET it looks at all containers, also those that are not running, and at the host's own
/etc/subuid, /etc/subgid, newuidmap and newgidmap; the TARGET "host" looks at these alone.

Each finding has an id that stays, a severity, what was seen, what it means, and what would change it; docs/findings.md
explains them all. -o wide and -O have a line for each finding. Nothing is changed: a fix is a command to run, and "proven" where the kernel's check passes after it.

The files of a volume are counted where the container maps ids or its user may be refused, for at most --budget each: what
was counted until then is said to be a part. Of each owner and mode one file is asked about.

Exit status: 0 no finding of severity error, 1 an error was found, 3 none was found and not everything could be told.`,
		Example: `  nsview doctor                  all containers
  nsview doctor web              one of them
  nsview doctor -o sarif > nsview.sarif   for a CI service; -o junit too
  nsview doctor -o json | jq -r '.findings[] | select(.severity=="error") | .target+" "+.path'`,
		ValidArgsFunction: a.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.format(cmd); err != nil {
				return err
			}
			if err := a.checkColumns(doctorColumns()); err != nil {
				return err
			}
			if budget <= 0 {
				return usageError("--budget 5s", "--budget is a time above 0, not %v", budget)
			}
			return a.doctor(cmd.Context(), args, budget)
		},
	}
	cmd.Flags().DurationVar(&budget, "budget", countBudget, "how long the files of one volume are counted, a `TIME` such as 5s")
	a.outputFlags(cmd, doctorColumns, "table", "wide", "json", "jsonl", "sarif", "junit")
	return cmd
}

func (a *app) doctor(ctx context.Context, args []string, budget time.Duration) error {
	s, err := a.snapshot(ctx, procscan.Graph|procscan.Mounts|procscan.Names)
	if err != nil {
		return err
	}
	p := a.patients(s, args)
	if p.none() {
		return &statusError{code: exitFailure}
	}
	list := a.diagnose(ctx, s, p.containers, p.host, budget)
	if list.Partial && len(list.Containers) == 0 {
		return ctx.Err()
	}
	if err := a.printFindings(list); err != nil {
		return err
	}
	if !a.structured() {
		for i := range list.Findings {
			if a.rootHint(&s.Observer, list.Findings[i].Fixes...) {
				break
			}
		}
	}
	a.gaps(list.Gaps)
	switch {
	case list.Partial:
		return a.interrupted(ctx)
	case p.failed:
		return &statusError{code: exitFailure}
	case list.Worst() == doctor.Error:
		return &statusError{code: exitNegative}
	case len(list.Gaps) > 0:
		return &statusError{code: exitUnknown}
	}
	return nil
}

// diagnose is what doctor finds in containers, and in the host itself where that is asked for. Interrupted, it is what was
// found until then, with no containers when nothing was.
func (a *app) diagnose(ctx context.Context, s *nsinspect.Snapshot, containers []int, host bool, budget time.Duration) *doctor.FindingList {
	facts := &doctor.Facts{Snapshot: s, Containers: containers, Host: host, Fix: access.Fixes}
	gaps := a.doctorFacts(ctx, facts, budget)
	list := &doctor.FindingList{Report: s.Report("FindingList"), Containers: []string{}, Host: host}
	list.Gaps = append(gapsOf(s, containers), gaps...)
	if list.Partial = tellsPart(ctx); list.Partial {
		list.Gaps = append(list.Gaps, nsinspect.Gap{Subject: "the containers", Fact: "findings", Error: "interrupted: not everything was looked at"})
		if len(facts.Answers) == 0 {
			return list // of what is judged without them the facts may be missing too
		}
	}
	defer a.progress("judging " + counted(len(containers), "container"))()
	var judged []nsinspect.Gap
	list.Findings, judged = doctor.Judge(facts)
	list.Gaps = append(list.Gaps, judged...)
	viewers := s.Viewers()
	for _, i := range containers {
		list.Containers = append(list.Containers, viewers[i])
	}
	return list
}

// patients are what is looked at: all containers and the host, or what arguments name.
type patients struct {
	targets    []nsinspect.Target // what the arguments stand for, nil without any
	containers []int              // of the snapshot
	host       bool
	failed     bool // an argument is nothing of it, which was said
}

func (a *app) patients(s *nsinspect.Snapshot, args []string) *patients {
	p := &patients{host: len(args) == 0}
	if len(args) == 0 {
		for i := range s.Containers {
			p.containers = append(p.containers, i)
		}
	}
	for _, arg := range args {
		t, err := a.target(s, arg)
		if err != nil {
			a.complain(err)
			p.failed = true
			continue
		}
		p.targets = append(p.targets, t)
		if t.Host {
			p.host = true
			continue
		}
		found := false
		for n := range s.Containers {
			if !s.InContainer(&t, n) {
				continue
			}
			found = true
			if !slices.Contains(p.containers, n) {
				p.containers = append(p.containers, n)
			}
		}
		if !found {
			a.warn("in no container: %s", arg)
			fmt.Fprintln(a.err, "hint: nsview containers lists them")
			p.failed = true
		}
	}
	return p
}

// none reports whether the arguments leave nothing to look at.
func (p *patients) none() bool { return p.failed && len(p.containers) == 0 && !p.host }

// gapsOf are what could not be read of the processes of containers.
func gapsOf(s *nsinspect.Snapshot, containers []int) []nsinspect.Gap {
	gaps := []nsinspect.Gap{}
	for _, g := range s.Gaps {
		if p := s.Process(g.PID); p != nil && p.Container >= 0 && slices.Contains(containers, p.Container) {
			gaps = append(gaps, g)
		}
	}
	return gaps
}

func (a *app) printFindings(list *doctor.FindingList) error {
	switch {
	case a.structured():
		return a.printData(a.out, list, list.Findings)
	case a.output == "sarif":
		return ci.SARIF(a.out, list, buildVersion())
	case a.output == "junit":
		return ci.JUnit(a.out, list)
	}
	if a.wide() {
		return a.printTable(a.out, findingTable(list.Findings))
	}
	return printFindings(a.out, list, a.tableOptions())
}
