// Ask asks a majordomo a question: its client in one page.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"google.golang.org/grpc/credentials/insecure"

	"majordomo"
	pb "majordomo/v1"
)

func main() {
	known := cmp.Or(os.Getenv("MAJORDOMO_ADDRESS"), "127.0.0.1:50051")
	address := flag.String("address", known, "host:port")
	chain := flag.String("chain", "", "targets and tiers, first to last")
	stream := flag.Bool("stream", false, "print while it comes")
	timeout := flag.Duration("timeout", 5*time.Minute, "for the whole call")
	flag.Parse()

	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(interrupted, *timeout)
	defer cancel()

	ask := wait
	if *stream {
		ask = writeAlong
	}
	completion, err := ask(ctx, *address, *chain, strings.Join(flag.Args(), " "))
	if err != nil {
		tell(err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "--", completion.GetTarget())
}

// wait prints the whole answer once it is there.
func wait(ctx context.Context, address, chain, question string) (*pb.Completion, error) {
	connection, err := majordomo.Dial(address, insecure.NewCredentials())
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	response, err := pb.NewGenerationServiceClient(connection).Generate(ctx, &pb.GenerateRequest{
		Chain:  chain,
		Prompt: &pb.Prompt{Messages: []*pb.Message{majordomo.User(question)}},
	})
	if err != nil {
		return nil, err
	}
	fmt.Println(majordomo.Text(response.GetMessage()))
	return response.GetCompletion(), nil
}

// writeAlong prints the answer as it is written.
func writeAlong(ctx context.Context, address, chain, question string) (*pb.Completion, error) {
	connection, err := majordomo.Dial(address, insecure.NewCredentials())
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	stream, err := pb.NewGenerationServiceClient(connection).Stream(ctx, &pb.StreamRequest{
		Chain:  chain,
		Prompt: &pb.Prompt{Messages: []*pb.Message{majordomo.User(question)}},
	})
	if err != nil {
		return nil, err
	}
	var answer majordomo.Answer
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			fmt.Println()
			return answer.Completion, nil
		}
		if err != nil {
			return nil, err
		}
		answer.Add(event)
		fmt.Print(event.GetPartDelta().GetText())
	}
}

// tell prints why there is no answer: every attempt, or what is wrong with the call.
func tell(err error) {
	failure := majordomo.FailureOf(err)
	if failure == nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", failure.Reason, failure.Message)
	for _, attempt := range failure.Attempts {
		fmt.Fprintf(os.Stderr, "  %d. %s: %s, %s\n", attempt.GetNumber(),
			attempt.GetTarget(), attempt.GetOutcome(), attempt.GetFailureReason())
	}
	for _, violation := range failure.Violations {
		fmt.Fprintf(os.Stderr, "  %s: %s\n", violation.GetField(), violation.GetDescription())
	}
	if failure.RetryDelay > 0 {
		fmt.Fprintf(os.Stderr, "  try again in %s\n", failure.RetryDelay)
	}
}
