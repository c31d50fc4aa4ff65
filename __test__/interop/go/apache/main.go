// Command apache speaks interop.thrift by Apache Thrift's library for Go:
//
//	apache server --transport framed|theader --protocol binary|compact
//	apache client --port PORT --transport … --protocol …
//	apache failing --port PORT --call wait|long|malformed|large --transport … --protocol …
//
// The server prints `listening PORT`, and serves until its standard input ends, or until it is to wait for less than
// nothing: that kills it. The client calls a server in every way, and ends with 0 if all is as it should be. The failing
// client makes one call, and prints the exception that this ends with.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"reflect"
	"strconv"
	"syscall"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"interop/gen/interop"
)

func main() {
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	port := flags.Int("port", 0, "port of the server to call")
	transport := flags.String("transport", "framed", "framed or theader")
	protocol := flags.String("protocol", "binary", "binary or compact")
	failing := flags.String("call", "", "what the failing client calls: wait, long, malformed or large")
	_ = flags.Parse(os.Args[2:])
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	wire := newWire(*transport, *protocol)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(*port))
	var err error
	switch os.Args[1] {
	case "server":
		err = serve(wire)
	case "failing":
		err = fail(wire, address, *failing)
	default:
		err = call(wire, address)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// maxFrameSize is the most bytes of a frame that a program takes.
const maxFrameSize = 1_000_000

// wire is how a program speaks.
type wire struct {
	hasHeader  bool
	conf       *thrift.TConfiguration
	transports thrift.TTransportFactory
	protocols  thrift.TProtocolFactory
}

func newWire(transport, protocol string) wire {
	conf := &thrift.TConfiguration{
		ConnectTimeout: 30 * time.Second,
		SocketTimeout:  30 * time.Second,
		MaxFrameSize:   maxFrameSize,
	}
	if transport == "theader" {
		id := thrift.THeaderProtocolBinary
		if protocol == "compact" {
			id = thrift.THeaderProtocolCompact
		}
		conf.THeaderProtocolID = &id
		return wire{true, conf, thrift.NewTHeaderTransportFactoryConf(nil, conf), thrift.NewTHeaderProtocolFactoryConf(conf)}
	}
	transports := thrift.NewTFramedTransportFactoryConf(thrift.NewTTransportFactory(), conf)
	if protocol == "compact" {
		return wire{false, conf, transports, thrift.NewTCompactProtocolFactoryConf(conf)}
	}
	return wire{false, conf, transports, thrift.NewTBinaryProtocolFactoryConf(conf)}
}

// handler is the service.
type handler struct{ news []string }

func (h *handler) Echo(_ context.Context, value *interop.Everything) (*interop.Everything, error) {
	return value, nil
}

func (h *handler) Refuse(_ context.Context, code int32, why string) (string, error) {
	return "", &interop.Refused{Code: code, Why: why}
}

func (h *handler) Crash(_ context.Context, text string) (string, error) { return "", errors.New(text) }

func (h *handler) Wait(_ context.Context, milliseconds int32) (string, error) {
	if milliseconds < 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	time.Sleep(time.Duration(milliseconds) * time.Millisecond)
	return strconv.Itoa(int(milliseconds)), nil
}

func (h *handler) Blob(_ context.Context, size int32) ([]byte, error) { return blob(size), nil }

func (h *handler) Tell(_ context.Context, news string) error {
	h.news = append(h.news, news)
	return nil
}

func (h *handler) Told(context.Context) ([]string, error) { return h.news, nil }

func (h *handler) Ping(context.Context) error { return nil }

func blob(size int32) []byte {
	bytes := make([]byte, size)
	for index := range bytes {
		bytes[index] = 'b'
	}
	return bytes
}

func serve(wire wire) error {
	listener, err := thrift.NewTServerSocket("127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := listener.Listen(); err != nil {
		return err
	}
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	processor := interop.NewInteropProcessor(&handler{})
	server := thrift.NewTSimpleServer4(processor, listener, wire.transports, wire.protocols)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return server.Serve()
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

func open(wire wire, address string) (thrift.TTransport, *thrift.TStandardClient, error) {
	socket := thrift.NewTSocketConf(address, wire.conf)
	transport, err := wire.transports.GetTransport(socket)
	if err != nil {
		return nil, nil, err
	}
	protocol := wire.protocols.GetProtocol(transport)
	return transport, thrift.NewTStandardClient(protocol, protocol), transport.Open()
}

func call(wire wire, address string) error {
	transport, standard, err := open(wire, address)
	if err != nil {
		return err
	}
	defer transport.Close()
	client := interop.NewInteropClient(standard)
	checks := []func(context.Context, *interop.InteropClient) error{
		checkResults, checkExceptions, checkOneway,
		func(ctx context.Context, _ *interop.InteropClient) error { return checkUnknown(ctx, standard) },
	}
	if wire.hasHeader {
		checks = append(checks, checkMetadata)
	}
	for _, check := range checks {
		if err := check(context.Background(), client); err != nil {
			return err
		}
	}
	return nil
}

func checkResults(ctx context.Context, client *interop.InteropClient) error {
	value := everything()
	echo, err := client.Echo(ctx, value)
	if err != nil || !reflect.DeepEqual(echo, value) {
		return fmt.Errorf("echo: %v, %w", echo, err)
	}
	bytes, err := client.Blob(ctx, 100_000)
	if err != nil || string(bytes) != string(blob(100_000)) {
		return fmt.Errorf("blob: %d bytes, %w", len(bytes), err)
	}
	for milliseconds := range int32(5) {
		if text, err := client.Wait(ctx, milliseconds); err != nil || text != strconv.Itoa(int(milliseconds)) {
			return fmt.Errorf("wait: %s, %w", text, err)
		}
	}
	return client.Ping(ctx)
}

func checkExceptions(ctx context.Context, client *interop.InteropClient) error {
	var refused *interop.Refused
	if _, err := client.Refuse(ctx, 7, "no"); !errors.As(err, &refused) || refused.Code != 7 || refused.Why != "no" {
		return fmt.Errorf("refuse: %w", err)
	}
	_, err := client.Crash(ctx, "oops")
	return isException(err, thrift.INTERNAL_ERROR, "oops")
}

func checkUnknown(ctx context.Context, client thrift.TClient) error {
	_, err := client.Call(ctx, "missing", interop.NewBasePingArgs(), interop.NewBasePingResult())
	return isException(err, thrift.UNKNOWN_METHOD, "Unknown function missing")
}

func isException(err error, kind int32, message string) error {
	var exception thrift.TApplicationException
	if !errors.As(err, &exception) || exception.TypeId() != kind || exception.Error() != message {
		return fmt.Errorf("not an exception of type %d, %q: %w", kind, message, err)
	}
	return nil
}

func checkOneway(ctx context.Context, client *interop.InteropClient) error {
	if err := client.Tell(ctx, "the news"); err != nil {
		return err
	}
	if told, err := client.Told(ctx); err != nil || !reflect.DeepEqual(told, []string{"the news"}) {
		return fmt.Errorf("told: %v, %w", told, err)
	}
	return nil
}

func checkMetadata(ctx context.Context, client *interop.InteropClient) error {
	ctx = thrift.SetHeader(ctx, "trace", "from Go")
	ctx = thrift.SetWriteHeaderList(ctx, []string{"trace"})
	if err := client.Ping(ctx); err != nil {
		return err
	}
	meta := client.LastResponseMeta_()
	if meta.Headers["seen"] != "from Go" {
		return fmt.Errorf("metadata: %v", meta.Headers)
	}
	return nil
}

// fail makes a call that fails, and prints the exception that it ends with.
func fail(wire wire, address, call string) error {
	transport, standard, err := open(wire, address)
	if err != nil {
		return err
	}
	defer transport.Close()
	client := interop.NewInteropClient(standard)
	ctx := context.Background()
	switch call {
	case "wait":
		_, err = client.Wait(ctx, -1)
	case "long":
		_, err = client.Crash(ctx, string(blob(100_000)))
	case "malformed":
		_, err = standard.Call(ctx, "crash", malformed{interop.NewInteropCrashArgs()}, interop.NewInteropCrashResult())
	case "large":
		_, err = client.Blob(ctx, maxFrameSize+1)
	default:
		return fmt.Errorf("no call: %q", call)
	}
	return printException(err)
}

// malformed is arguments that end where a text should be.
type malformed struct{ *interop.InteropCrashArgs }

func (malformed) Write(ctx context.Context, protocol thrift.TProtocol) error {
	return protocol.WriteFieldBegin(ctx, "text", thrift.STRING, 1)
}

func printException(err error) error {
	var transport thrift.TTransportException
	var protocol thrift.TProtocolException
	var application thrift.TApplicationException
	switch {
	case errors.As(err, &transport):
		fmt.Println("TTransportException", transport.TypeId())
	case errors.As(err, &protocol):
		fmt.Println("TProtocolException", protocol.TypeId())
	case errors.As(err, &application):
		fmt.Println("TApplicationException", application.TypeId())
	default:
		return fmt.Errorf("no exception of Thrift: %w", err)
	}
	return nil
}
