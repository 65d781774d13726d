package server

import (
	"slices"
	"sync"
	"sync/atomic"
)

// members is a set that is read often and changed rarely: each change makes a
// new slice, so reading takes no lock.
type members[T comparable] struct {
	mu  sync.Mutex
	set atomic.Pointer[[]T]
}

// all returns the current members. The slice must not be modified.
func (m *members[T]) all() []T {
	if p := m.set.Load(); p != nil {
		return *p
	}
	return nil
}

func (m *members[T]) add(v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	set := append(slices.Clip(m.all()), v)
	m.set.Store(&set)
}

func (m *members[T]) remove(v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	set := slices.DeleteFunc(slices.Clone(m.all()), func(other T) bool { return other == v })
	m.set.Store(&set)
}
