package compare

import "slices"

// Bars returns what the project requires of the library.
func Bars() []Bar {
	return slices.Concat(streamBars(), framingBars(), datagramBars(), hubBars(), memoryBars(), webSocketBars())
}

func streamBars() []Bar {
	const latency = 1.0 // times package net's
	return []Bar{
		atLeast("tcp-echo-1x1-pinned", Messages, 0.9),
		atLeast("tcp-echo-100x1", Messages, 1),
		noMore("tcp-echo-100x1", P99, latency),
		harder(atLeast("tcp-echo-100x1000", Messages, 0.6), 0.85),
		by(Batches, atLeast("tcp-echo-100x1000", Messages, 0.95)),
		by(Batches, atLeast("tcp-echo-1x1000", Messages, 0.95)),
		atLeast("tcp-echo-10000x1", Messages, 0.95),
		across(atLeast("tcp-echo-10000x1", PerCore, 0.7), "tcp-echo-100x1"),
		across(stated("tcp-echo-10000x1", Messages), "tcp-echo-100x1"),

		atLeast("tls-echo-100x1", Messages, 1),
		noMore("tls-echo-100x1", P99, latency),
		harder(atLeast("tls-echo-100x1000", Messages, 1), 1.2),
		by(Batches, atLeast("tls-echo-100x1000", Messages, 1.7)),
		by(Batches, atLeast("tls-echo-1x1000", Messages, 1)),
		stated("tls-churn", Connections),
		stated("tls-churn-resumed", Connections),

		atLeast("tcp-redis-50x16", Messages, 1),
		atLeast("tcp-redis-50x128", Messages, 1),
		noMore("tcp-redis-50x1", P99, 1.2),
	}
}

func framingBars() []Bar {
	// The time that a large message may take, as a multiple of package net's.
	const batches, messages = 1.15, 1.3
	return []Bar{
		atLeast("tcp-framed-1x1000", Messages, 0.8),
		atLeast("tcp-framed-100x1000", Messages, 0.8),
		by(Batches, atLeast("tcp-framed-1x1000", Messages, 0.9)),
		by(Batches, atLeast("tcp-framed-100x1000", Messages, 1)),
		by(Batches, atLeast("tcp-lines-1x1000", Messages, 0.9)),
		by(Batches, atLeast("tcp-lines-100x1000", Messages, 1)),
		by(Batches, atLeast("tcp-framed-1x1-64KiB", Messages, 1/batches)),
		by(Batches, atLeast("tcp-framed-1x1-512KiB", Messages, 1/batches)),
		atLeast("tcp-framed-1x1-64KiB", Messages, 1/messages),
		atLeast("tcp-framed-1x1-512KiB", Messages, 1/messages),
	}
}

func datagramBars() []Bar {
	return []Bar{
		harder(atLeast("udp-echo-100x1", Messages, 1), 1.3),
		by(PacketConn, atLeast("udp-echo-100x1", Messages, 1)),
		by(Batches, atLeast("udp-echo-1x1000", Messages, 1.2)),
		by(BothOurs, atLeast("udp-echo-1x1000", Messages, 5)),
		by(BothBatches, atLeast("udp-echo-1x1000", Messages, 10)),
		atLeast("udp-multicast-100", Messages, 1),
		by(BothOurs, atLeast("udp-multicast-100", Messages, 5)),
		by(BothOurs, stated("udp-multicast-100", Lost)),
		by(Std, stated("udp-multicast-100", Lost)),
	}
}

func hubBars() []Bar {
	return []Bar{
		against(atLeast("tcp-multicast-100", Messages, 10), Coalesced),
		against(atLeast("tcp-multicast-100", Data, 0.9), Limit),
		across(atLeast("tcp-multicast-5000", Data, 0.8), "tcp-multicast-100"),
		absolute(atLeast("tcp-multicast-1", Messages, 8_000_000)),
		against(stated("tcp-fanout-1000", P50), Loop),
		against(stated("tcp-fanout-1000", P99), Loop),
		stated("tcp-publish-100", P999),
		against(atLeast("tls-multicast-100", Messages, 4), Coalesced),
	}
}

func memoryBars() []Bar {
	return []Bar{
		atMost("tcp-idle-10000", Connected, 10_000),
		atMost("tcp-idle-10000", Echoed, 12_000),
		atMost("tcp-idle-10000-lines", Connected, 7_000),
		atMost("tcp-idle-10000-lines", Echoed, 10_000),
		atMost("tls-idle-10000", Connected, 30_000),
		atMost("tls-idle-10000", Echoed, 30_000),
	}
}

func webSocketBars() []Bar {
	best := []string{Gorilla, Coder, GWS}
	return []Bar{
		against(atLeast("ws-multicast-100", Messages, 100), best...),
		across(atLeast("ws-multicast-100", Data, 0.9), "tcp-multicast-100"),
		across(atLeast("ws-multicast-5000", Messages, 0.8), "ws-multicast-100"),
		against(atLeast("ws-multicast-100-deflate", Messages, 20), best...),
		against(atLeast("ws-echo-100x1", Messages, 1), best...),
		against(by(Batches, atLeast("ws-echo-100x1000", Messages, 2)), best...),
		atMost("ws-idle-5000", Connected, 10_000),
		against(least(stated("ws-fanout-1000", P50)), best...),
		against(least(stated("ws-fanout-1000", P99)), best...),
	}
}

// atLeast requires our figure to be at least that many times package net's.
func atLeast(scenario string, m Metric, times float64) Bar {
	return Bar{Figure: Figure{scenario, Ours, m}, To: []Figure{{scenario, Std, m}}, Want: times}
}

// atMost requires our figure to be no larger than most.
func atMost(scenario string, m Metric, most float64) Bar {
	return Bar{Figure: Figure{scenario, Ours, m}, AtMost: true, Want: most}
}

// noMore requires our figure to be at most that many times package net's.
func noMore(scenario string, m Metric, times float64) Bar {
	return least(atLeast(scenario, m, times))
}

// stated reports our figure without judging it.
func stated(scenario string, m Metric) Bar {
	return Bar{Figure: Figure{scenario, Ours, m}, Stated: true}
}

// least makes less of the figure better.
func least(b Bar) Bar {
	b.AtMost = true
	return b
}

// against compares with the best of other entrants of the scenario.
func against(b Bar, entrants ...string) Bar {
	b.To = nil
	for _, e := range entrants {
		b.To = append(b.To, Figure{b.Figure.Scenario, e, b.Figure.Metric})
	}
	return b
}

// across compares with the same entrant in another scenario.
func across(b Bar, scenario string) Bar {
	b.To = []Figure{{scenario, b.Figure.Entrant, b.Figure.Metric}}
	return b
}

// by judges an entrant other than our server alone.
func by(entrant string, b Bar) Bar {
	b.Figure.Entrant = entrant
	return b
}

// absolute compares with a number, not another figure.
func absolute(b Bar) Bar {
	b.To = nil
	return b
}

// harder adds a harder bar.
func harder(b Bar, try float64) Bar {
	b.Try = try
	return b
}
