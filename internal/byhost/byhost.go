// Package byhost keeps a set whose members come from hosts, and picks members
// of the host that has the most.
package byhost

import (
	"math/rand/v2"
	"net/netip"
)

// A Set is a set of members, each from a host. Its zero value is empty. It is
// not safe for concurrent use. Every method takes constant time, whatever the
// number of members and hosts.
type Set[T any] struct {
	hosts  map[netip.Prefix]*host[T]
	bySize [][]*host[T] // bySize[n] has the hosts with n members; the last one is not empty
	size   int
}

// A Member is what Add has returned.
type Member[T any] struct {
	Value T
	from  netip.Addr
	host  *host[T]
	index int // in host.members
}

type host[T any] struct {
	from    netip.Prefix
	members []*Member[T]
	index   int // in bySize[len(members)]
}

// From returns the address that Add was called with.
func (m *Member[T]) From() netip.Addr { return m.from }

// Len returns the number of members.
func (s *Set[T]) Len() int { return s.size }

// Add adds v, which comes from an address. All addresses of an IPv6 /64 network
// count as one host, since a single host is given that much (RFC 4291, section
// 2.5.1), except link-local ones. The zero Addr also counts as a host.
func (s *Set[T]) Add(from netip.Addr, v T) *Member[T] {
	prefix := Host(from)
	h := s.hosts[prefix]
	if h == nil {
		if s.hosts == nil {
			s.hosts = make(map[netip.Prefix]*host[T])
			s.bySize = make([][]*host[T], 1)
		}
		h = &host[T]{from: prefix}
		s.hosts[prefix] = h
	} else {
		s.unlist(h)
	}
	m := &Member[T]{Value: v, from: from, host: h, index: len(h.members)}
	h.members = append(h.members, m)
	s.list(h)
	s.size++
	return m
}

// Remove removes m, which must be in the set.
func (s *Set[T]) Remove(m *Member[T]) {
	h := m.host
	s.unlist(h)
	last := len(h.members) - 1
	h.members[m.index] = h.members[last]
	h.members[m.index].index = m.index
	h.members[last] = nil
	h.members = h.members[:last]
	if last > 0 {
		s.list(h)
	} else {
		delete(s.hosts, h.from)
	}
	for n := len(s.bySize) - 1; n > 0 && len(s.bySize[n]) == 0; n-- {
		s.bySize = s.bySize[:n]
	}
	s.size--
}

// Pick returns a random member of the host that has the most, choosing among
// hosts with equally many at random. The set must not be empty.
func (s *Set[T]) Pick() *Member[T] {
	most := s.bySize[len(s.bySize)-1]
	members := most[rand.IntN(len(most))].members
	return members[rand.IntN(len(members))]
}

// list puts h into bySize.
func (s *Set[T]) list(h *host[T]) {
	n := len(h.members)
	if n == len(s.bySize) {
		s.bySize = append(s.bySize, nil)
	}
	h.index = len(s.bySize[n])
	s.bySize[n] = append(s.bySize[n], h)
}

// unlist takes h out of bySize.
func (s *Set[T]) unlist(h *host[T]) {
	same := s.bySize[len(h.members)]
	last := len(same) - 1
	same[h.index] = same[last]
	same[h.index].index = h.index
	same[last] = nil
	s.bySize[len(h.members)] = same[:last]
}

// Host returns the part of an address that identifies its host: the address
// itself, or the first 64 bits of an IPv6 address that is not link-local. For
// the zero Addr it is the zero Prefix.
func Host(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	if addr.Is6() && !addr.IsLinkLocalUnicast() {
		return netip.PrefixFrom(addr.WithZone(""), 64).Masked()
	}
	return netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
}
