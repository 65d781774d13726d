package compare

// Bars returns what the project requires of the library.
func Bars() []Bar {
	return []Bar{
		atLeast("tcp-echo-100x1", Messages, 0.95),
		atLeast("tcp-echo-1x1-pinned", Messages, 0.9),
		harder(atLeast("tcp-echo-100x1000", Messages, 0.6), 0.85),
		atMost("tcp-idle-10000", Connected, 10_000),
		atMost("tcp-idle-10000", Echoed, 12_000),

		against(Coalesced, atLeast("tcp-multicast-100", Messages, 10)),
		against(Limit, atLeast("tcp-multicast-100", Data, 0.9)),
		across("tcp-multicast-100", atLeast("tcp-multicast-5000", Data, 0.8)),
		absolute(atLeast("tcp-multicast-1", Messages, 8_000_000)),
		against(Loop, stated("tcp-fanout-1000", P50)),
		against(Loop, stated("tcp-fanout-1000", P99)),
		stated("tcp-publish-100", P999),

		harder(atLeast("tls-echo-100x1000", Messages, 1), 1.2),
		atLeast("tls-echo-100x1", Messages, 0.9),
		against(Coalesced, atLeast("tls-multicast-100", Messages, 4)),
		atMost("tls-idle-10000", Connected, 30_000),
		atMost("tls-idle-10000", Echoed, 30_000),
		stated("tls-churn", Connections),
		stated("tls-churn-resumed", Connections),

		across("tcp-echo-100x1", atLeast("tcp-echo-10000x1", PerCore, 0.7)),
		across("tcp-echo-100x1", stated("tcp-echo-10000x1", Messages)),

		harder(atLeast("udp-echo-100x1", Messages, 1), 1.3),
		byBoth(atLeast("udp-echo-1x1000", Messages, 5)),
		byBoth(atLeast("udp-multicast-100", Messages, 5)),
		byBoth(stated("udp-multicast-100", Lost)),
		by(Std, stated("udp-multicast-100", Lost)),

		atLeast("tcp-framed-1x1000", Messages, 0.8),
		atLeast("tcp-framed-100x1000", Messages, 0.8),
	}
}

// atLeast requires our figure to be at least that many times the base's.
func atLeast(scenario string, m Metric, times float64) Bar {
	return Bar{Figure: Figure{scenario, Ours, m}, To: Figure{scenario, Std, m}, Want: times}
}

// atMost requires our figure to be no larger than most.
func atMost(scenario string, m Metric, most float64) Bar {
	return Bar{Figure: Figure{scenario, Ours, m}, AtMost: true, Want: most}
}

// against compares with an entrant of the scenario other than the base.
func against(entrant string, b Bar) Bar {
	b.To = Figure{b.Figure.Scenario, entrant, b.Figure.Metric}
	return b
}

// across compares with our own figure in another scenario.
func across(scenario string, b Bar) Bar {
	b.To = Figure{scenario, Ours, b.Figure.Metric}
	return b
}

// stated reports our figure without judging it.
func stated(scenario string, m Metric) Bar {
	return Bar{Figure: Figure{scenario, Ours, m}, Stated: true}
}

// by judges an entrant other than our server alone.
func by(entrant string, b Bar) Bar {
	b.Figure.Entrant = entrant
	return b
}

// byBoth judges our server with our client.
func byBoth(b Bar) Bar { return by(BothOurs, b) }

// absolute compares with a number, not another figure.
func absolute(b Bar) Bar {
	b.To = Figure{}
	return b
}

// harder adds a harder bar.
func harder(b Bar, try float64) Bar {
	b.Try = try
	return b
}
