package main

import (
	"fmt"
	"net"
	"os"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
)

type gnetServer struct {
	gnet.BuiltinEventEngine
}

// serveGnet handles requests on gnet's event loop, which is as fast as it gets: all that have come,
// and one write for their replies.
func serveGnet(at endpoint) error {
	return gnet.Run(&gnetServer{}, at.network+"://"+at.address,
		gnet.WithMulticore(true), gnet.WithLogLevel(logging.ErrorLevel))
}

func (s *gnetServer) OnBoot(engine gnet.Engine) gnet.Action {
	address, err := listeningAddress(engine)
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		return gnet.Shutdown
	}
	announce(address)
	return gnet.None
}

// listeningAddress finds out which port the system has chosen.
func listeningAddress(engine gnet.Engine) (net.Addr, error) {
	descriptor, err := engine.Dup()
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(descriptor), "listener")
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	return listener.Addr(), nil
}

func (s *gnetServer) OnOpen(conn gnet.Conn) ([]byte, gnet.Action) {
	conn.SetContext(&[]byte{})
	return nil, gnet.None
}

func (s *gnetServer) OnTraffic(conn gnet.Conn) gnet.Action {
	memory := conn.Context().(*[]byte)
	replies := (*memory)[:0]
	for {
		length, err := conn.Peek(lengthSize)
		if err != nil {
			break
		}
		size := payloadSize(length)
		if conn.InboundBuffered() < lengthSize+size {
			break
		}
		if _, err = conn.Discard(lengthSize); err != nil {
			return gnet.Close
		}
		payload, err := conn.Next(size)
		if err != nil {
			return gnet.Close
		}
		replies = appendReply(replies, payload)
	}
	*memory = replies
	if len(replies) == 0 {
		return gnet.None
	}
	if _, err := conn.Write(replies); err != nil {
		return gnet.Close
	}
	return gnet.None
}
