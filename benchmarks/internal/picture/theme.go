package picture

import (
	"image/color"

	"example.com/chanio/benchmarks/internal/compare"
)

// A Theme has the colors of a picture.
type Theme struct {
	Name string // of the page's color scheme: light or dark

	background, text, muted, grid color.Color
	entrants                      map[string]color.Color
}

// Themes returns both.
func Themes() []Theme {
	return []Theme{
		{
			Name:       "light",
			background: rgb(0xffffff), text: rgb(0x1f2328), muted: rgb(0x59636e), grid: rgb(0xd8dee4),
			entrants: map[string]color.Color{
				compare.Ours:      rgb(0x0969da),
				compare.BothOurs:  rgb(0x54aeff),
				compare.Std:       rgb(0x6e7781),
				compare.Netpoll:   rgb(0xd4782f),
				compare.Coalesced: rgb(0x8250df),
				compare.Loop:      rgb(0x1a7f37),
			},
		},
		{
			Name:       "dark",
			background: rgb(0x0d1117), text: rgb(0xf0f6fc), muted: rgb(0x9198a1), grid: rgb(0x30363d),
			entrants: map[string]color.Color{
				compare.Ours:      rgb(0x4493f8),
				compare.BothOurs:  rgb(0xa5d6ff),
				compare.Std:       rgb(0x9198a1),
				compare.Netpoll:   rgb(0xf0883e),
				compare.Coalesced: rgb(0xbc8cff),
				compare.Loop:      rgb(0x3fb950),
			},
		},
	}
}

// labels are the names of entrants in a legend.
var labels = map[string]string{
	compare.Ours:      "chanio",
	compare.BothOurs:  "chanio at both ends",
	compare.Std:       "package net",
	compare.Netpoll:   "netpoll",
	compare.Coalesced: "package net, writes gathered",
	compare.Loop:      "a loop over the connections",
}

// of returns the color of an entrant.
func (t Theme) of(entrant string) color.Color {
	if c, ok := t.entrants[entrant]; ok {
		return c
	}
	return t.text
}

func rgb(v uint32) color.Color {
	return color.NRGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 0xff}
}
