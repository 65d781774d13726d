package chanio

import (
	"crypto/tls"
	"net"
)

// serverTLS returns the config of one handshake of a server whose user gave c. It is
// a copy of c as it is now: keys that c.SetSessionTicketKeys has set meanwhile hold,
// and listeners that share c resume each other's sessions.
func serverTLS(c *tls.Config) *tls.Config {
	// A config makes the keys that it rotates itself when it first uses them, and a
	// copy takes them along. There is no ticket; only the keys are wanted.
	_, _ = c.DecryptTicket(nil, tls.ConnectionState{})
	return ownTLS(c)
}

// clientTLS returns the config of a client whose user gave c. It names the server,
// also where c verifies nobody: a server chooses its certificate by the name, and
// c.VerifyConnection may compare it.
func clientTLS(c *tls.Config, network, address string) *tls.Config {
	c = ownTLS(c)
	if c.ServerName == "" && network != "unix" {
		if host, _, err := net.SplitHostPort(address); err == nil { // or net.Dialer would not have taken it
			c.ServerName = host
		}
	}
	return c
}

// ownTLS returns the library's copy of a user's config: TLS 1.2 is the floor,
// whatever Go's default, and 1.3 for a client that encrypts its hello, as crypto/tls
// demands. Records have their full size at once, because recordConn gathers them
// into one write; crypto/tls starts with small ones, for browsers.
func ownTLS(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	if len(c.EncryptedClientHelloConfigList) > 0 {
		c.MinVersion = max(c.MinVersion, tls.VersionTLS13)
	}
	c.DynamicRecordSizingDisabled = true
	if choose := c.GetConfigForClient; choose != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if chosen == nil || err != nil {
				return nil, err
			}
			return ownTLS(chosen), nil
		}
	}
	return c
}
