// Command tls is Go's end of TLS. Messages have their length in four bytes before them. `server` sends each back, and what was
// agreed on for the message `state`. `client` sends a message on each of some connections, one after the other, and prints for
// each a line of what was agreed on.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

// What was agreed on, or why nothing was.
type state struct {
	Version    string `json:"version"`
	Curve      string `json:"curve"`
	Retried    bool   `json:"retried"`
	Resumed    bool   `json:"resumed"`
	Protocol   string `json:"protocol"`
	ServerName string `json:"serverName"`
	Peer       string `json:"peer"`
	Error      string `json:"error,omitempty"`
}

var versions = map[string]uint16{
	"TLSv1.1": tls.VersionTLS11,
	"TLSv1.2": tls.VersionTLS12,
	"TLSv1.3": tls.VersionTLS13,
}

var curves = map[string]tls.CurveID{
	"X25519":         tls.X25519,
	"P-256":          tls.CurveP256,
	"P-384":          tls.CurveP384,
	"P-521":          tls.CurveP521,
	"X25519MLKEM768": tls.X25519MLKEM768,
}

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(role string, words []string) error {
	flags := flag.NewFlagSet(role, flag.ContinueOnError)
	port := flags.Int("port", 0, "where to dial")
	rounds := flags.Int("rounds", 1, "connections, one after the other")
	size := flags.Int("size", 5, "bytes of a message")
	version := flags.String("version", "", "the only version")
	names := flags.String("curves", "", "key exchanges, the first of which has a share")
	protocols := flags.String("protocols", "", "application protocols")
	cert := flags.String("cert", "", "file of the certificate")
	key := flags.String("key", "", "file of its key")
	ca := flags.String("ca", "", "file of whom to trust")
	requests := flags.Bool("request-cert", false, "ask clients for certificates")
	if err := flags.Parse(words); err != nil {
		return err
	}
	config := &tls.Config{ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	config.MinVersion = versions[*version]
	config.MaxVersion = versions[*version]
	for _, name := range fields(*names) {
		config.CurvePreferences = append(config.CurvePreferences, curves[name])
	}
	config.NextProtos = fields(*protocols)
	if *cert != "" {
		own, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return err
		}
		config.Certificates = []tls.Certificate{own}
	}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		config.RootCAs, config.ClientCAs = roots, roots
	}
	if *requests {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if role == "server" {
		return serve(config)
	}
	return call(config, fmt.Sprintf("127.0.0.1:%d", *port), *rounds, *size)
}

func fields(list string) []string {
	return strings.FieldsFunc(list, func(each rune) bool { return each == ',' })
}

func serve(config *tls.Config) error {
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return err
	}
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	// Whoever has started it ends it so.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = listener.Close()
	}()
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go answer(connection.(*tls.Conn))
	}
}

func answer(connection *tls.Conn) {
	defer connection.Close()
	for {
		message, err := read(connection)
		if err != nil {
			return
		}
		if string(message) == "state" {
			message, _ = json.Marshal(stateOf(connection))
		}
		if write(connection, message) != nil {
			return
		}
	}
}

func call(config *tls.Config, address string, rounds, size int) error {
	for range rounds {
		said, err := exchange(config, address, size)
		if err != nil {
			said.Error = err.Error()
		}
		line, _ := json.Marshal(said)
		fmt.Println(string(line))
	}
	return nil
}

func exchange(config *tls.Config, address string, size int) (state, error) {
	connection, err := tls.Dial("tcp", address, config)
	if err != nil {
		return state{}, err
	}
	defer connection.Close()
	message := bytes.Repeat([]byte("x"), size)
	if err := write(connection, message); err != nil {
		return stateOf(connection), err
	}
	got, err := read(connection)
	if err == nil && !bytes.Equal(got, message) {
		err = errors.New("the answer is another")
	}
	return stateOf(connection), err
}

func stateOf(connection *tls.Conn) state {
	agreed := connection.ConnectionState()
	said := state{
		Version:    strings.Replace(tls.VersionName(agreed.Version), "TLS ", "TLSv", 1),
		Curve:      nameOf(agreed.CurveID),
		Retried:    agreed.HelloRetryRequest,
		Resumed:    agreed.DidResume,
		Protocol:   agreed.NegotiatedProtocol,
		ServerName: agreed.ServerName,
	}
	if len(agreed.PeerCertificates) > 0 {
		said.Peer = agreed.PeerCertificates[0].Subject.CommonName
	}
	return said
}

func nameOf(id tls.CurveID) string {
	for name, each := range curves {
		if each == id {
			return name
		}
	}
	return id.String()
}

func read(from io.Reader) ([]byte, error) {
	var length uint32
	if err := binary.Read(from, binary.BigEndian, &length); err != nil {
		return nil, err
	}
	message := make([]byte, length)
	_, err := io.ReadFull(from, message)
	return message, err
}

func write(to io.Writer, message []byte) error {
	framed := binary.BigEndian.AppendUint32(nil, uint32(len(message)))
	_, err := to.Write(append(framed, message...))
	return err
}
