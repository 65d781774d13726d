package natsroom

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestASubscriptionThatIsMadeWhileItsRoomEndsIsEnded(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(in *inbox, sub *nats.Subscription) (ends bool) // by its maker
		end  bool                                                // by the room
	}{
		{"before shut", func(in *inbox, sub *nats.Subscription) bool { return !in.subscribed(sub) }, true},
		{"after shut", func(in *inbox, sub *nats.Subscription) bool { in.shut(); return !in.subscribed(sub) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var in inbox
			sub := new(nats.Subscription)
			in.opening()
			require.Nil(t, in.unsubscribe(nil), "the room is left")
			require.Equal(t, !test.end, test.make(&in, sub))
			require.Equal(t, test.end, in.shut() == sub)
			require.False(t, in.placed())
		})
	}
}
