package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
)

// What a container chose does not steer the terminal, and a command can be pasted as it was quoted.
func TestPrintVerdict(t *testing.T) {
	v := access.Verdict{
		Verdict: access.Deny, Errno: "EACCES", Rule: access.RuleModeOther, Component: "/a\x1b[31mb",
		Explanation: "denied: app needs w on \"/a\x1b[31mb\"",
		Steps:       []access.Step{{Component: "/", Rule: access.RuleWalkX, Result: access.Allow, Detail: "search"}, {Component: "/a\nb", Rule: access.RuleModeOther, Result: access.Deny, Errno: "EACCES"}},
		Fixes: []access.Fix{
			{Title: `let others write $'/a\033b'`, Commands: []string{`chmod o+w -- $'/a\033b'`, "echo \x1b[31m"}, Proven: true, Opens: `everybody may write $'/a\033b'`},
			{Title: "run as its owner", Restart: true},
		},
		Assumptions: []string{"not running"},
	}
	tests := map[bool]string{
		false: `denied: app needs w on "/a\x1b[31mb"
errno EACCES, by the check mode-other on /a\x1b[31mb
assuming: not running

fix: let others write $'/a\033b'
  chmod o+w -- $'/a\033b'
  echo \x1b[31m
  opens: everybody may write $'/a\033b'

fix: run as its owner (the container has to be made anew, not proven)
`,
		true: `
STEP  RESULT       CHECK       COMPONENT  DETAIL
1     allow        walk-x      /          search
2     deny EACCES  mode-other  /a\nb      -
`,
	}
	for explain, want := range tests {
		var out bytes.Buffer
		a := &app{out: &out, color: "never"}
		if err := a.printVerdict(&v, explain, true); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != want && (!explain || !strings.Contains(got, want)) {
			t.Errorf("explain %v: printed\n%s\nwant\n%s", explain, got, want)
		}
	}
}
