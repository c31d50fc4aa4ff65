package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

var errTimeout = errors.New("no reply in time")

// callNetPool is Go's own net with a pool of connections: who calls takes one, has it alone, and gives it
// back. The time limit is the connection's deadline.
func callNetPool(asked settings) error {
	free := make(chan *pooledConn, asked.connections)
	for range asked.connections {
		conn, err := net.Dial(asked.at.network, asked.at.address)
		if err != nil {
			return err
		}
		free <- &pooledConn{conn: conn, reader: bufio.NewReader(conn)}
	}
	runCallers(asked, func() callFunc {
		var reply []byte
		return func(request []byte) ([]byte, error) {
			conn := <-free
			defer func() { free <- conn }()
			var err error
			reply, err = conn.call(request, reply, asked.timeout)
			return reply, err
		}
	})
	return nil
}

type pooledConn struct {
	conn   net.Conn
	reader *bufio.Reader
	frame  []byte
}

func (c *pooledConn) call(request, memory []byte, timeout time.Duration) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	c.frame = appendFrame(c.frame[:0], request)
	if _, err := c.conn.Write(c.frame); err != nil {
		return nil, err
	}
	return readRequest(c.reader, memory)
}

// appendFrame adds a message of this payload.
func appendFrame(out, payload []byte) []byte {
	out = slices.Grow(out, lengthSize+len(payload))
	out = binary.BigEndian.AppendUint32(out, uint32(len(payload)))
	return append(out, payload...)
}

// callNetMux shares connections: a goroutine writes the requests of each, another reads the replies, which
// come in the order of the requests. A timer is the time limit.
func callNetMux(asked settings) error {
	conns := make([]*muxConn, asked.connections)
	for index := range conns {
		conn, err := net.Dial(asked.at.network, asked.at.address)
		if err != nil {
			return err
		}
		conns[index] = &muxConn{
			requests: make(chan *pendingCall, 1024), pending: make(chan *pendingCall, 64<<10),
		}
		go conns[index].write(conn)
		go conns[index].read(conn)
	}
	var next atomic.Uint32
	runCallers(asked, func() callFunc {
		return func(request []byte) ([]byte, error) {
			conn := conns[int(next.Add(1))%len(conns)]
			call := &pendingCall{frame: appendFrame(nil, request), reply: make(chan []byte, 1)}
			conn.requests <- call
			return call.wait(asked.timeout)
		}
	})
	return nil
}

type pendingCall struct {
	frame []byte
	reply chan []byte
}

var timers = sync.Pool{New: func() any { return time.NewTimer(time.Hour) }}

func (c *pendingCall) wait(timeout time.Duration) ([]byte, error) {
	timer := timers.Get().(*time.Timer)
	timer.Reset(timeout)
	defer timers.Put(timer)
	defer timer.Stop()
	select {
	case reply := <-c.reply:
		return reply, nil
	case <-timer.C:
		return nil, errTimeout
	}
}

type muxConn struct {
	// requests wait to be written, pending ones for their reply.
	requests, pending chan *pendingCall
}

func (c *muxConn) write(conn net.Conn) {
	writer := bufio.NewWriterSize(conn, batchSize)
	for call := range c.requests {
		c.pending <- call
		if _, err := writer.Write(call.frame); err != nil {
			fail(err)
		}
		if len(c.requests) == 0 {
			// Callers that could go on get to add their requests first.
			runtime.Gosched()
		}
		if len(c.requests) == 0 {
			if err := writer.Flush(); err != nil {
				fail(err)
			}
		}
	}
}

func (c *muxConn) read(conn net.Conn) {
	reader := bufio.NewReaderSize(conn, batchSize)
	for {
		reply, err := readRequest(reader, nil)
		if err != nil {
			fail(err)
		}
		(<-c.pending).reply <- reply
	}
}
