package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// completeTargets offers the containers of this host to the shell.
func (a *app) completeTargets(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	s, err := a.snapshot(cmd.Context(), 0)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return append(s.Viewers(), "host"), cobra.ShellCompDirectiveNoFileComp
}

// complete offers values for a flag of cmd.
func complete(cmd *cobra.Command, flag string, values []string) {
	// It fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// formatsAnnotation is where a command says which output formats it has.
const formatsAnnotation = "formats"

func completeFormats(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return strings.Split(cmd.Annotations[formatsAnnotation], ","), cobra.ShellCompDirectiveNoFileComp
}

// completeList offers names for a flag that takes several with commas between them, those that are not named yet.
func completeList(names func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		done := word[:strings.LastIndexByte(word, ',')+1]
		taken := strings.Split(done, ",")
		var offered []cobra.Completion
		for _, name := range names() {
			if !slices.Contains(taken, name) {
				offered = append(offered, done+name)
			}
		}
		return offered, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// exactly wants n operands.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError("nsview "+cmd.Use, "%s, not %d", what, len(args))
		}
		return nil
	}
}
