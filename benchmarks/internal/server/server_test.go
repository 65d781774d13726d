package server

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/benchmarks/internal/bench"
)

// What a server needs to close a connection later counts as its memory for idle
// sessions, which is a figure of the library that it measures.
func TestAConnectionIsKeptForCloseWithoutMoreMemory(t *testing.T) {
	s, err := Start(bench.Config{Job: "echo", Impl: "std", Net: bench.TCP, Address: "127.0.0.1:0"})
	require.NoError(t, err)
	conn, peer := net.Pipe()
	defer peer.Close()
	require.Zero(t, testing.AllocsPerRun(100, func() { s.run(conn, func(net.Conn) {}) }))

	served, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	defer served.Close()
	_, err = served.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(served, make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = served.Read(make([]byte, 1))
	require.Error(t, err, "Close has closed it")

	late, latePeer := net.Pipe()
	s.add(late)
	_, err = latePeer.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}
