//go:build unix

package natsroom_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// TestEveryMemberHearsEverythingOnce has three nodes with twenty sessions and
// four publishers each. With a history all members hear one order. Without one,
// they hear each publisher's order.
func TestEveryMemberHearsEverythingOnce(t *testing.T) {
	each := 500
	if *full {
		each = 8334 // 100,008 in all
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := testServer(t)
			var nodes []*crowd
			c := crowdConfig{Room: "room", Members: 20, Publishers: 4}
			if k.o != nil {
				c.History = k.o.History
			}
			for i := range 3 {
				c.Number = i + 1
				nc, err := nats.Connect(s.URL(), nodeOptions(0)...)
				require.NoError(t, err)
				t.Cleanup(nc.Close)
				node, err := newCrowd(nc, &c)
				require.NoError(t, err)
				t.Cleanup(node.close)
				nodes = append(nodes, node)
			}
			for _, node := range nodes {
				node.start(&c, each)
			}
			var reports []report
			require.Eventually(t, func() bool {
				reports = nil
				for _, node := range nodes {
					reports = append(reports, node.report())
				}
				for _, r := range reports {
					if len(r.Said) < 12*each || !r.Alike {
						return false
					}
				}
				return true
			}, 10*patience, patience/1000)
			lost, _, _ := check(t, reports, k.o != nil)
			require.Zero(t, lost)
			for _, r := range reports {
				require.Zero(t, r.Ended)
				require.Len(t, r.Said, 12*each)
			}
		})
	}
}
