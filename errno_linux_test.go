package chanio_test

import (
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestErrorsThatAccept2SaysToRetryAreRetried(t *testing.T) {
	for _, err := range []error{
		syscall.ENETDOWN, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.ENONET,
		syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.ENETUNREACH, // accept(2), "Error handling"
		syscall.ECONNABORTED, syscall.EINTR, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.EPERM, syscall.ETIMEDOUT, // accept(2), "ERRORS"
		syscall.ENOSPC, // epoll_ctl(2), by which Go registers what was accepted
	} {
		t.Run(err.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, ln := serveMem(t, nil)
				ln.Fail(err)
				ln.dial()
				_, ok := <-l.Sessions()
				require.True(t, ok, "%v", l.Err())
			})
		})
	}
}
