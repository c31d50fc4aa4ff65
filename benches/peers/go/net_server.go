package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"slices"
)

// batchSize is how much the batching server reads and writes at a time.
const batchSize = 64 << 10

// serveNet is Go's own net as it is used: a goroutine for each connection, which reads a request,
// handles it and writes the reply.
func serveNet(at endpoint) error {
	return accept(at, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		var request, reply []byte
		var err error
		for {
			if request, err = readRequest(reader, request); err != nil {
				return
			}
			reply = appendReply(reply[:0], request)
			if _, err = conn.Write(reply); err != nil {
				return
			}
		}
	})
}

// serveNetBatched is the same with replies that wait until no whole request is left to handle.
func serveNetBatched(at endpoint) error {
	return accept(at, func(conn net.Conn) {
		reader, writer := bufio.NewReaderSize(conn, batchSize), bufio.NewWriterSize(conn, batchSize)
		var request, reply []byte
		var err error
		for {
			if !hasRequest(reader) && writer.Flush() != nil {
				return
			}
			if request, err = readRequest(reader, request); err != nil {
				return
			}
			reply = appendReply(reply[:0], request)
			if _, err = writer.Write(reply); err != nil {
				return
			}
		}
	})
}

// serveNetMux handles each request in a goroutine of its own; another writes the replies of a
// connection, in the order in which they are ready.
func serveNetMux(at endpoint) error {
	return accept(at, func(conn net.Conn) {
		replies := make(chan []byte, 1024)
		gone := make(chan struct{})
		defer close(gone)
		go writeReplies(conn, replies, gone)
		reader := bufio.NewReaderSize(conn, batchSize)
		for {
			request, err := readRequest(reader, nil)
			if err != nil {
				return
			}
			go func() {
				select {
				case replies <- appendReply(nil, request):
				case <-gone:
				}
			}()
		}
	})
}

func writeReplies(conn net.Conn, replies <-chan []byte, gone <-chan struct{}) {
	defer conn.Close()
	writer := bufio.NewWriterSize(conn, batchSize)
	for {
		select {
		case reply := <-replies:
			if _, err := writer.Write(reply); err != nil {
				return
			}
		case <-gone:
			return
		}
		if len(replies) == 0 {
			// Handlers that could go on get to add their replies first.
			runtime.Gosched()
		}
		if len(replies) == 0 && writer.Flush() != nil {
			return
		}
	}
}

func accept(at endpoint, serve func(net.Conn)) error {
	listener, err := net.Listen(at.network, at.address)
	if err != nil {
		return err
	}
	announce(listener.Addr())
	if at.tls != nil {
		listener = tls.NewListener(listener, at.tls)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			serve(conn)
		}()
	}
}

// readRequest reads the payload of a message, into memory if it is enough.
func readRequest(reader *bufio.Reader, memory []byte) ([]byte, error) {
	length, err := reader.Peek(lengthSize)
	if err != nil {
		return nil, err
	}
	size := payloadSize(length)
	if _, err := reader.Discard(lengthSize); err != nil {
		return nil, err
	}
	request := slices.Grow(memory[:0], size)[:size]
	_, err = io.ReadFull(reader, request)
	return request, err
}

// hasRequest tells whether a whole message has been read already.
func hasRequest(reader *bufio.Reader) bool {
	if reader.Buffered() < lengthSize {
		return false
	}
	length, err := reader.Peek(lengthSize)
	return err == nil && reader.Buffered() >= lengthSize+payloadSize(length)
}
