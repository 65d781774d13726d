package hostile

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/chanio"
	"example.com/chanio/internal/test/child"
)

// TestAMessageWhosePageIsMissingStopsNoOtherGoroutine sends memory whose pages
// come from elsewhere and take their time, as those of a mapped file may. The
// child sends. This process brings the pages (userfaultfd(2)), but only once
// the child's collector, which has to stop all goroutines for a moment, has
// run.
func TestAMessageWhosePageIsMissingStopsNoOtherGoroutine(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "unixpacket", "udp"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if strings.HasPrefix(network, "unix") {
				address = filepath.Join(t.TempDir(), "socket")
			}
			p := child.Start(t, "missing page", networkEnv+"="+network, addressEnv+"="+address)
			var fd int
			p.Ask("", &fd)
			if fd < 0 {
				t.Skip("userfaultfd is not permitted here")
			}
			pid, err := unix.PidfdOpen(p.PID(), 0)
			require.NoError(t, err)
			defer unix.Close(pid)
			own, err := unix.PidfdGetfd(pid, fd, 0)
			if err != nil {
				t.Skip("pidfd_getfd is not permitted here: ", err)
			}
			faults := os.NewFile(uintptr(own), "userfaultfd")
			defer faults.Close()

			p.Send("send")
			bring(t, faults, func() {
				// If the collector waits for the page, both wait forever.
				late := time.AfterFunc(patience, func() { p.Signal(syscall.SIGKILL) })
				var collected bool
				p.Ask("collect", &collected)
				require.True(t, late.Stop(), "the collector waited for the page")
			})
			var received int
			p.Ask("receive", &received)
			require.Equal(t, pages, received)
			p.Wait()
		})
	}
}

// pages is the size of the message, in bytes: as large as what goes out by a
// system call that the scheduler doesn't know about may be, and as a datagram.
const pages = 60 << 10

// The environment of a child says where it listens.
const (
	networkEnv = "CHANIO_TEST_NETWORK"
	addressEnv = "CHANIO_TEST_ADDRESS"
)

// The requests of userfaultfd, from linux/userfaultfd.h.
const (
	uffdAPI      = 0xc018aa3f
	uffdRegister = 0xc020aa00
	uffdZeroPage = 0xc020aa04
	uffdMissing  = 1
	uffdFault    = 0x12 // the event of a missing page
)

// request makes a request whose argument is that many words.
func request(fd, number uintptr, words *[4]uint64) error {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, number, uintptr(unsafe.Pointer(words)))
	if errno != 0 {
		return errno
	}
	return nil
}

// bring brings all pages, after the first fault was seen and before was called.
func bring(t *testing.T, faults *os.File, before func()) {
	t.Helper()
	message := make([]byte, 32) // struct uffd_msg
	_, err := io.ReadFull(faults, message)
	require.NoError(t, err)
	require.EqualValues(t, uffdFault, message[0])
	before()
	address := binary.NativeEndian.Uint64(message[16:]) &^ uint64(os.Getpagesize()-1)
	// The message begins at the first fault, and is read in order.
	require.NoError(t, request(faults.Fd(), uffdZeroPage, &[4]uint64{address, pages}))
}

// playMissingPage sends a message whose pages are missing to itself.
func playMissingPage(t *testing.T, commands *bufio.Scanner) {
	fd, memory := missing(t)
	child.Answer(fd)
	l, err := chanio.Listen(t.Context(), os.Getenv(networkEnv), os.Getenv(addressEnv), nil)
	require.NoError(t, err)
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(conn, "hello") // a udp session begins with it
	require.NoError(t, err)
	s := <-l.Sessions()
	put := make(chan error, 1)
	for commands.Scan() {
		switch commands.Text() {
		case "send":
			go func() { put <- s.Put(memory) }() // it may write by itself, and wait for the pages
		case "collect":
			runtime.GC()
			child.Answer(true)
		case "receive":
			require.NoError(t, <-put)
			n, err := io.ReadAtLeast(conn, make([]byte, 2*pages), pages)
			require.NoError(t, err)
			child.Answer(n)
		}
	}
	conn.Close()
	require.NoError(t, l.Close())
}

// missing returns memory whose pages the owner of the descriptor brings. The
// descriptor is negative if that is not permitted.
func missing(t *testing.T) (fd int, memory []byte) {
	number, _, errno := syscall.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, nil
	}
	require.NoError(t, request(number, uffdAPI, &[4]uint64{0xaa}))
	memory, err := unix.Mmap(-1, 0, pages, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	start := uint64(uintptr(unsafe.Pointer(&memory[0])))
	require.NoError(t, request(number, uffdRegister, &[4]uint64{start, pages, uffdMissing}))
	return int(number), memory
}
