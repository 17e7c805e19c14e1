package access

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nsview/nsview/idmap"
)

func TestParseOperation(t *testing.T) {
	keep := idmap.UnmappedInside
	tests := []struct {
		words string
		want  Operation
	}{
		{"read", Operation{Op: OpRead, UID: keep, GID: keep}},
		{"rename /b", Operation{Op: OpRename, New: "/b", UID: keep, GID: keep}},
		{"chmod 0644", Operation{Op: OpChmod, Mode: 0o644, UID: keep, GID: keep}},
		{"chmod 4755", Operation{Op: OpChmod, Mode: 0o4755, UID: keep, GID: keep}},
		{"chmod 0", Operation{Op: OpChmod, UID: keep, GID: keep}},
		{"chown 999 -1", Operation{Op: OpChown, UID: 999, GID: keep}},
		{"chown - 5", Operation{Op: OpChown, UID: keep, GID: 5}},
		{"lchown 0 4294967294", Operation{Op: OpLchown, UID: 0, GID: 4294967294}},
		{"chown 4294967295 0", Operation{Op: OpChown, UID: keep, GID: 0}}, // (uid_t)-1
		{"access rw", Operation{Op: OpAccess, Mode: 6, UID: keep, GID: keep}},
		{"eaccess r-x", Operation{Op: OpEaccess, Mode: 5, UID: keep, GID: keep}},
		{"access ---", Operation{Op: OpAccess, UID: keep, GID: keep}},
		{"setxattr user.a", Operation{Op: OpSetxattr, Name: "user.a", UID: keep, GID: keep}},
	}
	for _, tt := range tests {
		words := strings.Fields(tt.words)
		got, err := ParseOperation(words[0], words[1:])
		tt.want.Args = words[1:]
		if err != nil || got.Op != tt.want.Op || got.New != tt.want.New || got.Mode != tt.want.Mode || got.UID != tt.want.UID ||
			got.GID != tt.want.GID || got.Name != tt.want.Name || !slices.Equal(got.Args, tt.want.Args) {
			t.Errorf("ParseOperation(%q) = %+v, %v, want %+v", tt.words, got, err, tt.want)
		}
	}
}

func TestParseOperationErrors(t *testing.T) {
	tests := []struct{ words, problem, hint string }{
		{"raed", `unknown operation "raed"`, "did you mean read?"},
		{"Write", `unknown operation "Write"`, "did you mean write?"},
		{"rm", `unknown operation "rm"`, "did you mean unlink or rmdir?"},
		{"stat", `unknown operation "stat"`, "did you mean lookup?"},
		{"frobnicate", `unknown operation "frobnicate"`, "the operations are lookup, lstat,"},
		{"q", `unknown operation "q"`, "the operations are"},
		{"read x", `read takes no argument, not "x"`, "read"},
		{"rename", "rename needs NEW", "rename NEW"},
		{"chown", "chown needs UID and GID", "chown UID GID, as TARGET counts them, - keeps one: chown 999 -"},
		{"chown 5", "chown needs GID", "chown UID GID"},
		{"chown 999:999", "chown needs GID", "did you mean chown 999 999?"},
		{"chown :5", "chown needs GID", "did you mean chown - 5?"},
		{"chown 1 2 3", `chown takes UID and GID and nothing more, not "3"`, "chown UID GID"},
		{"chown mysql 5", `"mysql" is not a UID`, "ids are numbers"},
		{"chown 1 -2", `"-2" is not a GID`, "ids are numbers"},
		{"chown 4294967296 0", `"4294967296" is not a UID`, "ids are numbers"},
		{"chmod u+x", `"u+x" is not a mode`, "octal"},
		{"chmod 10000", `"10000" is not a mode`, "octal"},
		{"chmod -1", `"-1" is not a mode`, "octal"},
		{"chmod", "chmod needs MODE", "chmod 0644"},
		{"access rwz", "access is asked with the letters r, w and x", "access RWX: access rw"},
		{"getxattr " + strings.Repeat("a", 256), "the name of an extended attribute has 1 to 255 bytes, not 256", "getxattr NAME"},
	}
	for _, tt := range tests {
		words := strings.Fields(tt.words)
		_, err := ParseOperation(words[0], words[1:])
		var e *OperationError
		if !errors.As(err, &e) || e.Problem != tt.problem || !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("ParseOperation(%q) = %+v, want %q with the hint %q", tt.words, err, tt.problem, tt.hint)
		}
	}
	if _, err := ParseOperation("access", []string{""}); err == nil {
		t.Error("access without a letter is an operation")
	}
}

// Every operation parses with arguments of its kind, and is listed once.
func TestOperationsParse(t *testing.T) {
	example := map[string]string{"NEW": "/new", "MODE": "0644", "UID": "1", "GID": "2", "NAME": "user.a", "RWX": "rwx"}
	seen := make(map[Op]bool)
	for _, o := range Operations() {
		if seen[o.Op] {
			t.Errorf("%s is listed twice", o.Op)
		}
		seen[o.Op] = true
		var args []string
		for _, name := range o.Args {
			args = append(args, example[name])
		}
		if _, err := ParseOperation(string(o.Op), args); err != nil {
			t.Errorf("%s %v: %v", o.Op, args, err)
		}
	}
	for _, op := range constants(t, "operation.go", "Op") {
		if !seen[Op(op)] {
			t.Errorf("%s is not listed", op)
		}
	}
}

// constants are the values of all string constants of a type that a file of this package declares.
func constants(t *testing.T, file, typ string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		name, named := spec.Type.(*ast.Ident)
		lit, literal := spec.Values[0].(*ast.BasicLit)
		if named && literal && name.Name == typ {
			value, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	if len(values) == 0 {
		t.Fatalf("%s declares no %s", file, typ)
	}
	return values
}
