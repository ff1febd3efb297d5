package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	majordomov1 "github.com/majordomo-grpc/majordomo/clients/go/majordomo/v1"
)

type grpcCaller struct {
	client   majordomov1.GenerationServiceClient
	chain    string
	prompt   *majordomov1.Prompt
	streamed bool
}

func dialGRPC(asked settings) (caller, error) {
	// Without retries of its own: every failure shows.
	connection, err := grpc.NewClient(
		asked.address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry(),
	)
	if err != nil {
		return nil, err
	}
	parts := []*majordomov1.Part{
		{Kind: &majordomov1.Part_Text{Text: strings.Repeat(word, chunks)}},
	}
	if asked.image != nil {
		blob := &majordomov1.Blob{MediaType: "image/png", Data: asked.image}
		parts = append(parts, &majordomov1.Part{Kind: &majordomov1.Part_Blob{Blob: blob}})
	}
	return &grpcCaller{
		client:   majordomov1.NewGenerationServiceClient(connection),
		chain:    asked.model,
		streamed: asked.streamed,
		prompt: &majordomov1.Prompt{Messages: []*majordomov1.Message{
			{Role: majordomov1.Role_ROLE_USER, Parts: parts},
		}},
	}, nil
}

func (caller *grpcCaller) call(ctx context.Context, heard *heard) error {
	if caller.streamed {
		return caller.stream(ctx, heard)
	}
	answer, err := caller.client.Generate(ctx, &majordomov1.GenerateRequest{
		Call: &majordomov1.Call{Chain: caller.chain, Prompt: caller.prompt},
	})
	if err != nil {
		return err
	}
	for _, part := range answer.GetMessage().GetParts() {
		heard.text(part.GetText())
	}
	return nil
}

func (caller *grpcCaller) stream(ctx context.Context, heard *heard) error {
	stream, err := caller.client.Stream(ctx, &majordomov1.StreamRequest{
		Call: &majordomov1.Call{Chain: caller.chain, Prompt: caller.prompt},
	})
	if err != nil {
		return err
	}
	completed := false
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		completed = completed || response.GetCompletion() != nil
		heard.text(response.GetPartDelta().GetText())
	}
	if !completed {
		return errors.New("the stream ended without a completion")
	}
	return nil
}
