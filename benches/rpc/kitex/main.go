// Command kitex is the Thrift echo on CloudWeGo's Kitex:
//
//	kitex server --sharing pool|mux
//	kitex client --port PORT --sharing pool|mux --seconds 2
//
// The server prints `listening ADDRESS`, and serves until its standard input ends. The client prints `result {…}`.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/pkg/connpool"
	"github.com/cloudwego/kitex/pkg/klog"
	"github.com/cloudwego/kitex/server"
	"github.com/cloudwego/kitex/transport"

	"kitexbench/kitex_gen/echo"
	service "kitexbench/kitex_gen/echo/echoserver"
)

const (
	callers        = 100
	muxConnections = 4
	warmUp         = 700 * time.Millisecond
)

func main() {
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	port := flags.Int("port", 0, "port of the server to call")
	sharing := flags.String("sharing", "pool", "pool or mux")
	seconds := flags.Float64("seconds", 2, "how long to measure")
	_ = flags.Parse(os.Args[2:])
	klog.SetOutput(io.Discard)
	var err error
	if os.Args[1] == "server" {
		err = serve(*sharing == "mux")
	} else {
		err = load(*sharing == "mux", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)), *seconds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type handler struct{}

func (*handler) Echo(_ context.Context, request *echo.Request) (*echo.Response, error) {
	return &echo.Response{Action: request.Action, Msg: request.Msg}, nil
}

func serve(mux bool) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	options := []server.Option{server.WithListener(listener), server.WithExitWaitTime(0)}
	if mux {
		options = append(options, server.WithMuxTransport())
	}
	running := service.NewServer(&handler{}, options...)
	fmt.Println("listening", listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return running.Run()
}

func load(mux bool, address string, seconds float64) error {
	options := []client.Option{client.WithHostPorts(address), client.WithTransportProtocol(transport.TTHeader)}
	if mux {
		options = append(options, client.WithMuxConnection(muxConnections))
	} else {
		idle := connpool.IdleConfig{MaxIdlePerAddress: callers, MaxIdleGlobal: callers, MaxIdleTimeout: time.Minute}
		options = append(options, client.WithLongConnection(idle))
	}
	calls, err := service.NewClient("echo", options...)
	if err != nil {
		return err
	}
	var done atomic.Int64
	failures := make(chan error, callers)
	for range callers {
		go func() {
			message := strings.Repeat("x", 1024)
			for {
				reply, err := calls.Echo(context.Background(), &echo.Request{Action: "echo", Msg: message})
				if err == nil && len(reply.Msg) != len(message) {
					err = fmt.Errorf("another reply than was expected")
				}
				if err != nil {
					failures <- err
					return
				}
				done.Add(1)
			}
		}()
	}
	time.Sleep(warmUp)
	begin, before, cpu := time.Now(), done.Load(), processorTime()
	select {
	case err := <-failures:
		return err
	case <-time.After(time.Duration(seconds * float64(time.Second))):
	}
	count := float64(done.Load() - before)
	result := map[string]float64{
		"rate":               count / time.Since(begin).Seconds(),
		"clientMicroseconds": float64((processorTime() - cpu).Microseconds()) / count,
	}
	text, err := json.Marshal(result)
	fmt.Println("result", string(text))
	return err
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
