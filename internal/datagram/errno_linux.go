package datagram

import "syscall"

// hostIsolated is the error of an ICMP message that only Linux distinguishes.
const hostIsolated = syscall.ENONET
