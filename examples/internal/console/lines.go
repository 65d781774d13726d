package console

import (
	"bufio"
	"io"
	"os"
	"os/signal"
	"strings"
)

// Lines returns the typed lines, none of them empty. The channel is closed when
// the program should stop: at an empty line, at the end of the input, or on
// Ctrl-C. After that, another Ctrl-C kills the program.
func Lines() <-chan string {
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	typed := make(chan string)
	lines := make(chan string)
	go scan(os.Stdin, typed)
	go func() {
		defer close(lines)
		defer signal.Stop(interrupt)
		relay(typed, interrupt, lines)
	}()
	return lines
}

// scan sends each line of r, however long it is. While it waits for the terminal,
// only the end of the program ends it.
func scan(r io.Reader, typed chan<- string) {
	defer close(typed)
	for in := bufio.NewReader(r); ; {
		line, err := in.ReadString('\n')
		if line != "" {
			typed <- strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		}
		if err != nil {
			return
		}
	}
}

// relay passes typed lines on, until there is a reason to stop.
func relay(typed <-chan string, interrupt <-chan os.Signal, lines chan<- string) {
	for {
		select {
		case line := <-typed: // empty, too, at the end of the input
			if line == "" {
				return
			}
			select {
			case lines <- line:
			case <-interrupt:
				return
			}
		case <-interrupt:
			return
		}
	}
}
