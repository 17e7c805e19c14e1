package pathwalk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nsview/nsview/procscan/proctest"
)

// TestExecFormats: what the kernel takes for a program.
func TestExecFormats(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	program, err := os.ReadFile("/bin/busybox")
	proctest.Need(t, "busybox", err == nil, "a static program is edited")
	edit := func(name string, change func([]byte) []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), change(append([]byte{}, program...)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	set := func(offset int, values ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[offset:], values); return b }
	}
	text := func(s string) func([]byte) []byte { return func([]byte) []byte { return []byte(s) } }
	long := "/" + strings.Repeat("./", 120) + "bin/busybox"
	for name, change := range map[string]func([]byte) []byte{
		"plain":         func(b []byte) []byte { return b },
		"sections":      set(0x28, 0xff, 0xff, 0xff, 0xff, 0xff),
		"relocatable":   set(0x10, 1, 0),
		"core":          set(0x10, 4, 0),
		"riscv":         set(0x12, 0xf3, 0),
		"phentsize":     set(0x36, 57, 0),
		"no-headers":    set(0x38, 0, 0),
		"short":         func(b []byte) []byte { return b[:40] },
		"magic-only":    func(b []byte) []byte { return b[:4] },
		"empty":         func([]byte) []byte { return nil },
		"words":         text("echo hello\n"),
		"bang":          text("#!"),
		"bang-nl":       text("#!\n"),
		"bang-blank":    text("#! \t \n"),
		"bang-busybox":  text("#! /bin/busybox true"),
		"bang-nul":      text("#!/bin/busybox\x00true\n"),
		"bang-long":     text("#!" + long + " true\n"),
		"bang-too-long": text("#!" + strings.Repeat("/", 300) + "bin/busybox\n"),
		"bang-self":     text("#!" + dir + "/bang-self\n"),
		"bang-words":    text("#!" + dir + "/words\n"),
		"bang-missing":  text("#!/missing\n"),
		"bang-dir":      text("#!/tmp\n"),
	} {
		edit(name, change)
	}
	p, a := proberNow(t), user(t, "1000")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "agent" {
			agree(t, p, a, "exec "+filepath.Join(dir, e.Name()))
		}
	}
}

// TestExecLoader: what the kernel takes for the interpreter of a dynamic program.
func TestExecLoader(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	for name, interp := range map[string]string{
		"missing": "/missing", "directory": "/tmp", "text": "/etc/passwd", "busybox": "/bin/busybox", "script": dir + "/script", "words": dir + "/words",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), dynamicProgram(interp, true), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string][]byte{
		"script": []byte("#!/bin/busybox true\n"), "unended": dynamicProgram("/bin/busybox", false), "none": dynamicProgram("", true),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "words"), []byte(strings.Repeat("hello\n", 100)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "to-words"), dynamicProgram(dir+"/words", true), 0o755); err != nil {
		t.Fatal(err)
	}
	p, a := proberNow(t), user(t, "1000")
	for _, name := range []string{"missing", "directory", "text", "script", "words", "unended", "none", "to-words"} {
		agree(t, p, a, "exec "+filepath.Join(dir, name))
	}
}

// dynamicProgram is the head of a 64-bit ELF program of this machine with an interpreter.
func dynamicProgram(interp string, ended bool) []byte {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		panic(err)
	}
	b := make([]byte, 64+56, 512)
	copy(b, self[:64])
	le := func(at int, n int, v uint64) {
		for i := range n {
			b[at+i] = byte(v >> (8 * i))
		}
	}
	le(0x10, 2, 3)  // ET_DYN
	le(0x20, 8, 64) // program headers
	le(0x28, 8, 0)
	le(0x36, 2, 56)
	le(0x38, 2, 1)
	if ended {
		interp += "\x00"
	}
	le(64, 4, 3) // PT_INTERP
	le(64+8, 8, 64+56)
	le(64+32, 8, uint64(len(interp)))
	le(64+40, 8, uint64(len(interp)))
	return append(b, interp...)
}
