package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// caller makes one call and says what came of it.
type caller interface {
	call(ctx context.Context, heard *heard) error
}

// settings are what the calls of a run have in common.
type settings struct {
	protocol string
	address  string
	model    string
	headers  map[string]string
	streamed bool
	inFlight int
	image    []byte
}

// result is what a run prints.
type result struct {
	Calls       int       `json:"calls"`
	Errors      int       `json:"errors"`
	FirstError  string    `json:"first_error,omitempty"`
	Seconds     float64   `json:"seconds"`
	Chunks      int       `json:"chunks"`
	Late        int       `json:"late"`
	LatestMs    float64   `json:"latest_ms"`
	LatenciesMs []float64 `json:"latencies_ms"`
}

const lateness = 250 * time.Millisecond

// heard counts the words of one answer. Those that are times are compared with now.
type heard struct {
	chunks int
	late   int
	latest time.Duration
}

func (heard *heard) text(text string) {
	for word := range strings.FieldsSeq(text) {
		heard.chunks++
		if word[0] < '0' || word[0] > '9' {
			continue
		}
		if sent, err := strconv.ParseInt(word, 10, 64); err == nil {
			age := time.Since(time.UnixMicro(sent))
			heard.latest = max(heard.latest, age)
			if age > lateness {
				heard.late++
			}
		}
	}
}

// load calls a server in a closed loop, or at a steady rate in an open one, for so many
// seconds or calls, and lets the last calls end.
func load(arguments []string) error {
	var asked settings
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&asked.protocol, "protocol", "grpc", "grpc or http")
	flags.StringVar(&asked.address, "address", "", "host:port")
	flags.StringVar(&asked.model, "model", "", "the chain (grpc) or the model (http)")
	flags.BoolVar(&asked.streamed, "streamed", false, "ask for streams")
	flags.IntVar(&asked.inFlight, "in-flight", 16, "calls at once, in the closed loop")
	headers := flags.String("headers", "{}", "more headers of HTTP requests, as JSON")
	seconds := flags.Float64("seconds", 2, "begin calls for so long")
	calls := flags.Int("calls", 0, "begin so many calls at most; 0: as many as fit")
	rate := flags.Float64("rate", 0, "begin so many calls a second, whatever is in flight")
	picture := flags.String("image", "", "send the PNG of this file with every call")
	stagger := flags.Duration("stagger", 0, "how long after one another the callers begin")
	words := flags.Int("words", chunks, "words that make an answer whole")
	patience := flags.Duration("patience", time.Minute, "how long one call may take")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(*headers), &asked.headers); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	if *picture != "" {
		var err error
		if asked.image, err = os.ReadFile(*picture); err != nil {
			return err
		}
	}
	caller, err := dial(asked)
	if err != nil {
		return err
	}

	run := &run{caller: caller, words: *words, patience: *patience}
	begun := time.Now()
	over := begun.Add(time.Duration(*seconds * float64(time.Second)))
	if *rate > 0 {
		run.open(begun, over, *rate)
	} else {
		run.closed(over, *calls, asked.inFlight, *stagger)
	}
	run.result.Seconds = time.Since(begun).Seconds()
	return json.NewEncoder(os.Stdout).Encode(run.result)
}

func dial(asked settings) (caller, error) {
	if asked.protocol == "http" {
		return dialHTTP(asked)
	}
	return dialGRPC(asked)
}

type run struct {
	caller   caller
	words    int
	patience time.Duration

	lock   sync.Mutex
	begun  int
	result result
}

func (run *run) closed(over time.Time, calls, inFlight int, stagger time.Duration) {
	var workers sync.WaitGroup
	for number := range inFlight {
		workers.Go(func() {
			time.Sleep(time.Duration(number) * stagger)
			for time.Now().Before(over) && run.next(calls) {
				run.one()
			}
		})
	}
	workers.Wait()
}

// next says whether one more call may begin.
func (run *run) next(calls int) bool {
	run.lock.Lock()
	defer run.lock.Unlock()
	run.begun++
	return calls == 0 || run.begun <= calls
}

func (run *run) open(begun, over time.Time, rate float64) {
	var workers sync.WaitGroup
	step := time.Duration(float64(time.Second) / rate)
	for due := begun; due.Before(over); due = due.Add(step) {
		time.Sleep(time.Until(due))
		workers.Go(run.one)
	}
	workers.Wait()
}

func (run *run) one() {
	ctx, cancel := context.WithTimeout(context.Background(), run.patience)
	defer cancel()
	var heard heard
	begun := time.Now()
	err := run.caller.call(ctx, &heard)
	taken := time.Since(begun)
	if err == nil && heard.chunks != run.words {
		err = fmt.Errorf("%d words came, not %d", heard.chunks, run.words)
	}

	run.lock.Lock()
	defer run.lock.Unlock()
	run.result.Chunks += heard.chunks
	run.result.Late += heard.late
	run.result.LatestMs = max(run.result.LatestMs, milliseconds(heard.latest))
	if err != nil {
		run.result.Errors++
		if run.result.FirstError == "" {
			run.result.FirstError = err.Error()
		}
		return
	}
	run.result.Calls++
	run.result.LatenciesMs = append(run.result.LatenciesMs, milliseconds(taken))
}

// milliseconds are rounded to a microsecond.
func milliseconds(duration time.Duration) float64 {
	return float64(duration.Microseconds()) / 1000
}
