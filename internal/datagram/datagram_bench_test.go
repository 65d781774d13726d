package datagram

import (
	"fmt"
	"testing"
)

func BenchmarkPair(b *testing.B) {
	for _, c := range []struct {
		name string
		cfg  Config
		gso  bool
	}{
		{"one by one", Config{OneByOne: true}, false},
		{"batches", Config{}, false},
		{"batches, GSO and GRO", Config{}, true},
	} {
		for _, size := range []int{32, 256, 1400} {
			b.Run(fmt.Sprintf("%s/%d bytes", c.name, size), func(b *testing.B) {
				from, to := listen(b, "udp4", "127.0.0.1:0", c.cfg), listen(b, "udp4", "127.0.0.1:0", c.cfg)
				if !c.gso {
					withoutGSO(from)
				}
				const batch = 64
				ps := make([]Packet, batch)
				for i := range ps {
					ps[i] = Packet{Addr: to.LocalAddr(), Data: pattern(i, size)}
				}
				b.ReportAllocs()
				for n := 1; b.Loop(); n++ {
					if n%batch == 0 {
						write(b, from, ps...)
						receive(b, to, batch)
					}
				}
			})
		}
	}
}
