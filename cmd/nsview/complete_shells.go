package main

import (
	"bytes"
	_ "embed" // the functions for bash
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// A scriptMend is what a script for a shell has wrong, from a text through another after it, and what is right.
type scriptMend struct{ from, through, right string }

//go:embed complete_bash.sh
var bashFunctions string

// shellMends are what cobra's scripts do wrong with names that others chose, by shell. Those for bash and zsh completed no
// word in which a quote is open, but asked for files of this host.
//
// The one for bash puts the beginning that several names share on the command line as it is, and evaluates the line at the
// next TAB: a container with the files $(COMMAND)a and $(COMMAND)b had that command run by whoever listed them.
//
// So does the one for PowerShell where TAB completes as in bash, which is what it does on Linux; with the descriptions.
//
// The one for fish has fish evaluate the words before the cursor, after fish took their quotes away: a path that a
// container calls $(COMMAND), which a completion had put there well quoted, would run that command at the next TAB. And what
// is typed of a word with a backslash or a quote in it was taken with them, so nothing continued it.
//
// The one for zsh takes the words apart at blanks and puts them together again with one, also where a name has two. What is
// typed of the last is in variables of its own, with backslashes where a quote was opened within the word. And it took whatever
// stands between a - and a = in a name for a flag, and evaluated it: a container's directory x-$(COMMAND)=. So did the one for
// fish, which then continued no such name.
func shellMends() map[string][]scriptMend {
	return map[string][]scriptMend{
		"bash": {
			{from: "    local out directive\n", right: "    local out directive typed quote raw kept\n"},
			{
				from: `    out=$(eval "${requestComp}" 2>/dev/null)` + "\n",
				right: `    if ! __nsview_read_word; then
        out='' directive=4 # nothing, and no files instead
        return
    fi
    out=$(eval "${requestComp}${quote}" 2>/dev/null)
`,
			},
			{from: `    __nsview_handle_special_char "$cur" :` + "\n" + `    __nsview_handle_special_char "$cur" =` + "\n\n"},
			{from: "__nsview_handle_special_char()\n", through: "\n}\n\n"},
			{from: "__nsview_handle_standard_completion_case() {\n", through: "\n}\n\n"},
			{from: "__nsview_handle_completion_types() {\n", through: "\n}\n", right: bashFunctions},
		},
		"zsh": {
			{from: `"${lastParam}" =~ '-.*='`, right: `"${lastParam}" =~ '^--?[[:alnum:]-]+='`},
			{from: `words=("${=words[1,CURRENT]}")`, right: `words=("${(@)words[1,CURRENT-1]}" "${IPREFIX}${QIPREFIX}${PREFIX}${compstate[quote]}")`},
		},
		"powershell": {
			{
				from:  "$CompletionText = \"$($comp.Name)$Description\"\n",
				right: "$CompletionText = $($comp.Name.TrimEnd(' ') | __nsview_escapeStringWithSpecialChars)\n",
			},
		},
		"fish": {
			{
				from: "    set -l lastArg (string escape -- (commandline -ct))\n",
				right: `    set -l lastArg (string escape -- (__nsview_word))
    # They are evaluated below: with quotes, or a name could be a command.
    set -l before
    if set -q args[2]
        set before (string escape -- $args[2..-1])
    end
`,
			},
			{from: `string match -r -- '-.*=' "$lastArg"`, right: `string match -r -- '^--?[[:alnum:]-]+=' "$lastArg"`},
			{from: " $args[2..-1] $lastArg", right: " $before $lastArg"},
			{from: "(commandline -t | string escape --style=regex)", right: "(__nsview_word | string escape --style=regex)"},
			{
				from: "function __nsview_perform_completion\n",
				right: `# The word before the cursor, without its quotes and backslashes.
function __nsview_word
    set -l typed (commandline -ct)
    string unescape -- "$typed"; or printf '%s\n' "$typed"
end

function __nsview_perform_completion
`,
			},
		},
	}
}

// shellScript writes the script for a shell.
func shellScript(w io.Writer, root *cobra.Command, shell string, descriptions bool) error {
	var b bytes.Buffer
	var err error
	switch shell {
	case "bash":
		err = root.GenBashCompletionV2(&b, descriptions)
	case "zsh":
		if descriptions {
			err = root.GenZshCompletion(&b)
		} else {
			err = root.GenZshCompletionNoDesc(&b)
		}
	case "fish":
		err = root.GenFishCompletion(&b, descriptions)
	case "powershell":
		if descriptions {
			err = root.GenPowerShellCompletionWithDesc(&b)
		} else {
			err = root.GenPowerShellCompletion(&b)
		}
	}
	if err != nil {
		return err
	}
	script := b.String()
	for _, mend := range shellMends()[shell] {
		before, rest, found := strings.Cut(script, mend.from)
		_, after, ends := strings.Cut(rest, mend.through)
		if !found || !ends || strings.Contains(rest, mend.from) {
			return fmt.Errorf("the completions for %s are not the ones that are known to be safe: no %q in them, or more than one", shell, mend.from)
		}
		script = before + mend.right + after
	}
	_, err = io.WriteString(w, script)
	return err
}
