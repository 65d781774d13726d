package chanio_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// TestAMessageThatIsNotForAMemberDoesNotMakeItLag has a member that is behind, but
// by less than MaxLag, forward what would be too much for it.
func TestAMessageThatIsNotForAMemberDoesNotMakeItLag(t *testing.T) {
	for _, lag := range lagPolicies {
		t.Run(lag.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testHub(t, &chanio.Options{Lag: lag, MaxLag: 1000})
				s, peer := joinMem(t, h, &chanio.Options{WriteTimeout: -1})
				other, otherPeer := joinMem(t, h, nil)
				others := readInto(otherPeer)
				require.NoError(t, s.Put([]byte("own")))
				synctest.Wait() // s is in a write
				var mine, all []byte
				for i := range 8 {
					p := message(i, 400)
					all = append(all, p...)
					if i < 2 {
						mine = append(mine, p...)
						require.NoError(t, h.Multicast(p))
					} else {
						published := make(chan error, 1)
						go func() { published <- h.MulticastExcept(p, s) }()
						synctest.Wait()
						require.Len(t, published, 1, "it does not wait")
						require.NoError(t, <-published)
					}
					synctest.Wait()
				}
				require.Zero(t, h.Stats().MessagesDropped)
				require.NoError(t, s.Err())
				got := readInto(peer)
				require.NoError(t, s.CloseWrite())
				require.NoError(t, other.CloseWrite())
				require.Equal(t, "own"+string(mine), string(<-got))
				require.Equal(t, string(all), string(<-others))
			})
		})
	}
}

// TestAPublisherDoesNotWaitForAMemberThatAMessageIsNotFor has another member lag,
// too, while s is about to.
func TestAPublisherDoesNotWaitForAMemberThatAMessageIsNotFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1000})
		s, _ := joinMem(t, h, &chanio.Options{WriteTimeout: -1})
		_, otherPeer := joinMem(t, h, nil)
		require.NoError(t, h.Multicast(message(0, 4)))
		synctest.Wait() // both are in a write
		require.NoError(t, h.Multicast(message(1, 950)))
		published := make(chan error, 1)
		go func() { published <- h.MulticastExcept(message(2, 400), s) }()
		synctest.Wait()
		require.Empty(t, published, "the other member lags")
		others := readInto(otherPeer)
		synctest.Wait()
		require.Len(t, published, 1, "it waits for the other member only")
		require.NoError(t, <-published)
		require.NoError(t, h.Close())
		require.NoError(t, s.Err())
		otherPeer.Close()
		<-others
	})
}
