package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cloudwego/netpoll"
	"github.com/cloudwego/netpoll/mux"
)

const dialTimeout = 5 * time.Second

// callNetpollPool is Netpoll with a pool of connections: who calls takes one, has it alone, and gives it
// back. The time limit is the connection's read timeout.
func callNetpollPool(asked settings) error {
	free := make(chan netpoll.Connection, asked.connections)
	for range asked.connections {
		conn, err := netpoll.NewDialer().DialConnection(asked.at.network, asked.at.address, dialTimeout)
		if err != nil {
			return err
		}
		if err := conn.SetReadTimeout(asked.timeout); err != nil {
			return err
		}
		free <- conn
	}
	runCallers(asked, func() callFunc {
		var reply []byte
		return func(request []byte) ([]byte, error) {
			conn := <-free
			defer func() { free <- conn }()
			var err error
			reply, err = callNetpoll(conn, request, reply)
			return reply, err
		}
	})
	return nil
}

func callNetpoll(conn netpoll.Connection, request, memory []byte) ([]byte, error) {
	frame, err := conn.Writer().Malloc(lengthSize + len(request))
	if err != nil {
		return nil, err
	}
	appendFrame(frame[:0], request)
	if err := conn.Writer().Flush(); err != nil {
		return nil, err
	}
	return readReply(conn.Reader(), memory)
}

// readReply copies the payload out, so that the reader's memory is free again.
func readReply(reader netpoll.Reader, memory []byte) ([]byte, error) {
	length, err := reader.Next(lengthSize)
	if err != nil {
		return nil, err
	}
	payload, err := reader.Next(payloadSize(length))
	if err != nil {
		return nil, err
	}
	reply := append(memory[:0], payload...)
	return reply, reader.Release()
}

// callNetpollMux is how Netpoll wants connections shared: a queue merges the requests of a connection, and
// its replies are sliced off in the order of the requests. A timer is the time limit.
func callNetpollMux(asked settings) error {
	conns := make([]*netpollMuxConn, asked.connections)
	for index := range conns {
		conn, err := netpoll.NewDialer().DialConnection(asked.at.network, asked.at.address, dialTimeout)
		if err != nil {
			return err
		}
		shared := &netpollMuxConn{pending: make(chan *pendingCall, 64<<10)}
		if err := conn.SetOnRequest(shared.onReply); err != nil {
			return err
		}
		shared.queue = mux.NewShardQueue(mux.ShardSize, conn)
		conns[index] = shared
	}
	var next atomic.Uint32
	runCallers(asked, func() callFunc {
		return func(request []byte) ([]byte, error) {
			return conns[int(next.Add(1))%len(conns)].call(request, asked.timeout)
		}
	})
	return nil
}

type netpollMuxConn struct {
	queue *mux.ShardQueue
	// pending calls wait for their reply.
	pending chan *pendingCall
}

func (c *netpollMuxConn) call(request []byte, timeout time.Duration) ([]byte, error) {
	writer := netpoll.NewLinkBuffer()
	frame, err := writer.Malloc(lengthSize + len(request))
	if err != nil {
		return nil, err
	}
	appendFrame(frame[:0], request)
	call := &pendingCall{reply: make(chan []byte, 1)}
	c.queue.Add(func() (netpoll.Writer, bool) {
		// One at a time, in the order in which the requests leave.
		c.pending <- call
		return writer, false
	})
	return call.wait(timeout)
}

func (c *netpollMuxConn) onReply(_ context.Context, conn netpoll.Connection) error {
	reply, err := readReply(conn.Reader(), nil)
	if err != nil {
		return err
	}
	(<-c.pending).reply <- reply
	return nil
}
