package majordomo_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/majordomo-grpc/majordomo/clients/go"
	pb "github.com/majordomo-grpc/majordomo/clients/go/majordomo/v1"
)

const down = "acme/status:503"

// client calls the server that the environment names, without TLS.
func client(t *testing.T) pb.GenerationServiceClient {
	t.Helper()
	return connect(t, "MAJORDOMO_ADDRESS", insecure.NewCredentials())
}

// secured calls the server that speaks TLS.
func secured(t *testing.T, options ...grpc.DialOption) pb.GenerationServiceClient {
	t.Helper()
	trusted, err := credentials.NewClientTLSFromFile(os.Getenv("MAJORDOMO_CA"), "")
	if err != nil {
		t.Skip("set MAJORDOMO_CA to the file of the server's authority")
	}
	return connect(t, "MAJORDOMO_SECURE_ADDRESS", trusted, options...)
}

func connect(
	t *testing.T, variable string, by credentials.TransportCredentials, options ...grpc.DialOption,
) pb.GenerationServiceClient {
	t.Helper()
	address := os.Getenv(variable)
	if address == "" {
		t.Skipf("set %s to the address of a server", variable)
	}
	connection, err := majordomo.Dial(address, by, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return pb.NewGenerationServiceClient(connection)
}

func prompt(messages ...*pb.Message) *pb.Prompt {
	return &pb.Prompt{Messages: messages}
}

// brief asks for a short answer of the embedded model.
func brief(text string) *pb.Prompt {
	short := int32(12)
	return &pb.Prompt{
		Messages: []*pb.Message{majordomo.User(text)},
		Config:   &pb.GenerationConfig{MaxOutputTokens: &short},
	}
}

func generate(t *testing.T, chain string, prompt *pb.Prompt) (*pb.GenerateResponse, error) {
	t.Helper()
	request := &pb.GenerateRequest{Call: &pb.Call{Chain: chain, Prompt: prompt}}
	return client(t).Generate(t.Context(), request)
}

func answered(t *testing.T, chain string, prompt *pb.Prompt) *pb.GenerateResponse {
	t.Helper()
	response, err := generate(t, chain, prompt)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// read reads a stream to its end: the events, and the error that ended it, if any.
func read(t *testing.T, request *pb.StreamRequest) ([]*pb.StreamResponse, error) {
	t.Helper()
	stream, err := client(t).Stream(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	var events []*pb.StreamResponse
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, event)
	}
}

func joined(events []*pb.StreamResponse) *majordomo.Answer {
	var answer majordomo.Answer
	for _, event := range events {
		answer.Add(event)
	}
	return &answer
}

// streamed is an answer that has come whole.
func streamed(t *testing.T, chain string, prompt *pb.Prompt) *majordomo.Answer {
	t.Helper()
	events, err := read(t, &pb.StreamRequest{Call: &pb.Call{Chain: chain, Prompt: prompt}})
	if err != nil {
		t.Fatal(err)
	}
	return joined(events)
}

func failure(t *testing.T, err error) *majordomo.Failure {
	t.Helper()
	told := majordomo.FailureOf(err)
	if told == nil {
		t.Fatalf("majordomo did not send this: %v", err)
	}
	return told
}

func equal[V comparable](t *testing.T, expected, actual V) {
	t.Helper()
	if expected != actual {
		t.Errorf("expected %v, got %v", expected, actual)
	}
}

func TestSuccess(t *testing.T) {
	response := answered(t, "acme/echo", prompt(majordomo.User("hi you")))

	equal(t, "hi you", majordomo.Text(response.GetMessage()))
	equal(t, "acme/echo", response.GetCompletion().GetTarget())
	equal(t, pb.FinishReason_FINISH_REASON_STOP, response.GetCompletion().GetFinishReason())
}

func TestStream(t *testing.T) {
	request := &pb.StreamRequest{
		Call: &pb.Call{Chain: "acme/pace:1ms", Prompt: prompt(majordomo.User("one two three"))},
	}
	events, err := read(t, request)
	if err != nil {
		t.Fatal(err)
	}

	var pieces []string
	for _, event := range events {
		if text := event.GetPartDelta().GetText(); text != "" {
			pieces = append(pieces, text)
		}
	}
	if len(pieces) < 2 {
		t.Errorf("came in one piece: %q", pieces)
	}
	answer := joined(events)
	equal(t, "one two three", strings.Join(pieces, ""))
	equal(t, "one two three", majordomo.Text(answer.Message()))
	equal(t, "acme/pace:1ms", answer.Message().GetOrigin())
}

func weather() *pb.Prompt {
	asked := prompt(majordomo.User("What is the weather in Paris?"))
	asked.Tools = []*pb.Tool{{Kind: &pb.Tool_Function{Function: &pb.FunctionTool{
		Name:                 "get_weather",
		Description:          "The weather in a city.",
		ParametersSchemaJson: `{"type": "object", "properties": {"city": {"type": "string"}}}`,
	}}}}
	return asked
}

// called is the one tool call of a turn.
func called(t *testing.T, message *pb.Message) *pb.ToolCall {
	t.Helper()
	for _, part := range message.GetParts() {
		if call := part.GetToolCall(); call != nil {
			equal(t, "get_weather", call.GetName())
			equal(t, `{"city":"Paris"}`, call.GetArgumentsJson())
			return call
		}
	}
	t.Fatalf("no tool call in %v", message)
	return nil
}

func result(call *pb.ToolCall, text string) *pb.Message {
	answer := &pb.ToolResult{
		ToolCallId: call.GetId(),
		Parts:      []*pb.Part{{Kind: &pb.Part_Text{Text: text}}},
	}
	return &pb.Message{
		Role:  pb.Role_ROLE_TOOL,
		Parts: []*pb.Part{{Kind: &pb.Part_ToolResult{ToolResult: answer}}},
	}
}

func TestTools(t *testing.T) {
	asked := weather()
	whole := answered(t, "upstream/tool-go", asked)
	equal(t, pb.FinishReason_FINISH_REASON_TOOL_CALLS, whole.GetCompletion().GetFinishReason())
	called(t, whole.GetMessage())
	turn := streamed(t, "upstream/tool-go", asked).Message()

	asked.Messages = append(asked.Messages, turn, result(called(t, turn), "18 degrees"))
	response := answered(t, "upstream/tool-go", asked)

	equal(t, "Paris: 18 degrees", majordomo.Text(response.GetMessage()))
}

func TestConversation(t *testing.T) {
	asked := prompt(majordomo.User("Hello"))
	turn := streamed(t, "upstream/talk-go", asked).Message()
	hasState := func(part *pb.Part) bool { return len(part.GetProviderState()) > 0 }
	if !slices.ContainsFunc(turn.GetParts(), hasState) {
		t.Fatalf("no provider_state in %v", turn)
	}

	asked.Messages = append(asked.Messages, turn, majordomo.User("And now?"))
	second := answered(t, "upstream/talk-go", asked)
	equal(t, "kept", majordomo.Text(second.GetMessage()))

	asked.Messages = append(asked.Messages, second.GetMessage(), majordomo.User("Still?"))
	equal(t, "kept", majordomo.Text(answered(t, "upstream/talk-go", asked).GetMessage()))
}

func TestSources(t *testing.T) {
	asked := prompt(majordomo.User("How are you?"))
	whole := answered(t, "upstream/sources-go", asked).GetMessage()
	turn := streamed(t, "upstream/sources-go", asked).Message()

	if !proto.Equal(whole, turn) {
		t.Errorf("want %v, got %v", whole.GetParts()[0], turn.GetParts()[0])
	}
	text, opaque, image := turn.GetParts()[0], turn.GetParts()[1], turn.GetParts()[2]
	citation := text.GetCitations()[0]
	equal(t, "https://example.org/a", citation.GetUri())
	equal(t, "Ça va", text.GetText()[citation.GetRange().GetStart():citation.GetRange().GetEnd()])
	equal(t, "file", opaque.GetOpaque().GetType())
	equal(t, 1_500_008, len(image.GetBlob().GetData()))
}

// cancelled reads the first piece of a stream, leaves, and is told that it has left.
func cancelled(t *testing.T, chain, question string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request := &pb.StreamRequest{Call: &pb.Call{Chain: chain, Prompt: prompt(majordomo.User(question))}}
	stream, err := client(t).Stream(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if first.GetPartDelta() == nil {
		t.Errorf("expected a piece, got %v", first)
	}

	cancel()

	for err == nil {
		_, err = stream.Recv()
	}
	equal(t, codes.Canceled, status.Code(err))
}

func TestCancel(t *testing.T) {
	cancelled(t, "upstream/hang-go", "hello")
}

func TestFailover(t *testing.T) {
	response := answered(t, down+",acme/echo", prompt(majordomo.User("hi")))

	attempts := response.GetCompletion().GetAttempts()
	equal(t, "acme/echo", response.GetCompletion().GetTarget())
	equal(t, 3, len(attempts))
	equal(t, pb.FailureReason_FAILURE_REASON_OVERLOADED, attempts[0].GetFailureReason())
	equal(t, pb.AttemptOutcome_ATTEMPT_OUTCOME_SUCCEEDED, attempts[2].GetOutcome())
}

func TestExhausted(t *testing.T) {
	_, err := generate(t, down, prompt(majordomo.User("hi")))

	told := failure(t, err)
	equal(t, codes.Unavailable, told.Code)
	equal(t, "CHAIN_EXHAUSTED", told.Reason)
	equal(t, 2, len(told.Attempts))
	for _, attempt := range told.Attempts {
		equal(t, down, attempt.GetTarget())
		equal(t, 503, attempt.GetHttpStatusCode())
		equal(t, pb.FailureReason_FAILURE_REASON_OVERLOADED, attempt.GetFailureReason())
	}
	if told.RetryDelay <= 0 || told.GenerationID == "" {
		t.Errorf("expected a delay and an id, got %+v", told)
	}
}

func TestInterrupted(t *testing.T) {
	request := &pb.StreamRequest{
		Call: &pb.Call{Chain: "acme/cut:1", Prompt: prompt(majordomo.User("one two"))},
	}
	events, err := read(t, request)

	told := failure(t, err)
	equal(t, "one ", majordomo.Text(joined(events).Message()))
	equal(t, codes.Aborted, told.Code)
	equal(t, "STREAM_INTERRUPTED", told.Reason)
	equal(t, 1, len(told.Attempts))
	equal(t, pb.AttemptOutcome_ATTEMPT_OUTCOME_INTERRUPTED, told.Attempts[0].GetOutcome())
}

func TestRestart(t *testing.T) {
	restart := pb.InterruptionPolicy_INTERRUPTION_POLICY_RESTART
	request := &pb.StreamRequest{
		Call: &pb.Call{
			Chain:   "acme/cut:1,acme/echo",
			Prompt:  prompt(majordomo.User("one two")),
			Options: &pb.ChainOptions{InterruptionPolicy: restart},
		},
	}
	events, err := read(t, request)
	if err != nil {
		t.Fatal(err)
	}

	at := slices.IndexFunc(events, func(event *pb.StreamResponse) bool {
		return event.GetRestart() != nil
	})
	if at < 0 {
		t.Fatal("no restart")
	}
	equal(t, "one ", majordomo.Text(joined(events[:at]).Message()))
	equal(t, "acme/cut:1", events[at].GetRestart().GetInterrupted().GetTarget())
	equal(t, "acme/echo", events[at].GetRestart().GetTarget())
	equal(t, "one two", majordomo.Text(joined(events).Message()))
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := client(t).Generate(ctx, &pb.GenerateRequest{
		Call: &pb.Call{Chain: "acme/stall:0", Prompt: prompt(majordomo.User("hi"))},
	})

	told := failure(t, err)
	equal(t, codes.DeadlineExceeded, told.Code)
	equal(t, "DEADLINE_EXCEEDED", told.Reason)
	equal(t, "acme/stall:0", told.Attempts[0].GetTarget())
}

func TestImage(t *testing.T) {
	data := make([]byte, 8<<20)
	copy(data, "\x89PNG\r\n\x1a\n")
	_, _ = rand.Read(data[8:])
	question := majordomo.User("What is this?")
	image := &pb.Blob{MediaType: "image/png", Data: data}
	question.Parts = append(question.Parts, &pb.Part{Kind: &pb.Part_Blob{Blob: image}})

	for _, chain := range []string{"acme/echo", "flaky-image-go"} {
		response := answered(t, chain, prompt(question))

		equal(t, "What is this?", majordomo.Text(response.GetMessage()))
	}
}

func TestTLS(t *testing.T) {
	token := majordomo.Token(os.Getenv("MAJORDOMO_TOKEN"))
	response, err := secured(t, grpc.WithPerRPCCredentials(token)).Generate(
		t.Context(),
		&pb.GenerateRequest{Call: &pb.Call{Chain: "acme/echo", Prompt: prompt(majordomo.User("hi"))}},
	)
	if err != nil {
		t.Fatal(err)
	}

	equal(t, "hi", majordomo.Text(response.GetMessage()))
}

func TestToken(t *testing.T) {
	wrong := grpc.WithPerRPCCredentials(majordomo.Token("wrong"))
	for _, options := range [][]grpc.DialOption{{}, {wrong}} {
		_, err := secured(t, options...).Generate(
			t.Context(),
			&pb.GenerateRequest{Call: &pb.Call{Chain: "acme/echo", Prompt: prompt(majordomo.User("hi"))}},
		)

		told := failure(t, err)
		equal(t, codes.Unauthenticated, told.Code)
		equal(t, "UNAUTHENTICATED", told.Reason)
	}
}

func TestTrace(t *testing.T) {
	trace, span := make([]byte, 16), make([]byte, 8)
	_, _ = rand.Read(trace)
	_, _ = rand.Read(span)
	parent := fmt.Sprintf("00-%x-%x-01", trace, span)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", parent)

	response, err := client(t).Generate(ctx, &pb.GenerateRequest{
		Call: &pb.Call{Chain: "acme/echo", Prompt: prompt(majordomo.User("hi"))},
	})
	if err != nil {
		t.Fatal(err)
	}

	equal(t, fmt.Sprintf("%x", trace), response.GetCompletion().GetTraceId())
}

func TestRetry(t *testing.T) {
	again := answered(t, "flaky-go", prompt(majordomo.User("hi")))
	_, whole := generate(t, "upstream/counted-go", prompt(majordomo.User("hi")))
	_, streamed := read(t, &pb.StreamRequest{
		Call: &pb.Call{Chain: "upstream/counted-stream-go", Prompt: prompt(majordomo.User("hi"))},
	})

	equal(t, "hi", majordomo.Text(again.GetMessage()))
	for _, err := range []error{whole, streamed} {
		equal(t, 2, len(failure(t, err).Attempts)) // the harness counts the calls as well
	}
}

func TestSuccessLocal(t *testing.T) {
	whole := answered(t, "local/smollm2", brief("Say hello to Bob."))
	answer := streamed(t, "local/smollm2", brief("Say hello to Bob."))

	for _, message := range []*pb.Message{whole.GetMessage(), answer.Message()} {
		equal(t, "local/smollm2", message.GetOrigin())
		if majordomo.Text(message) == "" {
			t.Errorf("no text in %v", message)
		}
	}
	if answer.Completion.GetUsage().GetOutputTokens() < 1 {
		t.Errorf("no tokens in %v", answer.Completion)
	}
}

func TestToolsLocal(t *testing.T) {
	_, err := generate(t, "local/smollm2", weather())
	response := answered(t, "local/smollm2,upstream/tool-go", weather())

	told := failure(t, err)
	equal(t, "REQUEST_UNSUPPORTED", told.Reason)
	equal(t, pb.FailureReason_FAILURE_REASON_UNSUPPORTED, told.Attempts[0].GetFailureReason())
	called(t, response.GetMessage())
	equal(t, "local/smollm2", response.GetCompletion().GetAttempts()[0].GetTarget())
}

func TestCancelLocal(t *testing.T) {
	cancelled(t, "local/smollm2", "Count from one to one thousand.")
}
