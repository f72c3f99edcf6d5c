package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// checkControl looks at what is served over TCP.
func (f *File) checkControl() {
	const at = "control"
	c, r := &f.Control, f.read
	f.checkAddress(at+".listen", c.Listen)
	f.checkAddress("metrics.listen", f.Metrics.Listen)
	r.checkPair(at+".tls", c.TLS.CertFile, c.TLS.KeyFile)
	switch {
	case !r.usable(at+".listen", at+".token"):
	case c.Listen != "" && c.Token == "":
		r.complain(at+".token", "missing: control.listen lets other programs restart, scale and read everything here, so it needs one; "+
			"`openssl rand -hex 32` makes one, and token: file:/path reads it from a file")
	case c.Token != "" && strings.ContainsFunc(c.Token.Reveal(), func(c rune) bool { return c <= ' ' || c > '~' }):
		r.complain(at+".token", "it has characters that cannot stand in the header of a request: use letters and digits")
	case c.Token != "" && len(c.Token) < 16:
		r.complain(at+".token", "shorter than 16 characters, so that it could be guessed: `openssl rand -hex 32` makes one")
	}
	if c.Listen != "" && c.Listen == f.Metrics.Listen && r.usable(at+".listen", "metrics.listen") {
		r.complain("metrics.listen", "%s is control.listen: give it another port", c.Listen)
	}
}

// checkAddress looks at host:port; "" is none.
func (f *File) checkAddress(at, address string) {
	if address == "" || !f.read.usable(at) {
		return
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		f.read.complain(at, "%q is not host:port: write it like 127.0.0.1:9670", address)
		return
	}
	if n, _ := strconv.Atoi(port); n < 1 || n > 65535 {
		f.read.complain(at, "the port %s is not possible: it must be from 1 to 65535", port)
	}
}

// beyond reports whether other machines may reach the address. A name other than
// localhost counts as one that they can.
func beyond(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	if host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsLoopback()
}

// lintControl warns of a token that can be read on its way.
func (f *File) lintControl() {
	c := &f.Control
	if c.Listen != "" && c.TLS == (Certificate{}) && beyond(c.Listen) {
		f.read.warn("control.listen", "%s can be reached from other machines, and without control.tls the token crosses the network in the clear", c.Listen)
	}
	for _, at := range []string{"control.token", "control.tls"} {
		if c.Listen == "" && f.read.given(at) {
			f.read.warn(at, "not used: it is for control.listen, which is not there")
		}
	}
}
