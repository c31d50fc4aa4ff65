// Command peers is the benchmark's servers and clients in Go.
//
//	peers server NAME --tcp HOST:PORT | --unix PATH [--tls FOLDER] [--work N]
//	peers client NAME --tcp HOST:PORT [options of load.go]
//
// A server prints "listening ADDRESS", collects garbage when told "gc", and ends with its standard
// input.
package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
)

// endpoint is where a server listens, and what it encrypts with, if it does.
type endpoint struct {
	network, address string
	tls              *tls.Config
}

var servers = map[string]func(endpoint) error{
	"net":             serveNet,
	"net-batched":     serveNetBatched,
	"net-mux":         serveNetMux,
	"netpoll":         serveNetpoll,
	"netpoll-batched": serveNetpollBatched,
	"netpoll-mux":     serveNetpollMux,
	"gnet":            serveGnet,
	"evio":            serveEvio,
}

var clients = map[string]func(settings) error{
	"net-pool":     callNetPool,
	"net-mux":      callNetMux,
	"netpoll-pool": callNetpollPool,
	"netpoll-mux":  callNetpollMux,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(words []string) error {
	if len(words) < 2 {
		return errors.New("expected server or client, and a name")
	}
	if serve, known := servers[words[1]]; known && words[0] == "server" {
		return runServer(serve, words[1], words[2:])
	}
	if call, known := clients[words[1]]; known && words[0] == "client" {
		asked, err := readSettings(words[1], words[2:])
		if err != nil {
			return err
		}
		return call(asked)
	}
	return fmt.Errorf("there is no %s %q", words[0], words[1])
}

func runServer(serve func(endpoint) error, name string, words []string) error {
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	tcp := flags.String("tcp", "", "where to listen")
	unix := flags.String("unix", "", "path of a unix socket to listen on")
	folder := flags.String("tls", "", "folder with key.pem and certificate.pem, to encrypt (net alone)")
	flags.IntVar(&workRounds, "work", 0, "rounds of computing for each request")
	if err := flags.Parse(words); err != nil {
		return err
	}
	at := endpoint{network: "tcp", address: *tcp}
	if *unix != "" {
		at = endpoint{network: "unix", address: *unix}
	}
	if *folder != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(*folder, "certificate.pem"), filepath.Join(*folder, "key.pem"))
		if err != nil {
			return err
		}
		at.tls = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	go obeyStandardInput()
	return serve(at)
}

// announce says that clients may connect.
func announce(address fmt.Stringer) { fmt.Println("listening", address) }

func obeyStandardInput() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "gc" {
			debug.FreeOSMemory()
			fmt.Println("memory {}")
		}
	}
	os.Exit(0)
}
