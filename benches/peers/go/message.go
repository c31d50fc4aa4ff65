package main

import (
	"encoding/binary"
	"slices"
)

// lengthSize is the size of the big-endian length before a payload.
const lengthSize = 4

// inverted is how many bytes at the start of a reply's payload are inverted.
const inverted = 4

// workRounds is how much a handler computes for each request.
var workRounds int

// appendReply adds the frame of the reply to a payload: a new first word, and a copy of the rest.
func appendReply(out, payload []byte) []byte {
	out = slices.Grow(out, lengthSize+len(payload))
	start := len(out)
	fillReply(out[start:start+lengthSize+len(payload)], payload)
	return out[:start+lengthSize+len(payload)]
}

// fillReply makes the reply to a payload in a frame that is long enough.
func fillReply(frame, payload []byte) {
	binary.BigEndian.PutUint32(frame, uint32(len(payload)))
	reply := frame[lengthSize:]
	copy(reply, payload)
	for index := range reply[:min(inverted, len(reply))] {
		reply[index] ^= 0xff
	}
	if workRounds > 0 {
		compute(reply)
	}
}

// compute keeps the processor busy, and cannot be left out.
func compute(reply []byte) {
	state := uint32(len(reply)) | 1
	for range workRounds {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
	}
	if state == 0 {
		panic("xorshift never comes to 0")
	}
}

// payloadSize is what a frame's first bytes say.
func payloadSize(frame []byte) int { return int(binary.BigEndian.Uint32(frame)) }
