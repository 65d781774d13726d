//go:build !race

package buffer

func fresh(size int) []byte { return make([]byte, size) }

func overwrite([]byte) {}
