package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A commandBlock is a command with its prompt, "$ nsview ps" or "NAME$ ls" inside a container, and the lines that it
// printed but for empty ones. In these lines what varies from run to run is marked: PIDs, namespaces, the number of mounts
// of the host, and the file system that it has below /tmp. All else, every id, mode and count of files, is as it was printed.
type commandBlock struct {
	command string
	lines   []string
}

var (
	promptLine = regexp.MustCompile(`^[a-z0-9-]*\$ .`)
	temporary  = regexp.MustCompile(`/[^ ]*nsview-demo\.\w+`)
	header     = regexp.MustCompile(`^[A-Z][A-Z-]*( +[A-Z][A-Z-]*)+$`)
	cell       = regexp.MustCompile(`\S+( \S+)*`)
	number     = regexp.MustCompile(`^\d+$`)
	leader     = regexp.MustCompile(`\((\d+)\)`)        // the process that diff names beside a container
	nsfsInode  = regexp.MustCompile(`\b(40265\d{5})\b`) // 0xf0000000 and what the kernel counts up from there
	fileSystem = regexp.MustCompile(`\b(ext4|xfs|btrfs|f2fs|overlay|tmpfs) /`)
	hostMounts = regexp.MustCompile(`^(others \(-o wide\) +)(\d+)`)
	spaces     = regexp.MustCompile(`\s+`)
	marks      = regexp.MustCompile(`‹(\w+) (\d+)›`)
)

// commandBlocks finds the commands in a text and what each printed, up to a comment, the end of a fence or the next. Of
// tables with viewers it has the rows of these only, or all without one: other containers of the host may see a file, too.
func commandBlocks(text string, viewers ...string) []commandBlock {
	var blocks []commandBlock
	var block *commandBlock
	var columns []string
	indent := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		if fence := strings.TrimLeft(line, " "); strings.HasPrefix(fence, "```") {
			indent = line[:len(line)-len(fence)] // a fence in an item of a list is indented as that is
		}
		line = strings.TrimPrefix(line, indent)
		switch {
		case promptLine.MatchString(line):
			blocks = append(blocks, commandBlock{command: line})
			block, columns = &blocks[len(blocks)-1], nil
		case line == "":
		case strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "```"):
			block = nil
		case block != nil:
			if header.MatchString(line) {
				columns = strings.Fields(line)
			} else if of := slices.Index(columns, "VIEWER"); of >= 0 {
				if cells := cell.FindAllString(line, -1); viewers != nil && of < len(cells) && !slices.Contains(viewers, cells[of]) {
					continue
				}
			}
			block.lines = append(block.lines, marked(line, columns))
		}
	}
	return blocks
}

// marked is a line of a table with these columns, or of none, with what varies marked.
func marked(line string, columns []string) string {
	at := -1
	line = cell.ReplaceAllStringFunc(line, func(c string) string {
		at++
		if at < len(columns) && (columns[at] == "PID" || columns[at] == "LEADER") && number.MatchString(c) {
			return "‹pid " + c + "›"
		}
		return c
	})
	line = leader.ReplaceAllString(line, "(‹pid $1›)")
	line = nsfsInode.ReplaceAllString(line, "‹namespace $1›")
	line = hostMounts.ReplaceAllString(line, "$1‹mounts $2›")
	line = fileSystem.ReplaceAllString(line, "‹file system› /")
	line = temporary.ReplaceAllString(line, "/tmp/nsview-demo")
	return spaces.ReplaceAllString(line, " ")
}

// notPrinted holds blocks that are shown to those that were printed: they are among them in that order, and of each block
// so are the lines. A line "..." stands for lines left out. What is marked may have another value than was printed, but the
// same one wherever the same was printed. What does not hold is returned.
func notPrinted(shown, printed []commandBlock) []string {
	var problems []string
	next, same := 0, make(map[string]string)
	for _, block := range shown {
		found := false
		var got []string
		for i := next; i < len(printed) && !found; i++ {
			if printed[i].command != block.command {
				continue
			}
			got = append(got, "", strings.Join(printed[i].lines, "\n  "))
			if trial := maps.Clone(same); linesAmong(block.lines, printed[i].lines, trial) {
				found, next, same = true, i+1, trial
			}
		}
		switch {
		case found:
		case got == nil:
			problems = append(problems, fmt.Sprintf("%q, which the script does not run, or not there", block.command))
		default:
			problems = append(problems, fmt.Sprintf("for %q\n  %s\nwhich is not what it prints:%s", block.command, strings.Join(block.lines, "\n  "), strings.Join(got, "\n  ")))
		}
	}
	return problems
}

// linesAmong says whether lines are among those that were printed, in order and, but where "..." stands, without others
// between. What is marked is bound in same, in both directions.
func linesAmong(lines, printed []string, same map[string]string) bool {
	skip := false
	for _, line := range lines {
		if line == "..." {
			skip = true
			continue
		}
		at := slices.IndexFunc(printed, func(p string) bool { return bind(line, p, same) })
		if at < 0 || at > 0 && !skip {
			return false
		}
		printed, skip = printed[at+1:], false
	}
	return skip || len(printed) == 0
}

// bind says whether a line that is shown is one that was printed, and notes which marked values stand for which.
func bind(shown, printed string, same map[string]string) bool {
	if marks.ReplaceAllString(shown, "‹$1›") != marks.ReplaceAllString(printed, "‹$1›") {
		return false
	}
	trial := maps.Clone(same)
	theirs := marks.FindAllString(printed, -1)
	for i, mine := range marks.FindAllString(shown, -1) {
		for from, to := range map[string]string{"shown " + mine: theirs[i], "printed " + theirs[i]: mine} {
			if known, ok := trial[from]; ok && known != to {
				return false
			}
			trial[from] = to
		}
	}
	maps.Copy(same, trial)
	return true
}

// What a document shows may differ from what is printed in nothing but what varies.
func TestShownIsPrinted(t *testing.T) {
	const printed = `
$ nsview owner f
VIEWER     PID    MODE        USER   UID   PATH
host       -      drwxr-xr-x  khope  1000  /tmp/nsview-demo.x1/f
nsview:db  19313  drwxr-xr-x  app    1000  /f

$ chown 999 f

$ nsview owner f
VIEWER     PID    MODE        USER   UID  PATH
host       -      drwxr-xr-x  999    999  /tmp/nsview-demo.x1/f
nsview:db  19313  drwxr-xr-x  mysql  999  /f

$ nsview diff host db
WHAT            host        db (19313)  SHARING
user namespace  4026531837  4026538183  separate
others (-o wide)  17  6
db$ ls /f
ls: cannot open directory '/f': Permission denied
`
	for _, c := range []struct {
		name, change, to string
		same             bool
	}{
		{"nothing", "", "", true},
		{"a PID everywhere", "19313", "77", true},
		{"a PID in one place", "db (19313)", "db (77)", false},
		{"a namespace", "4026538183", "4026539999", true},
		{"a namespace that is another", "4026538183", "4026531837", false},
		{"the temporary folder", "nsview-demo.x1", "nsview-demo.yy2", true},
		{"the mounts of the host", "  17  ", "  21  ", true},
		{"the mounts inside", "  6\n", "  7\n", false},
		{"an id", "  999  ", "  998  ", false},
		{"a larger id", "1000", "1001", false},
		{"a mode", "drwxr-xr-x", "drwxrwxr-x", false},
		{"a command", "chown 999", "chown 998", false},
		{"what a command inside says", "Permission denied", "Operation not permitted", false},
		{"a line without saying so", "host       -      drwxr-xr-x  khope  1000  /tmp/nsview-demo.x1/f\n", "", false},
		{"a line, and saying so", "host       -      drwxr-xr-x  khope  1000  /tmp/nsview-demo.x1/f\n", "...\n", true},
		{"a row of a container that was not started", "nsview:db  19313  drwxr-xr-x  mysql  999  /f\n", "nsview:db  19313  drwxr-xr-x  mysql  999  /f\nnsview:x   20     drwxr-xr-x  a      999  /f\n", false},
		{"a line that was not printed", "$ chown 999 f\n", "$ chown 999 f\nchown: done\n", false},
	} {
		text := printed
		if c.change != "" {
			text = strings.ReplaceAll(printed, c.change, c.to)
			if text == printed {
				t.Errorf("%s: nothing is changed", c.name)
			}
		}
		if problems := notPrinted(commandBlocks(text), commandBlocks(printed, "host", "nsview:db")); (len(problems) == 0) != c.same {
			t.Errorf("changed %s: %q", c.name, problems)
		}
	}
	others := strings.ReplaceAll(printed, "\nnsview:db ", "\nnsview:x   20     drwxr-xr-x  a      999  /f\nnsview:db ")
	if problems := notPrinted(commandBlocks(printed), commandBlocks(others, "host", "nsview:db")); len(problems) > 0 || others == printed {
		t.Errorf("beside containers that were not started: %q", problems)
	}
	// The answer after the remedy does not stand for the one before it.
	blocks := commandBlocks(printed)
	if len(notPrinted([]commandBlock{blocks[2], blocks[1]}, blocks)) == 0 {
		t.Error("blocks in another order pass")
	}
}
