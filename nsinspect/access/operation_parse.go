package access

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nsview/nsview/idmap"
)

// OperationError is an operation that was not understood.
type OperationError struct {
	Problem string
	Hint    string // what would be right
}

// Error is the problem alone: the hint is printed on a line of its own.
func (e *OperationError) Error() string { return e.Problem }

// ParseOperation reads an operation and its arguments as they are given to nsview access. Ids are numbers of the target's
// user namespace; "-" and "-1" keep the one that the file has. The error is an *OperationError.
func ParseOperation(op string, args []string) (Operation, error) {
	info, ok := infoOf(Op(op))
	if !ok {
		return Operation{}, unknownOperation(op)
	}
	if len(args) != len(info.Args) {
		return Operation{}, wrongArgs(&info, args)
	}
	o := Operation{Op: info.Op, Args: args, UID: idmap.UnmappedInside, GID: idmap.UnmappedInside}
	var err error
	for i, name := range info.Args {
		switch name {
		case "NEW":
			o.New = args[i]
		case "NAME":
			o.Name, err = parseXattr(&info, args[i])
		case "MODE":
			o.Mode, err = parseMode(args[i])
		case "RWX":
			o.Mode, err = parseRWX(&info, args[i])
		case "UID":
			o.UID, err = parseID(&info, name, args[i])
		case "GID":
			o.GID, err = parseID(&info, name, args[i])
		}
		if err != nil {
			return Operation{}, err
		}
	}
	return o, nil
}

func unknownOperation(op string) error {
	e := &OperationError{Problem: fmt.Sprintf("unknown operation %q", op)}
	near := habit(strings.ToLower(op))
	if len(near) == 0 {
		near = nearOperations(strings.ToLower(op))
	}
	if len(near) > 0 {
		e.Hint = "did you mean " + strings.Join(near, " or ") + "?"
		return e
	}
	var names []string
	for _, o := range Operations() {
		names = append(names, string(o.Op))
	}
	e.Hint = "the operations are " + strings.Join(names, ", ")
	return e
}

// usage is an operation as it is written, with what stands for its arguments.
func (o *OpInfo) usage() string {
	return strings.Join(append([]string{string(o.Op)}, o.Args...), " ")
}

func wrongArgs(info *OpInfo, args []string) error {
	e := &OperationError{Hint: info.usage() + argumentHint(info)}
	switch {
	case len(info.Args) == 0:
		e.Problem = fmt.Sprintf("%s takes no argument, not %q", info.Op, args[0])
	case len(args) > len(info.Args):
		e.Problem = fmt.Sprintf("%s takes %s and nothing more, not %q", info.Op, strings.Join(info.Args, " and "), args[len(info.Args)])
	default:
		e.Problem = fmt.Sprintf("%s needs %s", info.Op, strings.Join(info.Args[len(args):], " and "))
	}
	// As chown(1) takes them.
	if uid, gid, ok := strings.Cut(strings.Join(args, " "), ":"); ok && info.Args[0] == "UID" && len(args) == 1 {
		if uid == "" {
			uid = "-"
		}
		if gid == "" {
			gid = "-"
		}
		e.Hint = fmt.Sprintf("did you mean %s %s %s?", info.Op, uid, gid)
	}
	return e
}

// argumentHint is an example, where the name of the argument does not say how it is written.
func argumentHint(info *OpInfo) string {
	if len(info.Args) == 0 {
		return ""
	}
	switch info.Args[0] {
	case "MODE":
		return ", in octal: " + string(info.Op) + " 0644"
	case "RWX":
		return ": " + string(info.Op) + " rw"
	case "UID":
		return ", as TARGET counts them, - keeps one: " + string(info.Op) + " 999 -"
	case "NAME":
		return ": " + string(info.Op) + " user.comment"
	}
	return ""
}

// parseMode reads permission, set-id and sticky bits in octal.
func parseMode(word string) (uint32, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(word, "0o"), 8, 32)
	if err != nil || n > 0o7777 {
		return 0, &OperationError{fmt.Sprintf("%q is not a mode", word), "a mode is octal, from 0 to 7777: chmod 0644"}
	}
	return uint32(n), nil
}

// parseRWX reads a set of the letters r, w and x. A dash says nothing, so that "r-x" reads as ls -l prints it; with no
// letter at all the file has to be there, as with F_OK.
func parseRWX(info *OpInfo, word string) (uint32, error) {
	var mode uint32
	for _, c := range word {
		var bit uint32
		switch c {
		case 'r':
			bit = 4
		case 'w':
			bit = 2
		case 'x':
			bit = 1
		case '-':
			continue
		default:
			word = "" // refused below
		}
		mode |= bit
	}
	if word == "" {
		return 0, &OperationError{fmt.Sprintf("%s is asked with the letters r, w and x", info.Op), info.usage() + argumentHint(info)}
	}
	return mode, nil
}

// parseID reads an inside id. 4294967295 is (uid_t)-1, which also keeps the owner.
func parseID(info *OpInfo, what, word string) (idmap.Inside, error) {
	if word == "-" || word == "-1" {
		return idmap.UnmappedInside, nil
	}
	n, err := strconv.ParseUint(word, 10, 32)
	if err != nil {
		return 0, &OperationError{
			fmt.Sprintf("%q is not a %s", word, what),
			"ids are numbers of TARGET's user namespace, - keeps the one there is: " + string(info.Op) + " 999 -",
		}
	}
	return idmap.Inside(n), nil
}

// xattrNameMax is XATTR_NAME_MAX (limits.h).
const xattrNameMax = 255

func parseXattr(info *OpInfo, word string) (string, error) {
	if word == "" || len(word) > xattrNameMax {
		return "", &OperationError{
			fmt.Sprintf("the name of an extended attribute has 1 to %d bytes, not %d", xattrNameMax, len(word)),
			info.usage() + argumentHint(info),
		}
	}
	return word, nil
}

// nearOperations are the operations whose name is a slip away from word.
func nearOperations(word string) []string {
	const slips = 2
	var near []string
	best := slips + 1
	for _, o := range Operations() {
		d := distance(word, string(o.Op))
		if d >= len(o.Op) { // nothing is left of it
			continue
		}
		if d < best {
			near, best = nil, d
		}
		if d == best && d <= slips {
			near = append(near, string(o.Op))
		}
	}
	return near
}

// distance is how many letters were left out, put in, changed, or swapped with their neighbour.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
