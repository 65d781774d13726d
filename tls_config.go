package chanio

import (
	"crypto/tls"
	"net"
)

// serverTLS returns the config for one handshake of a server whose user gave c.
// It copies c as it is now, so ticket keys set by c.SetSessionTicketKeys
// meanwhile take effect, and listeners that share c resume each other's
// sessions.
func serverTLS(c *tls.Config) *tls.Config {
	// A config generates its automatic ticket keys on first use, and a copy
	// inherits them. There is no ticket; only the keys are wanted.
	_, _ = c.DecryptTicket(nil, tls.ConnectionState{})
	return ownTLS(c)
}

// clientTLS returns the config of a client whose user gave c. It sets the
// server name even if c does not verify: a server chooses its certificate by
// name, and c.VerifyConnection may compare it.
func clientTLS(c *tls.Config, network, address string) *tls.Config {
	c = ownTLS(c)
	if c.ServerName == "" && network != "unix" {
		if host, _, err := net.SplitHostPort(address); err == nil { // always so, or net.Dialer would have failed
			c.ServerName = host
		}
	}
	return c
}

// ownTLS returns the library's copy of a user's config. TLS 1.2 is the minimum,
// whatever Go's default, and 1.3 for a client that encrypts its hello, as
// crypto/tls requires. Records have full size from the start, because
// recordConn gathers them into one write; crypto/tls starts with small ones,
// for browsers.
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
