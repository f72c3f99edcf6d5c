package engine

import (
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Headers by which a publisher routes to more keys; consumers do not see that of
// blind copies.
const (
	copyHeader  = "CC"
	blindHeader = "BCC"
)

// moreKeys reads the routing keys in the headers.
func (in *inbound) moreKeys() error {
	for _, name := range []string{copyHeader, blindHeader} {
		v, ok := wire.FindField(in.headers, name)
		if !ok {
			continue
		}
		keys, ok := v.([]any)
		if !ok {
			return errorf(wire.CodePreconditionFailed,
				"invalid message: {unacceptable_type_in_header,\"%s\",%s}", name, wire.TypeName(v))
		}
		in.more = appendStrings(in.more, keys)
		in.blind = in.blind || name == blindHeader
	}
	return nil
}

func appendStrings(dst []string, values []any) []string {
	for _, v := range values {
		if s, ok := v.(string); ok {
			dst = append(dst, s)
		}
	}
	return dst
}

// copies returns the further routing keys of a message that has been accepted, and
// whether some of them are blind.
func copies(props []byte) (keys []string, blind bool) {
	view, err := wire.ViewProperties(props)
	if err != nil || len(view.Headers) == 0 {
		return nil, false
	}
	in := inbound{headers: view.Headers}
	_ = in.moreKeys() // it was accepted
	return in.more, in.blind
}

// withoutBlind takes out the header of blind copies. It is there as long as the
// message is in a queue: a dead letter goes to its keys again.
func withoutBlind(props []byte) []byte {
	return editHeaders(props, func(h wire.Table) { delete(h, blindHeader) })
}

// withDeliveryCount sets the header by which quorum queues tell how often a message
// came back.
func withDeliveryCount(props []byte, n uint32) []byte {
	return editHeaders(props, func(h wire.Table) { h["x-delivery-count"] = int64(n) })
}

// editHeaders returns a copy of properties with other headers, or props itself if
// there is no room for another one.
func editHeaders(props []byte, edit func(wire.Table)) []byte {
	p, err := wire.ParseProperties(props)
	if err != nil {
		return props // it was accepted, so it is not
	}
	if p.Headers == nil {
		p.Headers = wire.Table{}
		p.Present |= wire.PropHeaders
	}
	edit(p.Headers)
	raw, err := p.AppendRaw(nil)
	if err != nil {
		return props
	}
	return raw
}
