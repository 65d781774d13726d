package chanio

// recordBlockSize is room for blockSize bytes as TLS records, each of which adds
// some 20 to 100 bytes: what fits into one write without TLS must fit into one
// with it.
const recordBlockSize = blockSize + 8<<10
