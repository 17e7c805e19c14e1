package events

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/shell"
)

// Text is the event as a line of a timeline says it: the call as strace(1) writes one, its result, and what changed. It is
// safe on a terminal: the strings that a container chose are quoted as Go quotes them.
func (e *Event) Text() string {
	if e.Denial != nil {
		return e.deniedText()
	}
	var b strings.Builder
	b.WriteString(e.call())
	switch {
	case e.Failed():
		fmt.Fprintf(&b, " = %s", e.Errno)
	case e.Type == Clone:
		fmt.Fprintf(&b, " = %d", e.Args.Child)
	}
	if changes := e.changes(); changes != "" {
		b.WriteString("  " + changes)
	}
	if e.Args.Reason != "" {
		b.WriteString("  (" + safe(e.Args.Reason) + ")")
	}
	if e.Args.Late {
		b.WriteString("  (read when it returned)")
	}
	return b.String()
}

func (e *Event) call() string {
	a := &e.Args
	flags, unread := strings.Join(e.Flags, "|"), ""
	if a.Unread {
		unread = "..."
	}
	list := func(parts ...string) string {
		var kept []string
		for _, p := range append([]string{unread}, parts...) {
			if p != "" {
				kept = append(kept, p)
			}
		}
		return e.Name + "(" + strings.Join(kept, ", ") + ")"
	}
	switch e.Type {
	case Exec:
		if a.Unread && a.Path != "" {
			return e.Name + " " + quoteAny(a.Path) + " [...]"
		}
		if a.Unread {
			return list()
		}
		if len(a.Argv) == 0 {
			return list(quoteAny(a.Path))
		}
		return "exec " + quoteAny(a.Path) + " " + quoteList(a.Argv) + cutMark(a)
	case Name:
		name := quoteAny(a.Name)
		if a.Unread {
			name = ""
		}
		return list("PR_SET_NAME", name)
	case Map:
		if e.Name == "map" {
			return fmt.Sprintf("/proc/%d/%s is %s", a.Target, a.File, quoteAny(a.Content))
		}
		return fmt.Sprintf("write /proc/%d/%s %s%s", a.Target, a.File, quoteAny(a.Content), cutMark(a))
	case Setns:
		what := ""
		if a.NS != 0 {
			what = a.NS.String()
		} else if a.FD != nil {
			what = "fd " + strconv.Itoa(*a.FD)
		}
		if a.Whose != "" {
			what += " of " + shell.Arguments(a.Whose)
		}
		return list(what, flags)
	case Cred:
		ids := make([]string, len(a.IDs))
		for i, id := range a.IDs {
			ids[i] = strconv.FormatInt(id, 10)
		}
		return list(strings.Join(ids, ", "))
	case Mount:
		idmapped := ""
		if a.NS != 0 {
			idmapped = "ids of user:" + a.NS.String()
		}
		point := quoteSome(a.Point)
		if a.PointPath != "" {
			point += " at " + quoteAny(a.PointPath)
		}
		return list(quoteSome(a.Path), quoteSome(a.Source), point, quoteSome(a.FSType), flags, quoteSome(a.Options), idmapped)
	case Exit:
		if a.Signal != "" {
			return "killed by " + a.Signal
		}
		if a.Status != nil {
			return "exit " + strconv.Itoa(*a.Status)
		}
		return "exit"
	}
	return list(flags)
}

// changes are the namespaces that the event led to, and what it means for who is PID 1.
func (e *Event) changes() string {
	if e.Failed() {
		return ""
	}
	var parts []string
	for _, kind := range e.New() {
		text := string(kind) + ":" + e.after(kind).String()
		if kind == nsinspect.PID && e.Before.PID == e.Namespaces.PID {
			text += " for children"
		}
		parts = append(parts, text)
	}
	if e.First() {
		parts = append(parts, fmt.Sprintf("%d is PID 1 there", e.Args.Child))
	}
	if e.Born() && e.Args.ChildParent != e.PID {
		parts = append(parts, fmt.Sprintf("child of %d", e.Args.ChildParent))
	}
	return strings.Join(parts, " ")
}

func cutMark(a *Args) string {
	if a.Truncated {
		return "..."
	}
	return ""
}

func quoteSome(s string) string {
	if s == "" {
		return ""
	}
	return quoteAny(s)
}

// quoteAny puts a string in quotes. Whatever a terminal might act on is written as an escape.
func quoteAny(s string) string { return strconv.Quote(s) }

// safe is a sentence with names in it that a container chose, without what a terminal might act on.
func safe(s string) string {
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func quoteList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quoteAny(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
