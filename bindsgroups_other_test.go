//go:build !unix

package chanio

// bindsGroups says that an endpoint can be bound to a group's address.
const bindsGroups = false
