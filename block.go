package chanio

// recordBlockSize is room for blockSize bytes as TLS records, each of which adds
// some 20 to 100: what goes into one write without TLS shall with it.
const recordBlockSize = blockSize + 8<<10

// inputBlockSize is room for two full TLS records, of any version, and for what
// a bytes.Buffer wants to have free beside them: within it a tls.Conn's input
// buffer never grows. More than two at a time are no faster.
const inputBlockSize = 40 << 10
