//go:build unix

package natsroom_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/natsroom"
)

// A cluster is three servers in processes of their own.
type cluster struct {
	t       *testing.T
	routes  [3]string
	servers [3]*process
	urls    [3]string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for i := range c.routes {
		c.routes[i] = "nats://" + freeAddr(t)
	}
	return c
}

func (c *cluster) start(i int) {
	c.t.Helper()
	c.servers[i], c.urls[i] = spawn(c.t, "server", serverConfig{
		Dir: c.t.TempDir(), Name: fmt.Sprint("s", i), Cluster: "three", ClusterURL: c.routes[i], Routes: c.routes[:],
	})
}

// TestJoinWaitsForAClusterThatHasOnlyJustBegun has one server of three, which
// can't make a stream without a second one.
func TestJoinWaitsForAClusterThatHasOnlyJustBegun(t *testing.T) {
	t.Parallel() // it waits most of the time
	c := newCluster(t)
	c.start(0)
	nc := connect(t, c.urls[0])
	hub := chanio.NewHub(t.Context(), nil)
	t.Cleanup(func() { hub.Close() })
	o := &natsroom.Options{History: &natsroom.History{Replicas: 3}, JoinTimeout: refusedWithin}
	_, err := natsroom.Join(t.Context(), nc, "x", hub, o)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorContains(t, err, "CHANIO_ROOMS")
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(cause) })
	o.JoinTimeout = 2 * patience
	_, err = natsroom.Join(ctx, nc, "x", hub, o)
	require.ErrorIs(t, err, cause)

	joined := make(chan error, 1)
	var room *natsroom.Room
	go func() {
		var err error
		room, err = natsroom.Join(context.Background(), nc, "x", hub, o)
		joined <- err
	}()
	c.start(1)
	c.start(2)
	require.NoError(t, <-joined)
	p := place{hub, room}
	t.Cleanup(func() { room.Close() })
	ear := p.members(t, 1)[0]
	p.publish(t, "hello")
	ear.hears(t, "hello")
}

// TestOneOfThreeServersDies has a node at each server of a cluster.
func TestOneOfThreeServersDies(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			c3 := newCluster(t)
			for i := range 3 {
				c3.start(i)
			}
			servers, urls := c3.servers, c3.urls
			c := crowdConfig{Room: "room", Members: 2, Publishers: 2, Pause: 2 * time.Millisecond}
			if k.o != nil {
				c.History = &natsroom.History{Replicas: 3}
			}
			var here []*crowd
			for i := range 3 {
				own := c
				own.Number = i + 1
				// Each node has its own server first, and another if that dies.
				nc, err := nats.Connect(urls[i]+","+urls[(i+1)%3], append(nodeOptions(0), nats.DontRandomize())...)
				require.NoError(t, err)
				t.Cleanup(nc.Close)
				node, err := newCrowd(nc, &own) // the servers may not have met yet
				require.NoError(t, err)
				t.Cleanup(node.close)
				here = append(here, node)
			}
			heart := watchBeats(t, urls[0])
			all := func() {
				t.Helper()
				for _, node := range here {
					heart.await(t, 3, node.room, 6)
				}
			}
			all()
			for _, node := range here {
				node.start(&c, 0)
			}
			wait(500 * time.Millisecond)
			servers[2].kill()
			wait(100 * time.Millisecond)
			all()
			wait(long(2*time.Second, 5*time.Second))
			for _, node := range here {
				require.NoError(t, node.halt())
			}
			var reports []report
			require.Eventually(t, func() bool {
				reports = nil
				for _, node := range here {
					reports = append(reports, node.report())
				}
				return settled(reports)
			}, patience, 10*time.Millisecond)
			lost, told, twice := check(t, reports, k.o != nil)
			t.Logf("| %s | lost %d | reported %d | twice %d |", t.Name(), lost, told, twice)
		})
	}
}
