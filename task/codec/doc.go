// Package codec reads and writes the bodies of task messages.
//
// Two formats are known, by the name that selects them in magne.yaml:
//
//   - "magne": {"func": "name", "args": [...]}, what magne's publishers send.
//   - "json": {"task": "name", "id": "...", "args": [...], "kwargs": {...},
//     "headers": {...}}, where all but task is optional.
//
// docs/messages.md describes both for those who write publishers.
//
// # Guarantees
//
// A body comes from outside and is not trusted. Decode never panics and never
// recurses; its time is linear in the size of the body, which the caller bounds.
// It refuses, with an error that names the place: an empty body, invalid UTF-8,
// anything but one JSON object, nesting deeper than MaxDepth, values of a wrong
// type (null too), a key of the format that occurs twice or differs from it in
// case only, and a task name that CheckName refuses. Keys that the format does
// not have are ignored, so that publishers may send more than we read.
//
// The error texts quote at most a few dozen bytes of the body, escaped, and can
// be logged and put into headers.
//
// The Args and Kwargs of a decoded message are slices of the body, which must
// not be changed as long as the message is in use.
//
// A string in the AMQP headers becomes a header of the message unless the body
// has one of that name. AMQP headers of all other types (numbers, tables, the
// x-death array, ...) are ignored; none can make a message undecodable. The AMQP
// message id is the message's id when the body has none.
//
// What Encode writes, Decode reads back to the same message; Encode refuses what
// Decode would.
package codec
