package chanio_test

import (
	"context"
	"fmt"

	"example.com/chanio"
)

// A collector receives measurements that many senders send by udp, each in a
// datagram of its own. It takes everything that one system call brought as one
// value, in memory that is reused.
func ExamplePacketConn_RecvBatch() {
	ctx := context.Background()
	collector, err := chanio.ListenPacket(ctx, "udp", "127.0.0.1:0", &chanio.Options{ReadBuffer: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer collector.Close()

	const measurements = 1000
	go func() {
		sender, err := chanio.ListenPacket(ctx, "udp", "127.0.0.1:0", nil)
		if err != nil {
			return
		}
		defer sender.Close()
		for i := 0; i < measurements; {
			b := chanio.NewPacketBatch()
			for ; b.Len() < 100; i++ {
				b.Append(chanio.Packet{Addr: collector.LocalAddr(), Data: []byte("temperature 21")})
			}
			if sender.PutBatch(b) != nil {
				return
			}
		}
	}()

	packets, bytes := 0, 0
	for packets < measurements {
		b, ok := <-collector.RecvBatch()
		if !ok {
			fmt.Println(collector.Err())
			return
		}
		for _, p := range b.All() {
			bytes += len(p.Data) // valid until Release
		}
		packets += b.Len()
		b.Release()
	}
	fmt.Println(packets, "packets of", bytes/packets, "bytes")
	// Output: 1000 packets of 14 bytes
}
