package main

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

// completeTargets offers the containers of this host, or of the stored one, that are not named yet.
func (a *app) completeTargets(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	all, directive := a.completeTarget(cmd, args, word)
	return slices.DeleteFunc(all, func(c cobra.Completion) bool {
		name, _, _ := strings.Cut(c, "\t")
		return slices.Contains(args, name)
	}), directive
}

// completeTarget offers all of them: a name alone where only one container has it, else ENGINE:NAME, and what no engine
// started only where nothing else fits. What could not be read is not offered, a shell cannot be told.
func (a *app) completeTarget(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	s, err := a.completionSnapshot(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var named, others []cobra.Completion
	for i, viewer := range s.Viewers() {
		c := &s.Containers[i]
		names := []string{c.Name, viewer}
		if t, err := nsinspect.Resolve(s, c.Name); err != nil || t.Container != c {
			names = names[1:]
		}
		at := slices.IndexFunc(names, func(name string) bool { return typable(name) && strings.HasPrefix(name, word) })
		switch {
		case at < 0:
		case c.Engine == "":
			others = append(others, names[at])
		default:
			what := c.Image
			if !c.Running() {
				what = strings.TrimSpace(what + " " + c.State)
			}
			named = append(named, cobra.CompletionWithDesc(names[at], render.Escape(what)))
		}
	}
	if len(named) == 0 {
		named = others
	}
	return append(named, cobra.CompletionWithDesc(hostTarget, "this host")), cobra.ShellCompDirectiveNoFileComp
}

// completeFirst offers TARGETs for the first n operands.
func (a *app) completeFirst(n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.completeTargets(cmd, args, word)
	}
}

// completionSnapshot is what a completion answers from. The flags before it are heeded, but nobody has judged them.
func (a *app) completionSnapshot(cmd *cobra.Command) (*nsinspect.Snapshot, error) {
	if a.checkCommonFlags(cmd, nil) != nil {
		return nil, errors.ErrUnsupported
	}
	return a.snapshot(cmd.Context(), 0)
}

const (
	maxOffered     = 1000            // paths that a shell is offered
	completionTime = 2 * time.Second // to list a directory
)

// completePaths offers the files that TARGET sees, below its root directory or, without a slash at the front, below its
// working directory.
func (a *app) completePaths(cmd *cobra.Command, target, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if target == hostTarget && a.from == "" {
		return nil, cobra.ShellCompDirectiveDefault
	}
	none := cobra.ShellCompDirectiveNoFileComp
	s, err := a.completionSnapshot(cmd)
	if err != nil || a.from != "" {
		return nil, none
	}
	t, err := a.running(s, target)
	if err != nil || t.Process == nil {
		return nil, none
	}
	top := "root"
	if !strings.HasPrefix(word, "/") {
		top = "cwd"
	}
	dir, base := path.Split(word)
	from := filepath.Join(a.proc, strconv.Itoa(t.Process.PID), top)
	names, err := procscan.InTime(cmd.Context(), completionTime, func() ([]string, error) { return listIn(from, dir, base) })
	if err != nil {
		return nil, none
	}
	offered := make([]cobra.Completion, len(names))
	for i, name := range names {
		offered[i] = dir + name
	}
	return offered, none | cobra.ShellCompDirectiveNoSpace
}

// listIn lists the names in a directory below a root that begin with base; those of directories end in a slash.
func listIn(from, dir, base string) ([]string, error) {
	root, err := procscan.OpenRoot(from)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if dir == "" {
		dir = "."
	}
	fd, err := root.OpenPath(dir, unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	readable, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(readable), dir)
	defer f.Close()
	var names []string
	for len(names) < maxOffered {
		entries, err := f.ReadDir(256)
		for _, e := range entries {
			name := e.Name()
			if !strings.HasPrefix(name, base) || !typable(name) || base == "" && strings.HasPrefix(name, ".") {
				continue
			}
			var st unix.Stat_t
			// A link of the container's is not followed: it would be with our root.
			if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
				name += "/"
			}
			names = append(names, name)
		}
		if err != nil {
			break
		}
	}
	slices.Sort(names)
	return names, nil
}

// typable reports whether a name can be handed to a shell: a completion is a line, and a tab in it begins the description.
func typable(name string) bool {
	return name != "" && !strings.Contains(name, `\`) && render.Quoted(name) == name
}

// completeTargetPath offers TARGET:PATH.
func (a *app) completeTargetPath(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	at := strings.LastIndex(word, ":/")
	if at < 0 {
		targets, directive := a.completeTarget(cmd, args, word)
		for i := range targets {
			name, _, _ := strings.Cut(targets[i], "\t")
			targets[i] = name + ":/"
		}
		return targets, directive | cobra.ShellCompDirectiveNoSpace
	}
	paths, directive := a.completePaths(cmd, word[:at], word[at+1:])
	for i := range paths {
		paths[i] = word[:at+1] + paths[i]
	}
	return paths, directive
}

// complete offers values for a flag of cmd.
func complete(cmd *cobra.Command, flag string, values []string) {
	// It fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func completeFormats(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return outputFormats(cmd), cobra.ShellCompDirectiveNoFileComp
}

// completeList offers names for a flag that takes several with commas between them, those that are not named yet, each once.
func completeList(names func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		done := word[:strings.LastIndexByte(word, ',')+1]
		taken := strings.Split(done, ",")
		var offered []cobra.Completion
		for _, name := range names() {
			if !slices.Contains(taken, name) && !slices.Contains(offered, done+name) {
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

// describeCompletion says of cobra's own command what the others say of theirs.
func describeCompletion(root *cobra.Command) {
	completion, _, err := root.Find([]string{"completion"})
	if err != nil || completion == root {
		return
	}
	completion.Args = unknownCommand
	completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for shell := range shellMends() {
		if cmd, _, err := completion.Find([]string{shell}); err == nil {
			cmd.RunE = func(cmd *cobra.Command, _ []string) error {
				bare, err := cmd.Flags().GetBool("no-descriptions")
				if err != nil {
					return err
				}
				return shellScript(cmd.OutOrStdout(), root, shell, !bare)
			}
		}
	}
	completion.Short = "print the completions for a shell"
	completion.Long = `completion prints a script that teaches a shell the commands and flags of nsview, and lets it complete what is there:
containers, paths inside a container after its name, operations, columns.

Tests press TAB in bash (with bash-completion), zsh and fish. The script for PowerShell, which cobra makes but for one line,
was never run here.`
	completion.Example = `  source <(nsview completion bash)
  nsview completion bash > /etc/bash_completion.d/nsview
  nsview completion zsh > "${fpath[1]}/_nsview"
  nsview completion fish > ~/.config/fish/completions/nsview.fish
  nsview completion powershell | Out-String | Invoke-Expression`
}
