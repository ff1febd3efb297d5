package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

type httpCaller struct {
	client   *http.Client
	url      string
	headers  map[string]string
	body     []byte
	streamed bool
}

func dialHTTP(asked settings) (caller, error) {
	var content any = strings.Repeat(word, chunks)
	if asked.image != nil {
		url := "data:image/png;base64," + base64.StdEncoding.EncodeToString(asked.image)
		content = []any{
			map[string]any{"type": "text", "text": content},
			map[string]any{"type": "image_url", "image_url": map[string]string{"url": url}},
		}
	}
	request := map[string]any{
		"model":    asked.model,
		"messages": []any{map[string]any{"role": "user", "content": content}},
	}
	if asked.streamed {
		request["stream"] = true
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	return &httpCaller{
		client: &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: asked.inFlight, DisableCompression: true,
		}},
		url:      "http://" + asked.address + "/v1/chat/completions",
		headers:  asked.headers,
		body:     body,
		streamed: asked.streamed,
	}, nil
}

func (caller *httpCaller) call(ctx context.Context, heard *heard) error {
	request, err := http.NewRequestWithContext(
		ctx, http.MethodPost, caller.url, bytes.NewReader(caller.body),
	)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range caller.headers {
		request.Header.Set(name, value)
	}
	response, err := caller.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		told, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return fmt.Errorf("%s: %s", response.Status, told)
	}
	if caller.streamed {
		return readEvents(response.Body, heard)
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	heard.text(field(answer, "content"))
	return nil
}

func readEvents(body io.Reader, heard *heard) error {
	lines := bufio.NewScanner(body)
	done := false
	for lines.Scan() {
		data, found := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !found {
			continue
		}
		done = bytes.Equal(data, []byte("[DONE]"))
		heard.text(field(data, "content"))
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if !done {
		return errors.New("the stream ended without [DONE]")
	}
	return nil
}
