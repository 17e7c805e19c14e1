package engine

import (
	"slices"
	"strings"
)

// option is one option of a command line.
type option struct {
	name   string // without dashes
	values []string
}

// parseOptions reads a command line as getopt_long(3) does up to the first operand. takes says how many arguments an
// option has; one that is not in it has none, or has what follows its "=".
func parseOptions(args []string, takes map[string]int) (options []option, operands []string) {
	for i := 1; i < len(args); i++ {
		arg := args[i]
		switch long, isLong := strings.CutPrefix(arg, "--"); {
		case arg == "--":
			return options, args[i+1:]
		case isLong:
			name, value, has := strings.Cut(long, "=")
			if has {
				options = append(options, option{name, []string{value}})
				continue
			}
			n := min(takes[name], len(args)-i-1)
			options = append(options, option{name, args[i+1 : i+1+n]})
			i += n
		case len(arg) > 1 && arg[0] == '-':
			for at := 1; at < len(arg); at++ {
				o := option{name: arg[at : at+1]}
				if takes[o.name] > 0 {
					if rest := arg[at+1:]; rest != "" {
						o.values = []string{rest}
					} else if i+1 < len(args) {
						i++
						o.values = []string{args[i]}
					}
					at = len(arg)
				}
				options = append(options, o)
			}
		default:
			return options, args[i:]
		}
	}
	return options, nil
}

// lastOf is the value of the last option with one of these names, "" without any.
func lastOf(options []option, names ...string) string {
	for _, o := range slices.Backward(options) {
		if slices.Contains(names, o.name) && len(o.values) > 0 {
			return o.values[0]
		}
	}
	return ""
}
