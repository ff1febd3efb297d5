// Tools holds a conversation in which the model may call a tool.
//
//	go run ./cmd/tools openai/gpt-5-mini "What is the weather in Paris?" "And in Rome?"
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"google.golang.org/grpc/credentials/insecure"

	"github.com/majordomo-grpc/majordomo/clients/go"
	pb "github.com/majordomo-grpc/majordomo/clients/go/majordomo/v1"
)

const mostRounds = 8

var weather = &pb.FunctionTool{
	Name:        "get_weather",
	Description: "The weather in a city.",
	ParametersSchemaJson: `{
		"type": "object",
		"properties": {"city": {"type": "string"}},
		"required": ["city"]
	}`,
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("tools CHAIN QUESTION...")
	}
	if err := converse(context.Background(), os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

// converse asks one question after the other, in one conversation.
func converse(ctx context.Context, chain string, questions []string) error {
	address := cmp.Or(os.Getenv("MAJORDOMO_ADDRESS"), "127.0.0.1:50051")
	connection, err := majordomo.Dial(address, insecure.NewCredentials())
	if err != nil {
		return err
	}
	defer connection.Close()
	client := pb.NewGenerationServiceClient(connection)

	request := &pb.GenerateRequest{
		Call: &pb.Call{Chain: chain, Prompt: &pb.Prompt{
			Tools: []*pb.Tool{{Kind: &pb.Tool_Function{Function: weather}}},
		}},
	}
	for _, question := range questions {
		request.Call.Prompt.Messages = append(request.Call.Prompt.Messages, majordomo.User(question))
		text, err := answer(ctx, client, request)
		if err != nil {
			return err
		}
		fmt.Println(text)
	}
	return nil
}

// answer is what the model answers to the last turn, once it calls no tool any more.
//
// Its turns go into the conversation as they came, Origin and ProviderState included: with
// them the target that wrote a turn reads its own reasoning again.
func answer(
	ctx context.Context, client pb.GenerationServiceClient, request *pb.GenerateRequest,
) (string, error) {
	for range mostRounds {
		response, err := client.Generate(ctx, request)
		if err != nil {
			return "", err
		}
		turn := response.GetMessage()
		request.Call.Prompt.Messages = append(request.Call.Prompt.Messages, turn)
		results := &pb.Message{Role: pb.Role_ROLE_TOOL}
		for _, part := range turn.GetParts() {
			if call := part.GetToolCall(); call != nil {
				result := &pb.Part_ToolResult{ToolResult: run(call)}
				results.Parts = append(results.Parts, &pb.Part{Kind: result})
			}
		}
		if len(results.GetParts()) == 0 {
			return majordomo.Text(turn), nil
		}
		request.Call.Prompt.Messages = append(request.Call.Prompt.Messages, results)
	}
	return "", errors.New("the model does not stop calling tools")
}

// run is what the tool answers: a real one would read the arguments.
func run(call *pb.ToolCall) *pb.ToolResult {
	known := call.GetName() == weather.GetName()
	text := "there is no such tool"
	if known {
		text = fmt.Sprintf("sunny, 21 °C (%s)", call.GetArgumentsJson())
	}
	return &pb.ToolResult{
		ToolCallId: call.GetId(),
		Parts:      []*pb.Part{{Kind: &pb.Part_Text{Text: text}}},
		IsError:    !known,
	}
}
