package chanio

// recordBlockSize is room for blockSize bytes as TLS records, each of which adds
// some 20 to 100: what goes into one write without TLS shall with it.
const recordBlockSize = blockSize + 8<<10
