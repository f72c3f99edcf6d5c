package embedded

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"slices"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// guest may log in from this machine when no users are configured.
const guest = "guest"

// mechanisms is what connection.start offers, in RabbitMQ's order.
const mechanisms = "AMQPLAIN PLAIN"

// logins is how many passwords are checked at the same time: each may take all
// of a processor and 256 MiB for a moment.
const logins = 2

// authenticator says who may log in.
type authenticator struct {
	users map[string]Hash // nil: guest from this machine; else guest only by Dial
	decoy Hash            // for users that do not exist, who shall take as long
	slots chan struct{}   // logins that are being checked
}

func newAuthenticator(users map[string]Hash) *authenticator {
	a := &authenticator{users: maps.Clone(users), slots: make(chan struct{}, logins)}
	for _, user := range slices.Sorted(maps.Keys(users)) {
		a.decoy = users[user]
	}
	return a
}

// check returns why the user is refused, or "". It waits for a free slot and then
// as long as the hash takes, the same for all outcomes.
func (a *authenticator) check(user, password string, from net.Addr) (refused string) {
	_, inside := from.(pipeAddr)
	if _, ok := a.users[guest]; !ok && user == guest && password == guest && (a.users == nil || inside) {
		if !isLocal(from) {
			return fmt.Sprintf("user '%s' can only connect via localhost", user)
		}
		return ""
	}
	a.slots <- struct{}{}
	defer func() { <-a.slots }()
	hash, known := a.users[user]
	if !known {
		hash = a.decoy
	}
	if hash == "" || !hash.matches(password) || !known {
		return fmt.Sprintf("user '%s' - invalid credentials", user)
	}
	return ""
}

// isLocal reports whether an address is this machine's: loopback, a unix socket
// or Dial.
func isLocal(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr, pipeAddr:
		return true
	}
	return false
}

// credentials reads the response of a SASL mechanism. The failure quotes
// nothing of it.
func credentials(mechanism string, response []byte) (user, password string, f *failure) {
	switch mechanism {
	case "PLAIN":
		return plain(response)
	case "AMQPLAIN":
		return amqplain(response)
	}
	return "", "", failf(wire.CodeCommandInvalid, "unknown authentication mechanism '%s'", mechanism)
}

// plain reads "\0user\0password"; RabbitMQ takes no other identity.
func plain(response []byte) (user, password string, f *failure) {
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 || len(parts[0]) > 0 {
		return "", "", failf(wire.CodeSyntaxError, "PLAIN: invalid response")
	}
	return string(parts[1]), string(parts[2]), nil
}

// amqplain reads a field table.
func amqplain(response []byte) (user, password string, f *failure) {
	t, err := wire.ParseTable(response)
	if err != nil {
		return "", "", failf(wire.CodeSyntaxError, "AMQPLAIN: invalid response")
	}
	user, ok := t["LOGIN"].(string)
	password, ok2 := t["PASSWORD"].(string)
	if !ok || !ok2 {
		return "", "", failf(wire.CodeSyntaxError, "AMQPLAIN auth info is missing LOGIN or PASSWORD field")
	}
	return user, password, nil
}
