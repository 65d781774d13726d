package datagram

import "golang.org/x/sys/unix"

// interfaceIndex asks the kernel, which costs less than a datagram: see
// netdevice(7).
func (c *Conn) interfaceIndex(name string) (index int, err error) {
	request, err := unix.NewIfreq(name)
	if err != nil || c.raw == nil {
		return 0, errNoInterface
	}
	controlErr := c.raw.Control(func(fd uintptr) {
		if err = unix.IoctlIfreq(int(fd), unix.SIOCGIFINDEX, request); err == nil {
			index = int(request.Uint32())
		}
	})
	if controlErr != nil {
		return 0, controlErr
	}
	if err == unix.ENODEV {
		err = errNoInterface
	}
	return index, err
}
