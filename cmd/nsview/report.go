package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/cmd/nsview/internal/render/html"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/doctor"
)

func (a *app) reportCommand() *cobra.Command {
	var budget time.Duration
	cmd := &cobra.Command{
		Use:   "report [TARGET...]",
		Short: "everything on one page of HTML: pictures, processes, findings",
		Long: `report writes a page of HTML to stdout, about all containers or those that are TARGETs: what doctor finds, with
evidence and fixes; which namespaces hang together; the id maps as ribbons between the ids inside and outside; which path is
mounted where; and the processes with both sides' PIDs and users.

The page is one file and asks nothing of any network, so it can be sent to somebody or kept with a ticket. It can be
searched and filtered, with the keyboard too. Command lines are left out, they may hold secrets.

The files of a volume are counted for at most --budget, as doctor does.`,
		Example: `  nsview report > host.html
  nsview report web db > web-and-db.html
  nsview snapshot --volumes > host.json; nsview report --from host.json > host.html`,
		ValidArgsFunction: a.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.format(cmd); err != nil {
				return err
			}
			if a.terminal() {
				return usageError("nsview report > host.html", "report writes a page of HTML, which a terminal does not show")
			}
			if budget <= 0 {
				return usageError("--budget 5s", "--budget is a time above 0, not %v", budget)
			}
			return a.writeReport(cmd.Context(), args, budget)
		},
	}
	cmd.Flags().DurationVar(&budget, "budget", countBudget, "how long the files of one volume are counted, a `TIME` such as 5s")
	a.outputFlags(cmd, nil, "html")
	return cmd
}

// writeReport reads everything and writes the page.
func (a *app) writeReport(ctx context.Context, args []string, budget time.Duration) error {
	s, err := a.snapshot(ctx, ownerFacts)
	if err != nil {
		return err
	}
	p := a.patients(s, args)
	if p.none() {
		return &statusError{code: exitFailure}
	}
	list := s.ContainerList(p.targets, true)
	dropOwnMounts(list)
	a.volumeOwners(ctx, s, list)
	findings := a.diagnose(ctx, s, p.containers, p.host, budget)
	if findings.Partial && len(findings.Containers) == 0 {
		return ctx.Err()
	}
	wipe := a.progress("drawing the page")
	gaps := append(list.Gaps, findings.Gaps...)
	page := a.reportPage(s, p.targets, list, findings)
	page.Gaps = reportGaps(gaps)
	wipe()
	out := bufio.NewWriter(a.out)
	if err := page.Write(out); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	a.gaps(gaps)
	if findings.Partial {
		return a.interrupted(ctx)
	}
	if p.failed {
		return &statusError{code: exitFailure}
	}
	return nil
}

// How much is drawn: a picture of more than that is no longer one that tells at a glance.
const (
	maxDrawnNamespaces = 600
	maxDrawnMaps       = 80
	maxDrawnVolumes    = 300
)

func (a *app) reportPage(s *nsinspect.Snapshot, targets []nsinspect.Target, list *nsinspect.ContainerList, findings *doctor.FindingList) *html.Page {
	p := &html.Page{Title: "Containers from both sides", Version: buildVersion(), Facts: a.reportFacts(s, list, findings.Partial)}
	for _, severity := range doctor.Severities() { // the worst first, whosever it is
		for i := range findings.Findings {
			if f := &findings.Findings[i]; f.Severity == severity {
				p.Findings = append(p.Findings, reportFinding(f))
			}
		}
	}
	p.Pictures = reportPictures(s, targets, list, findings)
	p.Tables = []html.Table{reportContainers(list.Containers)}
	reportProcesses(p, s.ProcessList(nsinspect.ProcessQuery{Targets: targets, All: targets == nil}).Processes)
	return p
}

func (a *app) reportFacts(s *nsinspect.Snapshot, list *nsinspect.ContainerList, partial bool) [][2]string {
	facts := [][2]string{
		{"kernel", s.Observer.Kernel},
		{"seen by", "uid " + list.Observer.UID.String() + " in user namespace " + list.Observer.UserNS.String()},
		{"containers", strconv.Itoa(len(list.Containers))},
	}
	if partial {
		facts = append(facts, [2]string{"partial", "it was interrupted: this is what was found until then"})
	}
	if a.from != "" {
		return append(facts, [2]string{"from", "a stored snapshot"})
	}
	return append(facts, [2]string{"made", time.Now().Format(time.RFC3339)})
}

func reportFinding(f *doctor.Finding) html.Finding {
	out := html.Finding{ID: string(f.ID), Severity: string(f.Severity), Target: f.Target, Path: f.Path, Evidence: f.Evidence, Meaning: f.Meaning}
	for i := range f.Fixes {
		fix := html.Fix{Title: f.Fixes[i].Title, Notes: fixNotes(&f.Fixes[i]), Commands: f.Fixes[i].Commands, How: f.Fixes[i].How}
		out.Fixes = append(out.Fixes, fix)
	}
	return out
}

func reportPictures(s *nsinspect.Snapshot, targets []nsinspect.Target, list *nsinspect.ContainerList, findings *doctor.FindingList) []html.Picture {
	query := nsinspect.NamespaceQuery{Targets: targets}
	about := "Each box is a user or PID namespace, or what a container has of the other types; an arrow leads from a user namespace to what it owns."
	namespaces := s.NamespaceList(query).Namespaces
	if len(namespaces) > maxDrawnNamespaces {
		query.Types = []nsinspect.Type{nsinspect.User}
		about = fmt.Sprintf("There are %d namespaces: only user namespaces are drawn. nsview graph TARGET draws those of one container.", len(namespaces))
		namespaces = s.NamespaceList(query).Namespaces
	}
	if len(namespaces) > maxDrawnNamespaces {
		namespaces, about = nil, fmt.Sprintf("There are %d user namespaces, too many to draw. nsview graph TARGET draws those of one container.", len(namespaces))
		query.Types = []nsinspect.Type{}
	}
	var drawn []nsinspect.Namespace
	if namespaces != nil {
		drawn = s.Subset(query)
	}
	pictures := []html.Picture{{ID: "namespaces", Title: "Namespaces", About: about, Draw: namespacePicture(namespaces, drawn).SVG}}

	rows := list.Containers
	about = "Ids inside on the left, on this host on the right; neither line is to scale, and a dashed part is nobody's. ⚠ marks ids that two maps share, and the owner of a volume that a container which mounts it has no id for."
	rows, about = someOf(rows, findings.Findings, maxDrawnMaps, about)
	pictures = append(pictures,
		html.Picture{ID: "uids", Title: "User ids", About: about, Draw: idPicture(rows, false, volumeMarks(rows, false)).SVG},
		html.Picture{ID: "gids", Title: "Group ids", About: about, Draw: idPicture(rows, true, volumeMarks(rows, true)).SVG})

	rows = list.Containers
	about = "A path of the host, where it is mounted, in which container; with the owner as each side sees it. ⚠ is what doctor found an error (red) or a warning (amber) about."
	rows, about = someOf(rows, findings.Findings, maxDrawnVolumes, about)
	return append(pictures, html.Picture{ID: "volumes", Title: "Volumes", About: about, Draw: volumePicture(rows, findings.Findings).SVG})
}

// someOf are the containers of which there is most to tell where all are too many for a picture: those with the worst
// findings, then those that an engine started. About says so.
func someOf(rows []nsinspect.ContainerRow, findings []doctor.Finding, most int, about string) ([]nsinspect.ContainerRow, string) {
	if len(rows) <= most {
		return rows, about
	}
	severities := doctor.Severities()
	worst := make(map[string]int) // of a container: 3 for an error, 2 for a warning, 1 for an info
	for i := range findings {
		f := &findings[i]
		grade := len(severities) - slices.Index(severities, f.Severity)
		worst[f.Target] = max(worst[f.Target], grade)
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b nsinspect.ContainerRow) int {
		return cmp.Or(cmp.Compare(worst[b.Viewer], worst[a.Viewer]), cmp.Compare(min(len(b.Engine), 1), min(len(a.Engine), 1)))
	})
	return rows[:most], about + fmt.Sprintf(" %d of %d containers are drawn, those with the worst findings first.", most, len(rows))
}

func reportContainers(rows []nsinspect.ContainerRow) html.Table {
	t := html.Table{ID: "containers", Title: "Containers", Header: []string{"CONTAINER", "IMAGE", "STATE", "PID", "PROCESSES", "UIDS", "GIDS", "VOLUMES"}}
	for i := range rows {
		r := &rows[i]
		t.Rows = append(t.Rows, []string{
			r.Viewer, r.Image, r.State, pidText(r.InitPID), strconv.Itoa(r.Processes), rangesText(r.ActualUID), rangesText(r.ActualGID), volumesText(r.Volumes),
		})
	}
	return t
}

func reportProcesses(p *html.Page, rows []nsinspect.ProcessRow) {
	at := make(map[string]int)
	for i := range rows {
		r := &rows[i]
		n, ok := at[r.Viewer]
		if !ok {
			n = len(p.Viewers)
			at[r.Viewer] = n
			p.Viewers = append(p.Viewers, r.Viewer)
		}
		p.Processes = append(p.Processes, html.Process{
			PID: r.PID, CPID: innermost(r), User: nameOr(r.Host.User, r.Host.UID), UID: r.Host.UID.String(),
			CUser: nameOr(r.Inside.User, r.Inside.UID), CUID: r.Inside.UID.String(),
			GID: r.Host.GID.String(), CGID: r.Inside.GID.String(), Viewer: n, Comm: r.Comm,
		})
	}
}

// reportGaps are the gaps, each once.
func reportGaps(gaps []nsinspect.Gap) []html.Gap {
	var out []html.Gap
	seen := make(map[html.Gap]bool)
	for i := range gaps {
		g := html.Gap{Subject: gaps[i].Subject, Fact: gaps[i].Fact, Error: gaps[i].Error, Hint: gaps[i].Hint}
		if !seen[g] {
			seen[g] = true
			out = append(out, g)
		}
	}
	return out
}
