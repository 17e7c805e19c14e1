package main

import "testing"

// Every version is one that apk takes.
func TestVersionOf(t *testing.T) {
	const day = "1796083200" // 2026-12-01
	for version, want := range map[string]string{
		"1.2.3": "1.2.3", "1.2.3-rc1": "1.2.3_rc1", "1.2.3-rc.2": "1.2.3_rc2", "0.0.0+21723df": "0.0.0_git20261201",
		"1.2.3-4-g21723df": "1.2.3_git20261201", "1.2.3-rc1-4-g21723df": "1.2.3_rc1_git20261201", "1.2.3-dev": "1.2.3_git20261201",
	} {
		if got, err := versionOf(version, day); err != nil || got != want || !valid.MatchString(got) {
			t.Errorf("%s is %s (%v), want %s", version, got, err, want)
		}
	}
	for _, args := range [][2]string{{"unknown", day}, {"1.2.3", ""}} {
		if got, err := versionOf(args[0], args[1]); err == nil {
			t.Errorf("%q is %s", args, got)
		}
	}
	for version, ok := range map[string]bool{
		"1.2.3": true, "1.2.3_rc1": true, "0.0.0_git20261201": true, "1.2.3-r0": true, "0.0.0-p21723df": false, "1.2.3_4-g21723df": false, "v1": false, "1.2.3_dev": false,
	} {
		if valid.MatchString(version) != ok {
			t.Errorf("%s: taken for a version: %v", version, !ok)
		}
	}
}
