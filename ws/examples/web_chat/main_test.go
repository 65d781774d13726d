package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTypedLinesEndAtAnEmptyOneAndNotAtALongOne(t *testing.T) {
	long := strings.Repeat("long", 1<<15)
	lines := make(chan string, 4)
	readLines(strings.NewReader("one\r\n"+long+"\n\nnever\n"), lines)
	close(lines)
	var got []string
	for line := range lines {
		got = append(got, line)
	}
	require.Equal(t, []string{"one", long, ""}, got)
	lines = make(chan string, 2)
	readLines(strings.NewReader("two"), lines)
	require.Equal(t, "two", <-lines)
	require.Empty(t, <-lines)
}
