package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

// mapFlags are what map is asked for.
type mapFlags struct {
	from     []string // a snapshot; with to, the last one is a TARGET
	to       string
	uid, gid []string // proposed extents
}

func (a *app) mapCommand() *cobra.Command {
	var f mapFlags
	cmd := &cobra.Command{
		Use:   "map TARGET [ID...]",
		Short: "id maps, ids translated through them, and proposed maps judged",
		Long: `map shows the uid_map and gid_map of the user namespace that TARGET is in, as the kernel lists them: COUNT ids from
INSIDE on are the ids from OUTSIDE on. Outside ids are those of your own side; where TARGET is in your own user namespace
they are its parent's, as in /proc/self/uid_map. "unmapped" are ids that exist inside and have no number on your side.

With IDs it translates each number, both ways: as an id inside (what it is outside, as a uid and as a gid) and as an id
outside (what it is inside).

--from A --to B goes from the ids inside one TARGET to the ids inside another, by way of your side: the same files seen
by both. A may also be written as the first operand, "map A --to B".

--check judges a map before anything is written: the lines INSIDE:OUTSIDE:COUNT of a uid_map (--check-gid: of a gid_map)
of a new user namespace that you make, or of TARGET's. Outside ids are those of the namespace's parent. It goes by what
the kernel accepts from you and, through newuidmap and newgidmap, by what /etc/subuid and /etc/subgid grant you.

Exit status: 0 done, 1 a checked map would be refused, 2 usage or failure, 3 the maps could not be read.`,
		Example: `  nsview map web                          the maps of container web
  nsview map web 0 1000                   who root and 1000 inside are outside, and the other way round
  nsview map --from web --to db 1000      what db calls web's uid 1000
  nsview map --check 0:100000:65536       may I write this map?
  nsview map --check 0:1000:1 --check 1:100000:65536`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeFirst(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.format(cmd); err != nil {
				return err
			}
			return a.idMap(cmd.Context(), &f, args)
		},
	}
	flags := cmd.Flags()
	// It takes the place of the common --from, which it also is.
	flags.StringArrayVar(&f.from, "from", nil, "answer from the snapshot in `FILE`; with --to: the TARGET whose ids are translated (a --from before it is the snapshot)")
	flags.StringVar(&f.to, "to", "", "the `TARGET` to whose inside ids they are translated")
	flags.StringSliceVar(&f.uid, "check", nil, "judge this line of a uid_map, `INSIDE:OUTSIDE:COUNT`; repeatable")
	flags.StringSliceVar(&f.gid, "check-gid", nil, "judge this line of a gid_map, `INSIDE:OUTSIDE:COUNT`; repeatable")
	_ = cmd.RegisterFlagCompletionFunc("to", a.completeTarget)
	_ = cmd.RegisterFlagCompletionFunc("from", func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		targets, _ := a.completeTarget(cmd, args, word)
		return targets, cobra.ShellCompDirectiveDefault // or a file
	})
	a.outputFlags(cmd, func() []string { return append(translationTable(&nsinspect.MapReport{}).Columns(), mapColumns()...) }, "table", "wide", "json")
	return cmd
}

// mapQuestion is what the operands and flags of map ask.
type mapQuestion struct {
	target   string // "" without one
	to       string
	ids      []uint32
	uid, gid idmap.Map
	checked  bool
}

// question makes sense of map's operands. It sets a.from.
func (f *mapFlags) question(a *app, args []string) (*mapQuestion, error) {
	q := &mapQuestion{to: f.to, checked: len(f.uid) > 0 || len(f.gid) > 0}
	var err error
	if q.uid, err = checkedMap("--check", f.uid); err != nil {
		return nil, err
	}
	if q.gid, err = checkedMap("--check-gid", f.gid); err != nil {
		return nil, err
	}
	snapshots := f.from
	if f.to != "" && len(snapshots) > 0 {
		last := len(snapshots) - 1
		q.target, snapshots = snapshots[last], snapshots[:last]
	}
	switch {
	case len(snapshots) > 1:
		return nil, usageError("with --to the last --from is a TARGET, and one before it a snapshot", "--from is given too often")
	case len(snapshots) == 1:
		a.from = snapshots[0]
	}
	if q.target == "" && len(args) > 0 {
		q.target, args = args[0], args[1:]
	}
	switch {
	case q.target == "" && f.to == "" && len(f.from) > 0 && len(args) == 0 && !q.checked:
		return nil, usageError("nsview map --from A --to B, or nsview map TARGET --from SNAPSHOT", "map wants a TARGET, or --to after --from")
	case q.target == "" && !q.checked:
		return nil, usageError("nsview map TARGET [ID...]", "map wants a TARGET")
	case q.checked && f.to != "":
		return nil, usageError("", "--check judges one map, --to compares two")
	case q.checked && len(args) == 0 && a.columns != "":
		return nil, usageError("", "-O chooses columns of a table, and --check prints none")
	case q.checked && a.from != "":
		return nil, usageError("", "--check asks this host, not a stored snapshot")
	}
	for _, arg := range args {
		id, err := strconv.ParseUint(arg, 10, 32)
		if err != nil || !idmap.Inside(id).Mapped() {
			return nil, usageError("ids are numbers from 0 to 4294967294", "\"%s\" is not an id", arg)
		}
		q.ids = append(q.ids, uint32(id))
	}
	return q, nil
}

// columns are those of the table that answers.
func (q *mapQuestion) columns() []string {
	switch {
	case len(q.ids) > 0:
		return translationTable(&nsinspect.MapReport{}).Columns()
	case q.checked:
		return nil
	}
	return mapColumns()
}

func mapColumns() []string {
	return mapTable(&nsinspect.MapReport{UIDMap: &idmap.Map{}, GIDMap: &idmap.Map{}}, true).Columns()
}

func checkedMap(flag string, words []string) (idmap.Map, error) {
	var m idmap.Map
	for _, word := range words {
		e, err := idmap.ParseExtent(word)
		if err != nil {
			return nil, usageError(flag+" INSIDE:OUTSIDE:COUNT, as 0:100000:65536", "%s: %w", flag, err)
		}
		m = append(m, e)
	}
	return m, nil
}

func (a *app) idMap(ctx context.Context, f *mapFlags, args []string) error {
	q, err := f.question(a, args)
	if err != nil && a.columns == columnsHelp {
		return a.checkColumns(mapColumns())
	}
	if err != nil {
		return err
	}
	if err := a.checkColumns(q.columns()); err != nil {
		return err
	}
	facts := procscan.Fact(0)
	if q.target != "" {
		facts = procscan.Graph // a namespace may have no process, and a check asks for its owner and parent
	}
	s, err := a.snapshot(ctx, facts)
	if err != nil {
		return err
	}
	r, err := a.mapReport(s, q)
	if err != nil {
		return err
	}
	if a.structured() {
		err = a.printData(a.out, r, nil)
	} else {
		err = a.printMap(r)
	}
	if err != nil {
		return err
	}
	a.gaps(r.Gaps)
	switch {
	case r.Refused():
		return &statusError{code: exitNegative}
	case r.Unknown():
		return &statusError{code: exitUnknown}
	}
	return nil
}

// mapReport answers q.
func (a *app) mapReport(s *nsinspect.Snapshot, q *mapQuestion) (*nsinspect.MapReport, error) {
	if q.target == "" {
		r := s.MapCheckReport()
		return r, a.checkMaps(s, nil, q, r)
	}
	target, err := a.target(s, q.target)
	if err != nil {
		return nil, err
	}
	if q.to != "" {
		to, err := a.target(s, q.to)
		if err != nil {
			return nil, err
		}
		r := s.MapReportBetween(target, to, q.target, q.to)
		r.Translate(q.ids)
		return r, nil
	}
	r := s.MapReport(target, q.target)
	r.Translate(q.ids)
	if q.checked {
		err = a.checkMaps(s, &target, q, r)
	}
	return r, err
}

// printMap prints what was asked for: verdicts, else translations, else the maps.
func (a *app) printMap(r *nsinspect.MapReport) error {
	if r.OutsideOf == nsinspect.OutsideParent {
		a.warn("%s is in your own user namespace: outside ids are those of its parent", r.Target)
	}
	for _, text := range r.Assumptions {
		a.warn("%s: these are the maps that it is configured with", text)
	}
	switch {
	case len(r.Translations) > 0:
		if err := a.printTable(a.out, translationTable(r)); err != nil {
			return err
		}
		return printChecks(a.out, r)
	case len(r.Checks) > 0:
		return printChecks(a.out, r)
	case r.Unknown():
		return nil
	}
	for _, half := range []struct {
		file string
		m    *idmap.Map
	}{{"uid_map", r.UIDMap}, {"gid_map", r.GIDMap}} {
		if len(*half.m) == 0 {
			a.warn("%s of %s was never written: every id inside is unmapped", half.file, r.Target)
		}
	}
	return a.printTable(a.out, mapTable(r, a.wide()))
}

// mapTable has an extent of each map in a row.
func mapTable(r *nsinspect.MapReport, wide bool) *render.Table {
	t := &render.Table{Header: []string{"UID-INSIDE", "UID-OUTSIDE", "UID-COUNT", "GID-INSIDE", "GID-OUTSIDE", "GID-COUNT"}}
	if r.To != "" {
		t.Titles = map[string]string{"UID-OUTSIDE": "UID-IN-" + r.To, "GID-OUTSIDE": "GID-IN-" + r.To}
	}
	if wide {
		t.Header = append(t.Header, "SETGROUPS", "USERNS")
	}
	for i := range max(len(*r.UIDMap), len(*r.GIDMap)) {
		row := append(extentCells(*r.UIDMap, i), extentCells(*r.GIDMap, i)...)
		if wide {
			row = append(row, r.Setgroups, r.UserNS.String())
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func extentCells(m idmap.Map, i int) []string {
	if i >= len(m) {
		return []string{"", "", ""}
	}
	return []string{m[i].Inside.String(), m[i].Outside.String(), fmt.Sprint(m[i].Count)}
}

// translationTable has a number in a row: on the left it is an id inside, on the right one outside.
func translationTable(r *nsinspect.MapReport) *render.Table {
	t := &render.Table{Header: []string{"ID", "UID-OUTSIDE", "GID-OUTSIDE", "UID-INSIDE", "GID-INSIDE"}}
	if r.To != "" {
		t.Titles = map[string]string{
			"UID-OUTSIDE": "UID-IN-" + r.To, "GID-OUTSIDE": "GID-IN-" + r.To, "UID-INSIDE": "UID-IN-" + r.Target, "GID-INSIDE": "GID-IN-" + r.Target,
		}
	}
	for _, x := range r.Translations {
		t.Rows = append(t.Rows, []string{
			x.Inside.String(), x.Outside.String(), x.OutsideGID.String(), x.Reverse.Inside.String(), x.Reverse.InsideGID.String(),
		})
	}
	return t
}
