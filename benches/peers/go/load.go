package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// settings are what a client is asked to do.
type settings struct {
	at          endpoint
	connections int
	callers     int
	size        int
	timeout     time.Duration
	warmUp      time.Duration
	duration    time.Duration
}

// callFunc sends a request's payload and returns the payload of its reply, which stays valid until the
// caller's next call.
type callFunc func(request []byte) ([]byte, error)

// newCaller makes the function of one caller.
type newCaller func() callFunc

func readSettings(name string, words []string) (settings, error) {
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	tcp := flags.String("tcp", "", "whom to call")
	unix := flags.String("unix", "", "path of the unix socket to call")
	connections := flags.Int("connections", 100, "connections")
	callers := flags.Int("callers", 100, "goroutines that each wait for one reply at a time")
	size := flags.Int("size", 1024, "bytes of a request")
	timeout := flags.Int("timeout", 1000, "milliseconds that each call may take")
	warmUp := flags.Float64("warm-up", 1, "seconds before the figures count")
	duration := flags.Float64("duration", 3, "seconds that they count for")
	if err := flags.Parse(words); err != nil {
		return settings{}, err
	}
	at := endpoint{network: "tcp", address: *tcp}
	if *unix != "" {
		at = endpoint{network: "unix", address: *unix}
	}
	return settings{
		at: at, connections: *connections, callers: *callers, size: *size,
		timeout:  time.Duration(*timeout) * time.Millisecond,
		warmUp:   seconds(*warmUp),
		duration: seconds(*duration),
	}, nil
}

func seconds(count float64) time.Duration { return time.Duration(count * float64(time.Second)) }

// phases of a run.
const (
	warmingUp = iota
	measuring
	over
)

// runCallers lets callers call for the given time. It prints "measuring" when the warm-up is over, and a
// report as one line of JSON when the time is; it returns at the end of the standard input.
func runCallers(asked settings, callers newCaller) {
	var phase atomic.Int32
	var running sync.WaitGroup
	all := make([]latencies, asked.callers)
	for number := range asked.callers {
		call := callers()
		running.Go(func() { callInTurn(number, asked.size, call, &all[number], &phase) })
	}
	time.Sleep(asked.warmUp)
	fmt.Println("measuring")
	phase.Store(measuring)
	began := time.Now()
	time.Sleep(asked.duration)
	phase.Store(over)
	length := time.Since(began).Seconds()
	running.Wait()
	var total latencies
	for index := range all {
		total.merge(&all[index])
	}
	report := map[string]any{
		"seconds": length, "requests": total.count, "latencyMicroseconds": total.summary(),
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		fail(err)
	}
	// Whoever measures this process may still look at it.
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		fail(err)
	}
}

func callInTurn(number, size int, call callFunc, took *latencies, phase *atomic.Int32) {
	request := make([]byte, size)
	binary.BigEndian.PutUint32(request[4:], uint32(number))
	for sequence := uint32(0); ; sequence++ {
		binary.BigEndian.PutUint32(request, sequence)
		began := time.Now()
		reply, err := call(request)
		if err != nil {
			fail(err)
		}
		switch phase.Load() {
		case measuring:
			took.add(time.Since(began))
		case over:
			return
		}
		if !isReply(reply, request) {
			fail(fmt.Errorf("caller %d got somebody else's reply", number))
		}
	}
}

func isReply(reply, request []byte) bool {
	return len(reply) == len(request) &&
		binary.BigEndian.Uint32(reply) == ^binary.BigEndian.Uint32(request) &&
		binary.BigEndian.Uint32(reply[4:]) == binary.BigEndian.Uint32(request[4:])
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "peers:", err)
	os.Exit(1)
}

// bucketsPerDoubling makes the buckets of latencies 2 % wide.
const bucketsPerDoubling = 32

// latencies counts how long calls took: from 1 microsecond to about two minutes.
type latencies struct {
	buckets [27 * bucketsPerDoubling]uint64
	count   uint64
	sum     float64
	max     float64
}

func (l *latencies) add(took time.Duration) {
	microseconds := float64(took) / float64(time.Microsecond)
	bucket := int(math.Round(math.Log2(max(1, microseconds)) * bucketsPerDoubling))
	l.buckets[min(bucket, len(l.buckets)-1)]++
	l.count++
	l.sum += microseconds
	l.max = max(l.max, microseconds)
}

func (l *latencies) merge(other *latencies) {
	for index, count := range other.buckets {
		l.buckets[index] += count
	}
	l.count += other.count
	l.sum += other.sum
	l.max = max(l.max, other.max)
}

func (l *latencies) quantile(part float64) float64 {
	left := int64(math.Ceil(float64(l.count) * part))
	for index, count := range l.buckets {
		left -= int64(count)
		if left <= 0 && count > 0 {
			return min(l.max, math.Exp2(float64(index)/bucketsPerDoubling))
		}
	}
	return 0
}

func (l *latencies) summary() map[string]float64 {
	mean := 0.0
	if l.count > 0 {
		mean = l.sum / float64(l.count)
	}
	return map[string]float64{
		"mean": mean, "max": l.max,
		"p50": l.quantile(0.5), "p90": l.quantile(0.9), "p99": l.quantile(0.99), "p999": l.quantile(0.999),
	}
}
