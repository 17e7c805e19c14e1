package main

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/nsview/nsview/cmd/nsview/internal/manual"
)

//go:embed topics/*.md
var topicFiles embed.FS

// topics are what nsview help explains besides commands, in the order to read them.
func topics() []string {
	return []string{"id-maps", "idmapped-mounts", "capabilities-and-user-namespaces", "reading-a-verdict"}
}

// topicText is the text about a topic: a title "# NAME: WHAT", and what there is to say.
func topicText(name string) (title, text string) {
	b, err := topicFiles.ReadFile("topics/" + name + ".md")
	if err != nil {
		return "", ""
	}
	title, text, _ = strings.Cut(strings.TrimPrefix(string(b), "# "), "\n")
	return title, strings.TrimLeft(text, "\n")
}

// helpFlags are the flags of nsview help.
type helpFlags struct{ man, markdown, list bool }

// helpCommand is nsview help, which says so when there is nothing to explain.
func helpCommand() *cobra.Command {
	var f helpFlags
	cmd := &cobra.Command{
		Use:   "help [COMMAND|TOPIC]",
		Short: "explain a command or a topic",
		Long: `help explains a command, or a topic: "nsview help topics" lists those. --man prints the page for man(1), of nsview
itself without an operand, --markdown the same in Markdown, --list the names of all pages.`,
		Example: `  nsview help owner
  nsview help id-maps
  nsview help --man owner | man -l -`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []cobra.Completion
			for _, c := range cmd.Root().Commands() {
				if c.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			for _, name := range topics() {
				title, _ := topicText(name)
				names = append(names, cobra.CompletionWithDesc(name, strings.TrimPrefix(title, name+": ")))
			}
			return append(names, cobra.CompletionWithDesc("topics", "lists the topics")), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	cmd.Flags().BoolVar(&f.man, "man", false, "print the page for man(1)")
	cmd.Flags().BoolVar(&f.markdown, "markdown", false, "print the page in Markdown")
	cmd.Flags().BoolVar(&f.list, "list", false, "list what there are pages of")
	cmd.MarkFlagsMutuallyExclusive("man", "markdown", "list")
	return cmd
}

func (f *helpFlags) run(cmd *cobra.Command, args []string) error {
	out := cmd.OutOrStdout()
	root := cmd.Root()
	if f.list {
		for _, l := range pageList(root) {
			fmt.Fprintln(out, l.File())
		}
		return nil
	}
	if len(args) == 1 && args[0] == "topics" {
		for _, name := range topics() {
			title, _ := topicText(name)
			fmt.Fprintln(out, title)
		}
		return nil
	}
	var page *manual.Page
	if len(args) == 1 && slices.Contains(topics(), args[0]) {
		title, text := topicText(args[0])
		if !f.man && !f.markdown {
			_, err := fmt.Fprintf(out, "%s\n\n%s", title, text)
			return err
		}
		page = topicPage(args[0])
	} else {
		about, rest, err := root.Find(args)
		if err != nil {
			return err
		}
		if err := unknownCommand(about, rest); err != nil {
			return err
		}
		if !f.man && !f.markdown {
			return about.Help()
		}
		page = commandPage(about)
	}
	if f.man {
		return page.Roff(out, buildVersion())
	}
	return page.Markdown(out)
}

// pageList is every page of the manual: nsview, its commands, the topics.
func pageList(root *cobra.Command) []manual.Link {
	list := []manual.Link{{Name: "nsview", Section: 1}}
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			list = append(list, manual.Link{Name: c.CommandPath(), Section: 1})
		}
	}
	for _, name := range topics() {
		list = append(list, manual.Link{Name: name, Section: 7})
	}
	return list
}

func topicPage(name string) *manual.Page {
	title, text := topicText(name)
	page := &manual.Page{Name: name, Section: 7, Short: strings.TrimPrefix(title, name+": "), Long: text, SeeAlso: []manual.Link{{Name: "nsview", Section: 1}}}
	for _, other := range topics() {
		if other != name {
			page.SeeAlso = append(page.SeeAlso, manual.Link{Name: other, Section: 7})
		}
	}
	return page
}

// commandPage is what help says about a command, taken apart.
func commandPage(cmd *cobra.Command) *manual.Page {
	page := &manual.Page{
		Name: cmd.CommandPath(), Section: 1, Short: cmd.Short, Long: cmd.Long,
		Synopsis: []string{cmd.UseLine()}, Examples: cmd.Example,
	}
	if page.Long == "" {
		page.Long = cmd.Short + "."
	}
	cmd.InitDefaultHelpFlag()
	page.Flags = manualFlags(cmd.LocalFlags())
	if cmd.HasParent() {
		page.Flags = manualFlags(cmd.LocalNonPersistentFlags())
		page.Common = manualFlags(cmd.InheritedFlags())
		page.SeeAlso = []manual.Link{{Name: "nsview", Section: 1}}
		return page
	}
	page.Synopsis = []string{"nsview COMMAND [flags]"}
	var list strings.Builder
	list.WriteString("\n\nThe commands are:\n\n")
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			fmt.Fprintf(&list, "  %-12s %s\n", c.Name(), c.Short)
		}
	}
	page.Long += list.String()
	page.SeeAlso = pageList(cmd)[1:]
	return page
}

func manualFlags(set *pflag.FlagSet) []manual.Flag {
	var flags []manual.Flag
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		spelling := "--" + f.Name
		if f.Shorthand != "" {
			spelling = "-" + f.Shorthand + ", " + spelling
		}
		switch {
		case value != "" && f.NoOptDefVal != "" && f.Value.Type() != "bool":
			spelling += "[=" + value + "]"
		case value != "":
			spelling += " " + value
		}
		flags = append(flags, manual.Flag{Spelling: spelling, Meaning: usage})
	})
	return flags
}
