package datagram

import "syscall"

// hostIsolated is the error of an ICMP message that only Linux tells apart.
const hostIsolated = syscall.ENONET
