package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What BenchmarkAccessBatch asks about.
const benchFiles, benchQuestions = 1000, 20_000

// BenchmarkAccessBatch asks nsview access --batch about many paths of one target in a user namespace of its own, with the
// observer's mounts and with its own, and reports questions a second of wall time with one processor, and of processor time,
// start-up included, and what strace counts of system calls that do something with files or processes a question.
//
// NSVIEW_BENCH_TARGET=TARGET:DIR adds a target that is there, a container with a volume at DIR that has file-0 to file-999.
func BenchmarkAccessBatch(b *testing.B) {
	for _, c := range []struct {
		name  string
		flags uintptr
	}{{"observer's mounts", 0}, {"own mounts", syscall.CLONE_NEWNS}} {
		b.Run(c.name, func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "a/b/c")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				b.Fatal(err)
			}
			for i := range benchFiles {
				if err := os.WriteFile(fmt.Sprintf("%s/file-%d", dir, i), nil, 0o644); err != nil {
					b.Fatal(err)
				}
			}
			target := exec.Command("sleep", "3600")
			target.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER | c.flags,
				UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
				Pdeathsig:   syscall.SIGKILL,
			}
			if err := target.Start(); err != nil {
				b.Fatal(err)
			}
			defer func() {
				_ = target.Process.Kill()
				_ = target.Wait()
			}()
			benchBatch(b, strconv.Itoa(target.Process.Pid), dir)
		})
	}
	if given := os.Getenv("NSVIEW_BENCH_TARGET"); given != "" {
		target, dir, _ := strings.Cut(given, ":/")
		b.Run(target, func(b *testing.B) { benchBatch(b, target, "/"+dir) })
	}
}

// benchBatch asks about the files in a directory of a target, which may do everything with them.
func benchBatch(b *testing.B, target, dir string) {
	b.Helper()
	var asked strings.Builder
	ops := []string{"read", "write", "unlink", "chmod"}
	for i := range benchQuestions {
		args := ""
		op := ops[i%len(ops)]
		if op == "chmod" {
			args = `,"args":["0600"]`
		}
		fmt.Fprintf(&asked, `{"id":"%d","target":"%s","op":"%s","path":"%s/file-%d"%s}`+"\n", i, target, op, dir, i%benchFiles, args)
	}
	var wall, cpu []float64
	for b.Loop() {
		cmd := exec.Command("nsview", "access", "--batch")
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		cmd.Stdin = strings.NewReader(asked.String())
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		answers := 0
		lines := bufio.NewReaderSize(out, 1<<16)
		for {
			line, err := lines.ReadString('\n')
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			if !strings.Contains(line, `"verdict":"allow"`) {
				b.Fatalf("not allowed: %s", line)
			}
			answers++
		}
		if err := cmd.Wait(); err != nil || answers != benchQuestions {
			b.Fatalf("%d answers, %v", answers, err)
		}
		wall = append(wall, benchQuestions/time.Since(begin).Seconds())
		cpu = append(cpu, benchQuestions/(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()).Seconds())
	}
	if n, ok := callsPerQuestion(b, asked.String()); ok {
		b.ReportMetric(n, "calls/question")
	}
	b.ReportMetric(median(wall), "questions/s")
	b.ReportMetric(median(cpu), "questions/cpu-s")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// callsPerQuestion is what 1000 more questions need of system calls. Those by which the Go runtime schedules do not count.
func callsPerQuestion(b *testing.B, asked string) (float64, bool) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return 0, false
	}
	lines := strings.SplitAfter(asked, "\n")
	count := func(questions int) (calls int) {
		log := filepath.Join(b.TempDir(), "calls")
		cmd := exec.Command(strace, "-f", "-qq", "-o", log, "-e", "trace=!futex,nanosleep,clock_nanosleep,epoll_pwait,tgkill,getpid,rt_sigreturn,sched_yield,madvise,mmap,clone,clone3", "nsview", "access", "--batch")
		cmd.Stdin = strings.NewReader(strings.Join(lines[:questions], ""))
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		text, err := os.ReadFile(log)
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, " resumed>") && !strings.Contains(line, "--- SIG") && !strings.Contains(line, "+++ ") {
				calls++
			}
		}
		return calls
	}
	const first, more = 100, 1000
	before := count(first)
	return float64(count(first+more)-before) / more, true
}
