// Package load has the benchmarks' clients. The plain ones share no code with
// chanio, so that no server is judged only by its own client.
package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/report"
)

// Config configures the clients.
type Config struct {
	Endpoint endpoint.Endpoint
	Client   string // "plain" or "chanio"

	Clients  int
	Messages int // in flight per client (echo)
	Size     int // bytes of a message, without its frame
	Frame    bool
	Batch    bool // batches instead of single messages (chanio's echo over streams)
	Check    bool // compare every byte that comes back, not only during the warm-up (echo)

	Warmup time.Duration // before the measured window
	Length time.Duration // of the measured window

	// ServerPID is the process whose usage is reported. If zero, none is.
	ServerPID int
}

// runners are all the clients.
var runners = []struct {
	job, client string
	datagrams   bool
	run         func(context.Context, Config) (*report.Report, error)
}{
	{"echo", "plain", false, plainEcho},
	{"echo", "plain", true, plainEchoDatagrams},
	{"echo", "chanio", false, chanioEcho},
	{"echo", "chanio", true, chanioEchoDatagrams},
	{"multicast", "plain", false, plainMulticast},
	{"multicast", "plain", true, plainMulticastDatagrams},
	{"multicast", "chanio", false, chanioMulticast},
	{"multicast", "chanio", true, chanioMulticastDatagrams},
}

// Run runs the clients of a job, echo or multicast, and reports what they
// measured. An error means that nothing was measured; the report counts errors
// of single clients.
func Run(ctx context.Context, job string, c Config) (*report.Report, error) {
	if c.Clients < 1 || c.Messages < 1 || c.Size < 1 {
		return nil, errors.New("clients, messages and size must be positive")
	}
	for _, r := range runners {
		if r.job == job && r.client == c.Client && r.datagrams == c.Endpoint.Datagrams() {
			return r.run(ctx, c)
		}
	}
	return nil, fmt.Errorf("there is no %s client %q over %s", job, c.Client, c.Endpoint.Net)
}
