package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// population is many idle processes in containers: each container has a user, a PID and a mount namespace of its own, and
// a uid range of its own, as engines with user namespaces make them.
//
// Every process waits for the end of one pipe, whose other end is bench's alone. So all of them end when bench ends,
// however that comes about, and nobody has to be looked for.
type population struct {
	ready, hold *os.File // what the processes report to and wait for
	readyEnd    *os.File
	holdEnd     *os.File
	lines       *bufio.Reader
	inits       []*exec.Cmd
	processes   int
}

// idleScript is the first process of a container: a shell whose children wait in the shell's own read, without another
// program to load: some 100 kB each. $1 is how many.
const idleScript = `i=1
while [ $i -lt $1 ]; do read x <&3 & i=$((i+1)); done
echo >&4
exec 4>&-
read x <&3
`

const (
	firstID = 200_000 // beyond what useradd(8) gives to people
	rangeOf = 65536
)

func newPopulation() (*population, error) {
	p := &population{}
	var err error
	if p.ready, p.readyEnd, err = os.Pipe(); err != nil {
		return nil, err
	}
	if p.holdEnd, p.hold, err = os.Pipe(); err != nil {
		return nil, err
	}
	p.lines = bufio.NewReader(p.ready)
	return p, nil
}

// grow adds containers of per processes until there are n processes.
func (p *population) grow(ctx context.Context, n, per int) error {
	if err := room(n - p.processes); err != nil {
		return err
	}
	for p.processes < n && ctx.Err() == nil {
		if err := p.add(per); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// add starts one container and waits until all its processes are there.
func (p *population) add(per int) error {
	first := firstID + len(p.inits)*rangeOf
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: first, Size: rangeOf}}
	cmd := exec.Command("/bin/sh", "-c", idleScript, "idle", strconv.Itoa(per))
	cmd.ExtraFiles = []*os.File{p.holdEnd, p.readyEnd}
	cmd.Env = []string{}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: ids, GidMappings: ids,
		Credential: &syscall.Credential{},
		Setpgid:    true, // a Ctrl-C is for bench
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a container: %w", err)
	}
	p.inits = append(p.inits, cmd)
	p.processes += per
	if err := p.ready.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := p.lines.ReadString('\n'); err != nil {
		return fmt.Errorf("container %d did not come up: %w", len(p.inits), err)
	}
	return nil
}

// initPID is the host PID of the first process of a container in the middle.
func (p *population) initPID() int { return p.inits[len(p.inits)/2].Process.Pid }

// end lets every process go, and waits for them.
func (p *population) end() {
	_ = p.hold.Close()
	for _, cmd := range p.inits {
		_ = cmd.Wait()
	}
	for _, f := range []*os.File{p.ready, p.readyEnd, p.holdEnd} {
		_ = f.Close()
	}
}

// room says whether the kernel allows so many processes more.
func room(n int) error {
	limit, err := procNumber("/proc/sys/kernel/pid_max")
	if err != nil {
		return err
	}
	names, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	if have := len(names); have+n > limit*9/10 {
		return fmt.Errorf("%d processes more do not fit into kernel.pid_max (%d)", n, limit)
	}
	return nil
}

func procNumber(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return n, nil
}
