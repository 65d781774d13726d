package compare

// Bars returns what the project's issues ask of the library.
func Bars() []Bar {
	return []Bar{
		atLeast(2, "tcp-echo-100x1", Messages, 0.95),
		atLeast(2, "tcp-echo-1x1-pinned", Messages, 0.9),
		harder(atLeast(2, "tcp-echo-100x1000", Messages, 0.6), 0.85),
		atMost(2, "tcp-idle-10000", Connected, 10_000),
		atMost(2, "tcp-idle-10000", Echoed, 12_000),

		against(coalesced, atLeast(3, "tcp-multicast-100", Messages, 10)),
		against(limit, atLeast(3, "tcp-multicast-100", Data, 0.9)),
		across("tcp-multicast-100", atLeast(3, "tcp-multicast-5000", Data, 0.8)),
		absolute(atLeast(3, "tcp-multicast-1", Messages, 8_000_000)),
	}
}

// atLeast asks for a figure of ours that is that many times the base's.
func atLeast(issue int, scenario string, m Metric, times float64) Bar {
	return Bar{Issue: issue, Figure: Figure{scenario, ours, m}, To: Figure{scenario, base, m}, Want: times}
}

// atMost asks for a figure of ours that is no larger.
func atMost(issue int, scenario string, m Metric, most float64) Bar {
	return Bar{Issue: issue, Figure: Figure{scenario, ours, m}, AtMost: true, Want: most}
}

// against compares with another entrant than the base.
func against(entrant string, b Bar) Bar {
	b.To.Entrant = entrant
	return b
}

// across compares with our own figure in another scenario.
func across(scenario string, b Bar) Bar {
	b.To.Scenario, b.To.Entrant = scenario, ours
	return b
}

// absolute compares with nothing.
func absolute(b Bar) Bar {
	b.To = Figure{}
	return b
}

// harder adds what would be better still.
func harder(b Bar, try float64) Bar {
	b.Try = try
	return b
}
