package wire

import "encoding/binary"

// ProtocolHeader is what a client sends first.
const ProtocolHeader = "AMQP\x00\x00\x09\x01"

// Types of frames.
const (
	FrameMethod    uint8 = 1
	FrameHeader    uint8 = 2
	FrameBody      uint8 = 3
	FrameHeartbeat uint8 = 8
)

const (
	// MinFrameSize is the least frame-max that may be negotiated, and the limit
	// until one has been. Sizes of frames, in bytes, include FrameOverhead.
	MinFrameSize = 4096
	// FrameOverhead is what a frame has beside its payload.
	FrameOverhead = frameHeader + 1

	frameHeader = 7 // type, channel, size of the payload
	frameEnd    = 0xce
)

// Frame is one frame. Its payload belongs to the Reader and is valid until the
// next ReadFrame.
type Frame struct {
	Type    uint8
	Channel uint16
	Payload []byte
}

// beginFrame appends the header of a frame; endFrame completes the frame that
// begins at start.
func beginFrame(dst []byte, typ uint8, channel uint16) []byte {
	return append(dst, typ, byte(channel>>8), byte(channel), 0, 0, 0, 0)
}

func endFrame(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start+3:], uint32(len(dst)-start-frameHeader))
	return append(dst, frameEnd)
}

// AppendFrame appends a whole frame.
func AppendFrame(dst []byte, typ uint8, channel uint16, payload []byte) []byte {
	start := len(dst)
	return endFrame(append(beginFrame(dst, typ, channel), payload...), start)
}

// AppendHeartbeat appends a heartbeat frame.
func AppendHeartbeat(dst []byte) []byte {
	return AppendFrame(dst, FrameHeartbeat, 0, nil)
}

// AppendMethodFrame appends a method frame. It panics when AppendMethod does.
func AppendMethodFrame(dst []byte, channel uint16, m Method) []byte {
	start := len(dst)
	return endFrame(AppendMethod(beginFrame(dst, FrameMethod, channel), m), start)
}
