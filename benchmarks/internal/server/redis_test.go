package server

import (
	"bufio"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/benchmarks/internal/bench"
)

func TestRedisServersAnswerPipelines(t *testing.T) {
	for _, impl := range []string{"chanio", "std"} {
		t.Run(impl, func(t *testing.T) {
			s, err := Start(bench.Config{Job: "redis", Impl: impl, Net: bench.TCP, Address: "127.0.0.1:0"})
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close()) }()
			conn, err := net.Dial("tcp", s.Addr)
			require.NoError(t, err)
			defer conn.Close()
			const pipeline = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nset\r\n$1\r\na\r\n$5\r\nhello\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nWHAT\r\n"
			for i := range pipeline {
				_, err := conn.Write([]byte{pipeline[i]})
				require.NoError(t, err)
			}
			r := bufio.NewReader(conn)
			for _, want := range []string{"$-1\r\n", "+OK\r\n", "$5\r\n", "hello\r\n", "-ERR unknown command\r\n"} {
				line, err := r.ReadString('\n')
				require.NoError(t, err)
				require.Equal(t, want, line)
			}
		})
	}
}
