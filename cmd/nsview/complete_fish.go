package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// fishMends are what cobra's script for fish does wrong, and what is right. The script has fish evaluate the words before
// the cursor, after fish took their quotes away: a path that a container calls $(COMMAND), which a completion had put there
// well quoted, would run that command at the next TAB. And what is typed of a word with a backslash or a quote in it was
// taken with them, so nothing continued it.
func fishMends() [][2]string {
	return [][2]string{
		{
			"    set -l lastArg (string escape -- (commandline -ct))\n",
			`    set -l lastArg (string escape -- (__nsview_word))
    # They are evaluated below: with quotes, or a name could be a command.
    set -l before
    if set -q args[2]
        set before (string escape -- $args[2..-1])
    end
`,
		},
		{"$args[1] __complete $args[2..-1] $lastArg", "$args[1] __complete $before $lastArg"},
		{"(commandline -t | string escape --style=regex)", "(__nsview_word | string escape --style=regex)"},
		{
			"function __nsview_perform_completion\n",
			`# The word before the cursor, without its quotes and backslashes.
function __nsview_word
    set -l typed (commandline -ct)
    string unescape -- "$typed"; or printf '%s\n' "$typed"
end

function __nsview_perform_completion
`,
		},
	}
}

// fishCompletion writes the script for fish.
func fishCompletion(w io.Writer, root *cobra.Command, descriptions bool) error {
	var b bytes.Buffer
	if err := root.GenFishCompletion(&b, descriptions); err != nil {
		return err
	}
	script := b.String()
	for _, mend := range fishMends() {
		if strings.Count(script, mend[0]) != 1 {
			return fmt.Errorf("the completions for fish are not the ones that are known to be safe: no %q in them", mend[0])
		}
		script = strings.Replace(script, mend[0], mend[1], 1)
	}
	_, err := io.WriteString(w, script)
	return err
}
