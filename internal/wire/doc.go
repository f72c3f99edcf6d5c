// Package wire speaks MWP/1, the protocol between the supervisor and the worker
// processes of process mode: frames, their limits, and the rules of a
// conversation.
//
// A frame is one JSON object on a line of its own and, if the object has a len,
// as many raw bytes after it:
//
//	{"t":"task","id":17,"name":"resize","attempt":1,"len":2}
//	[]{"t":"drain","deadline_ms":10000}
//
// A Reader and a Writer are the two ends of a pipe, the same for supervisor and
// worker. A Session judges what a worker says: whether a frame may come now,
// and what a reply settles.
//
//	r := wire.NewReader(fromWorker, wire.Limits{})
//	var s wire.Session
//	for {
//		f, err := r.Next()
//		if err != nil {
//			return err // io.EOF, or a *ProtocolError: kill the worker
//		}
//		meaning, err := s.Receive(&f)
//		...
//	}
//
// # Guarantees
//
// Nothing that a peer sends can panic a Reader or a Session, make a Reader hold
// more than a header, a body within the limit and twice what has arrived of it,
// or make a call loop without reading: both are fuzzed. After an error a Reader
// returns the same error for ever, because with it the boundary between frames
// is lost.
//
// Two frames of one type and content have one encoding, and what a Writer writes
// a Reader with the same limits reads as the same Frame, but for what JSON and
// the protocol cannot say: an empty slice or map is an absent one, a duration is
// whole milliseconds, and text that is not UTF-8 has U+FFFD in the place of what
// is not.
//
// A Writer puts t first, then id, n or deadline_ms, then name, and len last, with
// no space between them, so that a worker without a JSON parser can read a header
// (sdk/sh).
//
// Next blocks until a whole frame has arrived, Write until the frame is written;
// set deadlines on the pipe itself. Reader, Writer and Session belong to one
// goroutine at a time; a Reader and a Writer of one worker are independent of
// each other. Nobody here closes anything or starts a goroutine.
//
// # What MWP/1 leaves open
//
// The body of a task with content type application/json is what AppendArgs
// writes: an object with the positional arguments in args and the named ones in
// kwargs. Every other content type is opaque to the SDKs, and the handler's only
// argument. A len of 0 is no body. null is an absent key. A key that the frame
// type does not use is ignored, whatever its value; one that it uses may stand
// in a header once only.
package wire
