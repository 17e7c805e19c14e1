package main

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
)

// format checks -o against what the command has; the first format is the default. --output then names one of them.
func (a *app) format(cmd *cobra.Command, formats ...string) error {
	if a.output == "" {
		a.output = formats[0]
	}
	if slices.Contains(formats, a.output) {
		return nil
	}
	return usageError("", "%s has no output format \"%s\", only %s", cmd.Name(), a.output, strings.Join(formats, ", "))
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
	if f, ok := a.out.(*os.File); ok {
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

// terminal reports whether stdout is a terminal.
func (a *app) terminal() bool {
	f, ok := a.out.(*os.File)
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
