package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	word   = "word "
	chunks = 200
)

// events are the chunks of a stream, no two alike: a gateway takes a model that repeats
// itself for broken.
var events, end = pieces(), append(event("", "stop"), "data: [DONE]\n\n"...)

func pieces() [][]byte {
	made := make([][]byte, chunks)
	for at := range made {
		made[at] = event(fmt.Sprintf("w%03d ", at), "")
	}
	return made
}

// script is what a model's id asks of the provider: parts joined by dashes.
//
//	plain              the answer at once; streamed, 200 chunks in one burst
//	status-503         an error
//	delay-60ms         the answer after a while
//	pace-5ms           200 chunks, one every 5 ms
//	held-100ms-150     150 chunks, one every 100 ms, each the time at which it was sent
type script struct {
	status int
	delay  time.Duration
	pace   time.Duration
	chunks int
	stamps bool
}

func parse(model string) (script, error) {
	asked := script{status: http.StatusOK, chunks: chunks}
	parts := strings.Split(model, "-")
	var err error
	switch {
	case model == "plain":
	case parts[0] == "status" && len(parts) == 2:
		asked.status, err = strconv.Atoi(parts[1])
	case parts[0] == "delay" && len(parts) == 2:
		asked.delay, err = time.ParseDuration(parts[1])
	case parts[0] == "pace" && len(parts) == 2:
		asked.pace, err = time.ParseDuration(parts[1])
	case parts[0] == "held" && len(parts) == 3:
		asked.stamps = true
		if asked.pace, err = time.ParseDuration(parts[1]); err == nil {
			asked.chunks, err = strconv.Atoi(parts[2])
		}
	default:
		err = fmt.Errorf("no such model: %q", model)
	}
	return asked, err
}

// field is the text value of a key that the body has once: cheaper than reading all of
// a body with an image in it.
func field(body []byte, key string) string {
	_, rest, _ := bytes.Cut(body, []byte(`"`+key+`"`))
	rest = bytes.TrimLeft(rest, " :")
	if len(rest) == 0 || rest[0] != '"' {
		return ""
	}
	value, _, _ := bytes.Cut(rest[1:], []byte{'"'})
	return string(value)
}

func event(content, finish string) []byte {
	choice := map[string]any{
		"index": 0, "delta": map[string]string{"content": content}, "finish_reason": nil,
	}
	if finish != "" {
		choice["delta"] = map[string]string{}
		choice["finish_reason"] = finish
	}
	data, err := json.Marshal(map[string]any{
		"id": "chatcmpl-bench", "object": "chat.completion.chunk",
		"created": 1_700_000_000, "model": "bench-1", "choices": []any{choice},
	})
	if err != nil {
		panic(err) // of constants
	}
	return fmt.Appendf(nil, "data: %s\n\n", data)
}

var (
	burst = append(bytes.Join(events, nil), end...)
	whole = answer()
)

func answer() []byte {
	data, err := json.Marshal(map[string]any{
		"id": "chatcmpl-bench", "object": "chat.completion",
		"created": 1_700_000_000, "model": "bench-1",
		"choices": []any{map[string]any{
			"index": 0, "finish_reason": "stop",
			"message": map[string]string{
				"role": "assistant", "content": strings.Repeat(word, chunks),
			},
		}},
		"usage": map[string]int{
			"prompt_tokens": 9, "completion_tokens": chunks, "total_tokens": chunks + 9,
		},
	})
	if err != nil {
		panic(err) // of constants
	}
	return data
}

// upstream is a provider that costs little: Chat Completions answers made beforehand.
func upstream([]string) error {
	listener, err := listen()
	if err != nil {
		return err
	}
	http.HandleFunc("POST /v1/chat/completions", complete)
	return http.Serve(listener, nil)
}

func complete(out http.ResponseWriter, in *http.Request) {
	body := make([]byte, max(in.ContentLength, 0))
	var err error
	if in.ContentLength >= 0 {
		_, err = io.ReadFull(in.Body, body)
	} else {
		body, err = io.ReadAll(in.Body)
	}
	if err != nil {
		return // the caller went away
	}
	asked, err := parse(field(body, "model"))
	if err != nil {
		http.Error(out, `{"error":{"message":"no such model"}}`, http.StatusNotFound)
		return
	}
	time.Sleep(asked.delay)
	header := out.Header()
	header.Set("Content-Type", "application/json")
	streamed := bytes.Contains(body, []byte(`"stream":true`)) ||
		bytes.Contains(body, []byte(`"stream": true`))
	switch {
	case asked.status != http.StatusOK:
		out.WriteHeader(asked.status)
		io.WriteString(out, `{"error":{"message":"told to fail","type":"server_error"}}`)
	case !streamed:
		out.Write(whole)
	case asked.pace == 0:
		header.Set("Content-Type", "text/event-stream")
		out.Write(burst)
	default:
		header.Set("Content-Type", "text/event-stream")
		trickle(out, in, asked)
	}
}

func trickle(out http.ResponseWriter, in *http.Request, asked script) {
	flusher := out.(http.Flusher)
	flusher.Flush()
	ticker := time.NewTicker(asked.pace)
	defer ticker.Stop()
	for at := range asked.chunks {
		select {
		case <-ticker.C:
		case <-in.Context().Done():
			return
		}
		if asked.stamps {
			stamp := strconv.FormatInt(time.Now().UnixMicro(), 10)
			out.Write(event(stamp+" ", ""))
		} else {
			out.Write(events[at%chunks])
		}
		flusher.Flush()
	}
	out.Write(end)
}
