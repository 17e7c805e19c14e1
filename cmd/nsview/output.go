package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
)

// outputTemplate is the output format that --format stands for.
const outputTemplate = "template"

// formatsAnnotation is where a command keeps the output formats that it has.
const formatsAnnotation = "formats"

// setFormats gives a command the output formats that it has, the first being the default. What has JSON among others has
// YAML too.
func setFormats(cmd *cobra.Command, formats ...string) {
	if i := slices.Index(formats, "json"); i >= 0 && len(formats) > 1 {
		formats = slices.Insert(formats, i+1, "yaml")
	}
	cmd.Annotations = map[string]string{formatsAnnotation: strings.Join(formats, ",")}
}

// outputFormats are the formats that a command was given.
func outputFormats(cmd *cobra.Command) []string {
	return strings.Split(cmd.Annotations[formatsAnnotation], ",")
}

// outputFlags gives a command output formats, as setFormats does, and the flags that belong to them: what has JSON has
// --format. columns are what -O may choose from, nil for a command without it.
func (a *app) outputFlags(cmd *cobra.Command, columns func() []string, formats ...string) {
	setFormats(cmd, formats...)
	flags := cmd.Flags()
	if slices.Contains(formats, "json") {
		flags.StringVar(&a.template, "format", "", "print a Go `TEMPLATE` over the keys of the JSON, for each item of a list")
		_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"table {{.", "{{json ."}, cobra.ShellCompDirectiveNoSpace|cobra.ShellCompDirectiveNoFileComp))
	}
	if columns != nil {
		flags.StringVarP(&a.columns, "columns", "O", "", "show these `COLUMNS` of the wide table; help lists them")
		_ = cmd.RegisterFlagCompletionFunc("columns", completeList(columns))
		judge := cmd.Args
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if a.columns == columnsHelp || judge == nil {
				return nil // whatever the table would be of
			}
			return judge(cmd, args)
		}
	}
}

// format checks -o, --format and -O against what the command has. --output then names one of its formats, or the template.
func (a *app) format(cmd *cobra.Command) error {
	formats := outputFormats(cmd)
	if cmd.Flags().Changed("format") {
		if a.output != "" {
			return usageError("", "--format is an output format itself: leave -o %s out", a.output)
		}
		if a.template == "" {
			return usageError("", "--format is empty")
		}
		a.output = a.template // as docker and podman have it: --format json
		if !slices.Contains(formats, a.template) {
			return a.parseTemplate()
		}
	}
	if a.output == "" {
		a.output = formats[0]
	}
	if !slices.Contains(formats, a.output) {
		return usageError("", "%s has no output format \"%s\", only %s", cmd.Name(), a.output, strings.Join(formats, ", "))
	}
	if a.columns != "" && a.output != "table" && a.output != "wide" {
		return usageError("", "-O chooses columns of a table, and -o %s is none", a.output)
	}
	return nil
}

func (a *app) parseTemplate() error {
	a.output = outputTemplate
	if !strings.Contains(a.template, "{{") {
		return usageError(`--format '{{.KEY}}', with the keys that -o json prints`, "\"%s\" is neither an output format nor a template", a.template)
	}
	var err error
	if a.tmpl, err = render.ParseTemplate(a.template); err != nil {
		return usageError("", "--format: %w", err)
	}
	return nil
}

// structured reports whether the output is for a program: JSON in any form, YAML or a template.
func (a *app) structured() bool {
	switch a.output {
	case "json", "jsonl", "yaml", outputTemplate:
		return true
	}
	return false
}

// printData prints an answer for a program. items is the answer's list, of which JSON lines and templates print each, or
// nil where the answer is one thing.
func (a *app) printData(w io.Writer, answer, items any) error {
	switch a.output {
	case "json":
		return render.JSON(w, answer)
	case "yaml":
		return render.YAML(w, answer)
	case "jsonl":
		return render.JSONLines(w, items)
	}
	if items == nil {
		items = answer
	}
	err := a.tmpl.Execute(w, items, a.tableOptions())
	if noKey := new(render.ErrNoKey); errors.As(err, &noKey) {
		return usageError("the keys are "+strings.Join(noKey.Keys, ", "), "--format: %w", err)
	}
	if err != nil && !errors.Is(err, unix.EPIPE) {
		return usageError("", "--format: %w", err)
	}
	return err
}

// printTable prints a table with the columns that -O chose.
func (a *app) printTable(w io.Writer, t *render.Table) error {
	if a.columns != "" {
		if err := t.Pick(splitList(a.columns)); err != nil {
			return err
		}
	}
	return t.Render(w, a.tableOptions())
}

// wide reports whether a table is to have every column: those that -O may choose from.
func (a *app) wide() bool { return a.output == "wide" || a.columns != "" }

// columnsHelp is what -O lists the columns for.
const columnsHelp = "help"

// checkColumns refuses, before anything is read, columns that a table does not have. For -O help it lists those it has and
// ends the command.
func (a *app) checkColumns(columns []string) error {
	if a.columns == "" {
		return nil
	}
	if a.columns == columnsHelp {
		if _, err := fmt.Fprintln(a.out, strings.Join(columns, "\n")); err != nil {
			return err
		}
		return &statusError{code: exitOK}
	}
	for _, name := range splitList(a.columns) {
		if !slices.Contains(columns, strings.ToLower(name)) {
			return usageError("the columns are "+strings.Join(columns, ", "), "no column \"%s\"", name)
		}
	}
	return nil
}

// splitList splits what stands between commas.
func splitList(list string) []string {
	parts := strings.Split(list, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// tableOptions is how tables and trees are printed to stdout.
func (a *app) tableOptions() render.TableOptions {
	return render.TableOptions{NoHeaders: a.noHeaders, Width: a.width(), ASCII: !utf8Locale(), Color: a.colored()}
}

// columnsOf are the places of the columns of those names, for render.Table.
func columnsOf(header []string, names ...string) []int {
	columns := make([]int, len(names))
	for i, name := range names {
		columns[i] = slices.Index(header, name)
	}
	return columns
}

// width is where lines are cut: the columns of the terminal, 0 (nowhere) on anything else and with --no-trunc.
func (a *app) width() int {
	if a.noTrunc || !a.terminal() {
		return 0
	}
	if f, ok := a.out.(descriptor); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	// A serial line does not know its size; ps asks COLUMNS, and takes 80.
	if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
		return w
	}
	return 80
}

// descriptor is what a file has.
type descriptor interface{ Fd() uintptr }

// terminal reports whether stdout is a terminal.
func (a *app) terminal() bool {
	f, ok := a.out.(descriptor)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colored says whether to use colours, by --color, NO_COLOR (no-color.org) and TERM.
func (a *app) colored() bool {
	switch a.color {
	case "always":
		return true
	case "never":
		return false
	}
	return a.terminal() && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// utf8Locale reports whether the locale's characters are UTF-8, by the variables that setlocale(3) reads, in its order.
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return false
}
