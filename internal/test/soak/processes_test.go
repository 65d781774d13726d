//go:build unix

package soak

import (
	"bufio"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/child"
)

// A task is a child process's job.
type task struct {
	Places map[string]place
	Plans  []plan
}

// playClients is the part of a child that reads a task and answers with an
// outcome for each plan.
func playClients(t *testing.T, commands *bufio.Scanner) {
	commands.Buffer(nil, 1<<20)
	require.True(t, commands.Scan())
	var todo task
	require.NoError(t, json.Unmarshal(commands.Bytes(), &todo))
	config, err := chanio.ClientTLS("../../../testdata/ca.crt")
	require.NoError(t, err)
	k := &soak{clientTLS: config}
	converseAll(t.Context(), todo.Plans, func(p plan) outcome {
		at := todo.Places[p.Transport]
		c := client{place: at, plan: p, o: k.options(at, p)}
		return c.run(t.Context())
	}, func(o outcome) {
		text, err := json.Marshal(o)
		require.NoError(t, err)
		child.Answer(string(text))
	})
}

// A fate is what happens to a process of clients.
type fate struct {
	name    string
	stopped bool // it stands still for a while
	killed  bool // it ends without a word to its peers
}

var fates = []fate{
	{name: "left alone"},
	{name: "stopped for a while", stopped: true},
	{name: "killed", killed: true},
	{name: "killed while it is stopped", stopped: true, killed: true},
}

// startElsewhere starts a child for each fate.
func (k *soak) startElsewhere(t *testing.T, clients *sync.WaitGroup, seed uint64) {
	places := make(map[string]place)
	for name, srv := range k.servers {
		places[name] = srv.place
	}
	for i, f := range fates {
		p := child.Start(t, "clients")
		text, err := json.Marshal(task{places, plans(seed, i+1, elsewhere)})
		require.NoError(t, err)
		p.Send(string(text))
		rng := rand.New(rand.NewPCG(seed, 200+uint64(i)))
		gone := make(chan struct{})
		clients.Go(func() {
			defer close(gone)
			k.listenTo(p, f)
		})
		clients.Go(func() { f.befall(p, rng, gone) })
	}
}

// listenTo collects the outcomes of a child's clients until it has ended.
func (k *soak) listenTo(p *child.Process, f fate) {
	for {
		text, ok := p.Next()
		if !ok {
			break
		}
		var o outcome
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			k.problem("a child said %q: %v", text, err)
			continue
		}
		k.ended(o)
	}
	if err := p.End(); err != nil && !f.killed {
		k.problem("a child, %s: %v\n%s", f.name, err, p.Output())
	}
}

// befall applies the fate to p, unless p has already ended.
func (f fate) befall(p *child.Process, rng *rand.Rand, gone <-chan struct{}) {
	wait := func() { pause(time.Duration(200+rng.IntN(600))*time.Millisecond, gone) }
	if f.stopped {
		wait()
		p.Signal(syscall.SIGSTOP)
	}
	if f.stopped || f.killed {
		wait()
	}
	switch {
	case f.killed:
		p.Signal(syscall.SIGKILL)
	case f.stopped:
		p.Signal(syscall.SIGCONT)
	}
}
