package proctest

import (
	"os"
	"os/signal"
	"syscall"
)

// HeedSignals is for TestMain of tests that send signals to what they start. Signals that are ignored when the tests are
// started, by nohup(1) or a shell's &, would be ignored by every process that they start, too, and a shell cannot even
// trap them: signal(7), sh(1).
func HeedSignals() {
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig) // a signal that is caught has its default action again after exec
		}
	}
}
