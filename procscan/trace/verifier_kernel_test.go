package trace

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/nsview/nsview/procscan/proctest"
)

// The verifier gives up after a million instructions, and how many it takes depends on the kernel. What comes near that would
// fail to load elsewhere, and takes half a second here.
func TestVerifierIsFarFromItsLimit(t *testing.T) {
	proctest.NeedRoot(t)
	const limit = 100_000
	processed := regexp.MustCompile(`processed ([0-9]+) insns`)
	for _, o := range []Options{{}, {Denied: true}} {
		spec, err := o.spec()
		if err != nil {
			t.Fatal(err)
		}
		c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, name := range o.programs() {
			told := processed.FindStringSubmatch(c.Programs[name].VerifierLog)
			if told == nil {
				t.Errorf("%s: the verifier does not tell what it took:\n%s", name, c.Programs[name].VerifierLog)
				continue
			}
			if n, err := strconv.Atoi(told[1]); err != nil || n > limit {
				t.Errorf("%s: the verifier took %s instructions (%v), want %d at most", name, told[1], err, limit)
			}
		}
	}
}
