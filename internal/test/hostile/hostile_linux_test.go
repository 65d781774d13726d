// Package hostile tests servers whose peers, network or machine are as bad as
// can be: the good clients must not notice, and memory must be bounded. With -v
// each test logs what its good clients saw before and during the attack, and
// with -measure they look for longer.
package hostile

import (
	"flag"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/chanio/internal/test/child"
)

var measure = flag.Duration("measure", 0, "how long the good clients of each phase go on, at least")

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestChild is not a test of its own: a child process runs it.
func TestChild(t *testing.T) {
	child.Play(t, child.Parts{"server": playServer, "few ports": playFewPorts, "every transport": playEvery, "missing page": playMissingPage})
}

// long skips a test that takes seconds if -short is set.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it is long")
	}
}

func keepAlive(on bool) *net.KeepAliveConfig {
	return &net.KeepAliveConfig{Enable: on, Idle: time.Second, Interval: time.Second, Count: 2}
}
