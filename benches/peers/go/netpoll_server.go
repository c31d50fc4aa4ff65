package main

import (
	"context"

	"github.com/cloudwego/netpoll"
	"github.com/cloudwego/netpoll/mux"
)

// serveNetpoll handles one request each time Netpoll calls, and flushes its reply.
func serveNetpoll(at endpoint) error {
	return runNetpoll(at, func(_ context.Context, conn netpoll.Connection) error {
		if err := replyToNext(conn); err != nil {
			return err
		}
		return conn.Writer().Flush()
	})
}

// serveNetpollBatched handles all requests that have come, and flushes their replies together.
func serveNetpollBatched(at endpoint) error {
	return runNetpoll(at, func(_ context.Context, conn netpoll.Connection) error {
		for conn.Reader().Len() >= lengthSize {
			if err := replyToNext(conn); err != nil {
				return err
			}
		}
		return conn.Writer().Flush()
	})
}

func replyToNext(conn netpoll.Connection) error {
	reader := conn.Reader()
	length, err := reader.Next(lengthSize)
	if err != nil {
		return err
	}
	size := payloadSize(length)
	payload, err := reader.Next(size)
	if err != nil {
		return err
	}
	frame, err := conn.Writer().Malloc(lengthSize + size)
	if err != nil {
		return err
	}
	fillReply(frame, payload)
	return reader.Release()
}

type queueKey struct{}

// serveNetpollMux is how Netpoll wants multiplexed connections served: each request is sliced off and
// handled in a goroutine of its own, and a queue merges the replies of a connection, in the order in
// which they are ready.
func serveNetpollMux(at endpoint) error {
	prepare := netpoll.WithOnPrepare(func(conn netpoll.Connection) context.Context {
		return context.WithValue(context.Background(), queueKey{}, mux.NewShardQueue(mux.ShardSize, conn))
	})
	handle := func(ctx context.Context, conn netpoll.Connection) error {
		queue := ctx.Value(queueKey{}).(*mux.ShardQueue)
		length, err := conn.Reader().Peek(lengthSize)
		if err != nil {
			return err
		}
		request, err := conn.Reader().Slice(lengthSize + payloadSize(length))
		if err != nil {
			return err
		}
		go replyTo(request, queue)
		return nil
	}
	return runNetpoll(at, handle, prepare)
}

func replyTo(request netpoll.Reader, queue *mux.ShardQueue) {
	defer request.Release()
	size := request.Len() - lengthSize
	if request.Skip(lengthSize) != nil {
		return
	}
	payload, err := request.Next(size)
	if err != nil {
		return
	}
	reply := netpoll.NewLinkBuffer()
	frame, err := reply.Malloc(lengthSize + size)
	if err != nil {
		return
	}
	fillReply(frame, payload)
	queue.Add(func() (netpoll.Writer, bool) { return reply, false })
}

func runNetpoll(at endpoint, handle netpoll.OnRequest, options ...netpoll.Option) error {
	listener, err := netpoll.CreateListener(at.network, at.address)
	if err != nil {
		return err
	}
	loop, err := netpoll.NewEventLoop(handle, options...)
	if err != nil {
		return err
	}
	announce(listener.Addr())
	return loop.Serve(listener)
}
