package main

import (
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

// complete offers values for a flag of cmd, also for the common -o.
func complete(cmd *cobra.Command, flag string, values []string) {
	if flag == "output" { // root's: the command only says what it has
		cmd.Annotations = map[string]string{formatsAnnotation: strings.Join(values, ",")}
		return
	}
	// It fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// formatsAnnotation is where a command says which output formats it has.
const formatsAnnotation = "formats"

func completeFormats(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return strings.Split(cmd.Annotations[formatsAnnotation], ","), cobra.ShellCompDirectiveNoFileComp
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
