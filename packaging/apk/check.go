package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// A file of an archive.
type file struct {
	mode     int64
	owner    [2]int
	kind     byte
	text     string
	checksum string // that the archive says it has
}

// check holds a package to its format: control and data are tar archives of which only the second has an end, each
// compressed for itself; control has the data's checksum, and the data has one of each file. A signature would come before
// them. Its files are those of the tarball, below /usr.
func check(pkg, tarball string) error {
	raw, err := os.ReadFile(pkg)
	if err != nil {
		return err
	}
	parts, err := members(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", pkg, err)
	}
	if len(parts) != 2 {
		return fmt.Errorf("%s: %d compressed parts, not control and data", pkg, len(parts))
	}
	control, data := parts[0], parts[1]
	end := make([]byte, 1024)
	if bytes.HasSuffix(control.text, end) || !bytes.HasSuffix(data.text, end) {
		return fmt.Errorf("%s: control has an end, or data has none", pkg)
	}
	_, info, err := archive(append(control.text, end...))
	if err != nil {
		return fmt.Errorf("%s: control: %w", pkg, err)
	}
	names, files, err := archive(data.text)
	if err != nil {
		return fmt.Errorf("%s: data: %w", pkg, err)
	}
	sum := sha256.Sum256(data.raw)
	if err := checkInfo(info[".PKGINFO"].text, hex.EncodeToString(sum[:])); err != nil {
		return fmt.Errorf("%s: .PKGINFO: %w", pkg, err)
	}
	if err := checkFiles(names, files); err != nil {
		return fmt.Errorf("%s: %w", pkg, err)
	}
	return compare(files, tarball)
}

type member struct{ raw, text []byte }

// members takes apart what is compressed one after the other.
func members(raw []byte) ([]member, error) {
	var parts []member
	for len(raw) > 0 {
		in := bytes.NewReader(raw)
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		z.Multistream(false)
		text, err := io.ReadAll(z)
		if err != nil {
			return nil, err
		}
		length := len(raw) - in.Len()
		parts = append(parts, member{raw[:length], text})
		raw = raw[length:]
	}
	return parts, nil
}

// archive reads a tar archive: the names in their order, and the files.
func archive(text []byte) (names []string, files map[string]file, err error) {
	files = make(map[string]file)
	r := tar.NewReader(bytes.NewReader(text))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, files, nil
		}
		if err != nil {
			return nil, nil, err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, nil, err
		}
		name := strings.TrimSuffix(h.Name, "/")
		names = append(names, name)
		files[name] = file{h.Mode & 0o7777, [2]int{h.Uid, h.Gid}, h.Typeflag, string(content), h.PAXRecords["APK-TOOLS.checksum.SHA1"]}
	}
}

func checkInfo(text, sum string) error {
	keys := make(map[string]string)
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " = "); ok {
			keys[key] = value
		}
	}
	switch {
	case keys["pkgname"] != "nsview" || keys["license"] == "" || keys["pkgdesc"] == "" || keys["url"] == "":
		return fmt.Errorf("it lacks what every package has: %q", text)
	case !valid.MatchString(keys["pkgver"]):
		return fmt.Errorf("%q is no version for apk", keys["pkgver"])
	case keys["arch"] != "x86_64" && keys["arch"] != "aarch64":
		return fmt.Errorf("no architecture of Alpine's: %q", keys["arch"])
	case keys["datahash"] != sum:
		return fmt.Errorf("datahash is %s, the data's is %s", keys["datahash"], sum)
	case keys["depend"] != "":
		return fmt.Errorf("a static binary depends on %s", keys["depend"])
	}
	return nil
}

// checkFiles holds files to their checksums, and their names to what is a path below the root, its directories first.
func checkFiles(names []string, files map[string]file) error {
	there := map[string]bool{".": true, "": true}
	for _, name := range names {
		f := files[name]
		sum := sha1.Sum([]byte(f.text))
		switch {
		case there[name] || !there[path.Dir(name)] || strings.Contains("/"+name+"/", "/../"):
			return fmt.Errorf("%q is there twice, or in no directory", name)
		case f.owner != [2]int{}:
			return fmt.Errorf("%s is not root's", name)
		case f.kind == tar.TypeReg && f.checksum != hex.EncodeToString(sum[:]):
			return fmt.Errorf("%s has the checksum %s, and should have %x", name, f.checksum, sum)
		case f.kind != tar.TypeReg && f.kind != tar.TypeDir:
			return fmt.Errorf("%s is of type %c", name, f.kind)
		}
		there[name] = true
	}
	return nil
}

// compare holds the files of a package to those of the tarball.
func compare(files map[string]file, tarball string) error {
	raw, err := os.ReadFile(tarball)
	if err != nil {
		return err
	}
	parts, err := members(raw)
	if err != nil || len(parts) != 1 {
		return fmt.Errorf("%s: %d compressed parts: %w", tarball, len(parts), err)
	}
	names, theirs, err := archive(parts[0].text)
	if err != nil {
		return fmt.Errorf("%s: %w", tarball, err)
	}
	same := 0
	for _, name := range names {
		want := theirs[name]
		_, below, _ := strings.Cut(name, "/")
		got, ok := files[strings.TrimSuffix("usr/"+below, "/")]
		if !ok || got.mode != want.mode || got.kind != want.kind || got.text != want.text {
			return fmt.Errorf("%s of %s is not in the package, or another there", name, tarball)
		}
		same++
	}
	if same != len(files) {
		return fmt.Errorf("the package has %d files and directories, %s has %d", len(files), tarball, same)
	}
	return nil
}
