//go:build !unix

package chanio_test

// bindsGroups reports whether an endpoint can be bound to a group's address.
const bindsGroups = false
