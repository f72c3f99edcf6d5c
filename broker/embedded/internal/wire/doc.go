// Package wire reads and writes AMQP 0-9-1 as RabbitMQ speaks it: frames,
// methods, field tables and message properties.
//
//	r := wire.NewReader(conn)
//	err := r.ReadProtocolHeader()
//	f, err := r.ReadFrame()            // one frame
//	m, err := wire.ParseMethod(f.Payload) // of a method frame
//	switch m := m.(type) {
//	case *wire.QueueDeclare:
//		out = wire.AppendMethodFrame(out, f.Channel, &wire.QueueDeclareOk{Queue: m.Queue})
//	}
//
// It is pure: no goroutine, no lock, no clock, no network but the io.Reader of a
// Reader. Only a Reader blocks, and only as its io.Reader does. A Reader or a
// Parser belongs to one goroutine; everything else may be called by many.
//
// # Guarantees
//
// What is parsed comes from outside and is not trusted. No input makes a parser
// panic, recurse deeper than MaxTableDepth, or allocate more than a small
// multiple of the input's length; the length of a frame is checked against the
// limit before memory is taken for it. Bytes that are left over are an error as
// well as bytes that are missing.
//
// Errors of the peer are a *FrameError, a *SyntaxError or an
// *UnknownMethodError; each has the reply code for connection.close as Code.
// Their texts quote nothing of the input but numbers.
//
// What ParseMethod, ParseTable and ParseProperties return shares no memory with
// the input. The Payload of a Frame, the Raw of a ContentHeader and what a
// PropertyView has do.
//
// Append functions append to a slice, as append does, and what they append, the
// parsers read back to the same value. A short string that is longer than the
// 255 bytes which the protocol allows is cut, between two characters, by the
// functions that return no error.
//
// The methods are generated from the specification: methods_gen.go.
package wire

//go:generate go run ./gen methods_gen.go
