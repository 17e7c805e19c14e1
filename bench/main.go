// Command bench compares nsview with the programs that people use for the same work, on a host that it fills itself, and
// writes what it found into docs/performance.md. See make bench.
//
// nsview and its peer run in turn, pair by pair, as whole processes that write to a pipe, so that what else the machine
// does meets both. What counts is the ratio of the medians.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

type options struct {
	nsview string
	sizes  []int // processes of the populations, ascending
	per    int   // processes of one container
	files  int
	rounds int
	only   string // rows whose name has this
	hold   bool   // make the population and wait
	write  string // the page whose tables are replaced; "" prints them only
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == coldStage {
		os.Exit(coldMain(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	o, err := parseFlags(os.Args[1:])
	if err == nil {
		err = bench(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}

func parseFlags(args []string) (*options, error) {
	var o options
	var sizes string
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.StringVar(&o.nsview, "nsview", "bin/nsview", "the nsview to measure")
	flags.StringVar(&sizes, "sizes", "1000,2000", "populations: how many processes, ascending")
	flags.IntVar(&o.per, "per", 10, "processes of one container")
	flags.IntVar(&o.files, "files", 100_000, "files of the tree")
	flags.IntVar(&o.rounds, "rounds", 11, "pairs of runs of each row")
	flags.StringVar(&o.only, "only", "", "only rows whose name has this in it")
	flags.BoolVar(&o.hold, "hold", false, "measure nothing: make the largest population and keep it until Ctrl-C")
	flags.StringVar(&o.write, "write", "", "write the tables into this page")
	_ = flags.Parse(args)
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("no operand is taken, not %q", flags.Arg(0))
	}
	for text := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < o.per || (len(o.sizes) > 0 && n <= o.sizes[len(o.sizes)-1]) {
			return nil, fmt.Errorf("-sizes: %q: want ascending numbers of at least -per (%d) processes", sizes, o.per)
		}
		o.sizes = append(o.sizes, n)
	}
	if o.per < 2 || o.files < 1 || o.rounds < 1 {
		return nil, fmt.Errorf("-per is at least 2, -files and -rounds at least 1")
	}
	return &o, nil
}

// bench measures every row and prints the tables.
func bench(ctx context.Context, o *options) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("needs root: it makes containers, and reads the namespaces of every process")
	}
	if _, err := os.Stat(o.nsview); err != nil {
		return fmt.Errorf("%w: make build makes it", err)
	}
	if o.hold {
		return hold(ctx, o)
	}
	installed, remove, err := install(o.nsview)
	if err != nil {
		return err
	}
	defer remove()
	o.nsview = installed
	r := &report{o: o}
	var failed []error // what was measured is printed all the same
	for _, group := range []func(context.Context, *options, *report) error{startRows, batchRow, processRows, fileRows, traceRows} {
		failed = append(failed, group(ctx, o, r))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	text, err := r.text()
	if err != nil {
		return err
	}
	fmt.Print(text)
	if err := errors.Join(failed...); err != nil || o.write == "" {
		return err // a page with rows missing is not written
	}
	return replaceTables(o.write, text)
}

// install copies the program, as installing does. What the linker writes lies in memory page by page, and takes a third
// longer to start than a copy.
func install(program string) (string, func(), error) {
	dir, remove, err := scratch()
	if err != nil {
		return "", nil, err
	}
	b, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(dir+"/nsview", b, 0o755)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755) // run starts it as whoever is mapped
	}
	if err != nil {
		remove()
		return "", nil, err
	}
	return dir + "/nsview", remove, nil
}

// hold keeps a population, to try things on.
func hold(ctx context.Context, o *options) error {
	p, err := newPopulation()
	if err != nil {
		return err
	}
	defer p.end()
	if err := p.grow(ctx, o.sizes[len(o.sizes)-1], o.per); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "bench: %d processes in %d containers, one of them sh/%d\n", p.processes, len(p.inits), p.initPID())
	<-ctx.Done()
	return nil
}
