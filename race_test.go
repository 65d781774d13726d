//go:build race

package chanio

const raceEnabled = true
