package datagram

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestUserControlMessagesDoNotTruncateOurs(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			a, b := listen(t, f.network, f.address, Config{}), listen(t, f.network, f.address, Config{})
			require.NoError(t, b.raw.Control(func(fd uintptr) {
				for _, option := range []struct{ name, value int }{
					{unix.SO_TIMESTAMPNS, 1},
					{unix.SO_TIMESTAMPING, unix.SOF_TIMESTAMPING_RX_SOFTWARE | unix.SOF_TIMESTAMPING_SOFTWARE},
				} {
					require.NoError(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option.name, option.value))
				}
			}))
			var ps []Packet
			for i := range 10 {
				ps = append(ps, Packet{Addr: b.LocalAddr(), Data: pattern(i, 100)})
			}
			write(t, a, ps...)
			for i, p := range receive(t, b, len(ps)) {
				require.Equal(t, ps[i].Data, p.Data)
				require.Equal(t, b.LocalAddr(), p.Local)
				require.Positive(t, p.IfIndex)
			}
			require.Zero(t, b.KernelDropped())
		})
	}
}

func TestAMessageOfAnUnknownNumberOfDatagramsIsDropped(t *testing.T) {
	for _, test := range []struct {
		name      string
		gro, told bool // GRO is on, and its note was not cut off
		want      int
	}{{"unknown", true, false, 0}, {"told before the cut", true, true, 3}, {"without GRO", false, false, 1}} {
		t.Run(test.name, func(t *testing.T) {
			in := inboxes.Get().(*inbox)
			in.used = 1
			defer in.free()
			in.msgs[0].length = 300
			in.msgs[0].header.Flags = unix.MSG_CTRUNC
			used := 0
			if test.told {
				data, rest := putControl(in.controls[0][:], unix.SOL_UDP, unix.UDP_GRO, 4)
				binary.NativeEndian.PutUint32(data, 100)
				used = maxControl - len(rest)
			}
			in.msgs[0].header.SetControllen(used)
			r := batchReader{conn: new(Conn), gro: test.gro}
			b := r.unpack(in.msgs[:1], in)
			require.Len(t, b.packets, test.want)
			require.Equal(t, test.want == 0, r.conn.KernelDropped() == 1)
			b.free()
		})
	}
}

func FuzzControlMessages(f *testing.F) {
	o := new(outbox)
	path, rest := o.controls[0][:], []byte(nil)
	rest = putPath(path, true, netip.MustParseAddr("127.0.0.1"), 1)
	f.Add(path[:len(path)-len(rest)])
	rest = putPath(path, false, netip.MustParseAddr("fe80::1"), 1)
	f.Add(path[:len(path)-len(rest)])
	data, rest := putControl(path, unix.SOL_UDP, unix.UDP_GRO, 4)
	data[0] = 64
	f.Add(path[:len(path)-len(rest)])
	f.Fuzz(func(t *testing.T, controls []byte) {
		var aligned [maxControl]byte
		n := copy(aligned[:], controls)
		var m message
		m.header.SetControllen(n)
		r := batchReader{conn: new(Conn)}
		nt := r.parse(&m, aligned[:])
		total := 0
		for part := range nt.parts(1000) {
			total += part
		}
		require.Equal(t, 1000, total)
	})
}
