// Command apk says which version a package of Alpine has, and holds one to what apk(8) asks of it: on Debian there is no apk.
//
// usage: apk version VERSION SECONDS
//
//	apk check PACKAGE TARBALL
//
// SECONDS is when the source was changed last, since 1970. PACKAGE has what is in the tarball of the same build.
package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 3 && args[0] == "version":
		var version string
		version, err = versionOf(args[1], args[2])
		fmt.Println(version)
	case len(args) == 3 && args[0] == "check":
		err = check(args[1], args[2])
	default:
		fmt.Fprintln(os.Stderr, "usage: apk version VERSION SECONDS | apk check PACKAGE TARBALL")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "apk: %v\n", err)
		os.Exit(1)
	}
}

var (
	// valid is what apk takes for a version (apk-package(5)).
	valid    = regexp.MustCompile(`^\d+(\.\d+)*[a-z]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p)\d*)*(~[0-9a-f]+)?(-r\d+)?$`)
	semantic = regexp.MustCompile(`^(\d+(?:\.\d+)*)(?:-(alpha|beta|rc)\.?(\d+))?(.*)$`)
)

// versionOf is a semantic version, or what git describe prints, as apk has it, where there is neither a commit nor a number of
// commits: what follows a release, or one before it, is that and the day.
func versionOf(version, seconds string) (string, error) {
	since, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return "", fmt.Errorf("%q is no time: %w", seconds, err)
	}
	m := semantic.FindStringSubmatch(version)
	if m == nil {
		return "", fmt.Errorf("%q is no version", version)
	}
	out := m[1]
	if m[2] != "" {
		out += "_" + m[2] + m[3]
	}
	if m[4] != "" {
		out += "_git" + time.Unix(since, 0).UTC().Format("20060102")
	}
	return out, nil
}
