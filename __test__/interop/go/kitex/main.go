// Command kitex speaks interop.thrift by CloudWeGo's Kitex:
//
//	kitex server --transport framed|ttheader [--mux]
//	kitex client --port PORT --transport framed|ttheader [--mux]
//
// The server prints `listening PORT`, and serves until its standard input ends. The client calls a server in every
// way, and ends with 0 if all is as it should be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/bytedance/gopkg/cloud/metainfo"
	"github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/pkg/connpool"
	"github.com/cloudwego/kitex/pkg/kerrors"
	"github.com/cloudwego/kitex/pkg/klog"
	"github.com/cloudwego/kitex/pkg/remote"
	"github.com/cloudwego/kitex/pkg/rpcinfo"
	"github.com/cloudwego/kitex/pkg/transmeta"
	"github.com/cloudwego/kitex/server"
	"github.com/cloudwego/kitex/transport"

	"kitexinterop/kitex_gen/interop"
	service "kitexinterop/kitex_gen/interop/interop"
)

func main() {
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	port := flags.Int("port", 0, "port of the server to call")
	protocol := flags.String("transport", "ttheader", "framed or ttheader")
	mux := flags.Bool("mux", false, "share connections among calls")
	_ = flags.Parse(os.Args[2:])
	klog.SetOutput(io.Discard)
	var err error
	if os.Args[1] == "server" {
		err = serve(*mux)
	} else {
		err = call(*protocol, *mux, net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// handler is the service.
type handler struct {
	mutex sync.Mutex
	news  []string
}

func (h *handler) Echo(_ context.Context, value *interop.Everything) (*interop.Everything, error) {
	return value, nil
}

func (h *handler) Refuse(_ context.Context, code int32, why string) (string, error) {
	return "", &interop.Refused{Code: code, Why: why}
}

// Crash fails in a way that the service does not declare, or, for the text `status`, as applications of Kitex do.
func (h *handler) Crash(ctx context.Context, text string) (string, error) {
	if text == "status" {
		return "", kerrors.NewBizStatusError(404, "not found")
	}
	return "", errors.New(text)
}

func (h *handler) Wait(ctx context.Context, milliseconds int32) (string, error) {
	if milliseconds < 0 {
		trace, _ := metainfo.GetPersistentValue(ctx, "trace")
		deadline, hasDeadline := ctx.Deadline()
		return fmt.Sprintf("%s %v", trace, hasDeadline && time.Until(deadline) > 0), nil
	}
	time.Sleep(time.Duration(milliseconds) * time.Millisecond)
	return strconv.Itoa(int(milliseconds)), nil
}

func (h *handler) Blob(_ context.Context, size int32) ([]byte, error) { return blob(size), nil }

func (h *handler) Tell(_ context.Context, news string) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.news = append(h.news, news)
	return nil
}

func (h *handler) Told(context.Context) ([]string, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.news, nil
}

func (h *handler) Ping(context.Context) error { return nil }

func blob(size int32) []byte {
	bytes := make([]byte, size)
	for index := range bytes {
		bytes[index] = 'b'
	}
	return bytes
}

func serve(mux bool) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	options := []server.Option{
		server.WithListener(listener),
		server.WithMetaHandler(transmeta.ServerTTHeaderHandler),
		server.WithEnableContextTimeout(true),
		server.WithExitWaitTime(5 * time.Second),
	}
	if mux {
		options = append(options, server.WithMuxTransport())
	}
	running := service.NewServer(&handler{}, options...)
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = running.Stop()
	}()
	return running.Run()
}

func everything() *interop.Everything {
	leaf := &interop.Leaf{Name: "leaf", Weight: 3}
	text, far := "this", "far"
	return &interop.Everything{
		Yes:     true,
		Tiny:    -1,
		Small:   300,
		Middle:  -70_000,
		Large:   -(1 << 40),
		Real:    1.25,
		Text:    "häuser 😀",
		Bytes:   []byte{1, 2, 3, 255},
		Numbers: []int32{1, -2},
		Names:   []string{"a", "b"},
		Leaves:  map[string]*interop.Leaf{"one": leaf},
		Leaf:    leaf,
		Colour:  interop.Colour_GREEN,
		Choice:  &interop.Choice{Text: &text},
		Flags:   []bool{true, false},
		Grid:    [][]int64{{1}, {2, 3}},
		Far:     &far,
		Marks:   map[string]bool{"x": true, "y": false},
	}
}

func call(protocol string, mux bool, address string) error {
	options := []client.Option{
		client.WithHostPorts(address),
		client.WithRPCTimeout(30 * time.Second),
		client.WithMetaHandler(transmeta.ClientTTHeaderHandler),
		client.WithMetaHandler(transmeta.MetainfoClientHandler),
		client.WithClientBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: "caller"}),
	}
	if protocol == "ttheader" {
		options = append(options, client.WithTransportProtocol(transport.TTHeader))
	} else {
		options = append(options, client.WithTransportProtocol(transport.Framed))
	}
	if mux {
		options = append(options, client.WithMuxConnection(1))
	} else {
		options = append(options, client.WithLongConnection(connpool.IdleConfig{MaxIdlePerAddress: 10, MaxIdleGlobal: 10, MaxIdleTimeout: time.Minute}))
	}
	calls, err := service.NewClient("interop", options...)
	if err != nil {
		return err
	}
	checks := []func(context.Context, service.Client) error{checkResults, checkManyCalls, checkExceptions, checkOneway}
	if protocol == "ttheader" {
		checks = append(checks, checkMetadata)
	}
	for _, check := range checks {
		if err := check(context.Background(), calls); err != nil {
			return err
		}
	}
	return nil
}

func checkResults(ctx context.Context, calls service.Client) error {
	value := everything()
	echo, err := calls.Echo(ctx, value)
	if err != nil || !reflect.DeepEqual(echo, value) {
		return fmt.Errorf("echo: %v, %w", echo, err)
	}
	bytes, err := calls.Blob(ctx, 100_000)
	if err != nil || string(bytes) != string(blob(100_000)) {
		return fmt.Errorf("blob: %d bytes, %w", len(bytes), err)
	}
	return calls.Ping(ctx)
}

// checkManyCalls has calls that are answered in another order than they were made.
func checkManyCalls(ctx context.Context, calls service.Client) error {
	failures := make(chan error)
	const count = 50
	for index := range int32(count) {
		go func() {
			milliseconds := (count - index) % 7
			text, err := calls.Wait(ctx, milliseconds)
			if err == nil && text != strconv.Itoa(int(milliseconds)) {
				err = fmt.Errorf("wait: %s instead of %d", text, milliseconds)
			}
			failures <- err
		}()
	}
	var all error
	for range count {
		all = errors.Join(all, <-failures)
	}
	return all
}

func checkExceptions(ctx context.Context, calls service.Client) error {
	var refused *interop.Refused
	if _, err := calls.Refuse(ctx, 7, "no"); !errors.As(err, &refused) || refused.Code != 7 || refused.Why != "no" {
		return fmt.Errorf("refuse: %w", err)
	}
	_, err := calls.Crash(ctx, "oops")
	var exception *remote.TransError
	if !errors.As(err, &exception) || exception.TypeID() != remote.InternalError || exception.Error() != "oops" {
		return fmt.Errorf("crash: %w", err)
	}
	return nil
}

func checkOneway(ctx context.Context, calls service.Client) error {
	if err := calls.Tell(ctx, "the news"); err != nil {
		return err
	}
	if err := calls.Ping(ctx); err != nil {
		return err
	}
	if told, err := calls.Told(ctx); err != nil || !reflect.DeepEqual(told, []string{"the news"}) {
		return fmt.Errorf("told: %v, %w", told, err)
	}
	return nil
}

// checkMetadata leaves it to the server's test to look at what has come.
func checkMetadata(ctx context.Context, calls service.Client) error {
	return calls.Ping(metainfo.WithPersistentValue(ctx, "trace", "from Kitex"))
}
