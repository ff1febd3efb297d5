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

	"github.com/majordomo-grpc/majordomo/clients/go"
	pb "github.com/majordomo-grpc/majordomo/clients/go/majordomo/v1"
)

func main() { os.Exit(run()) }

// run answers the question and tells who did; 1 when nobody could.
func run() int {
	usual := cmp.Or(os.Getenv("MAJORDOMO_ADDRESS"), "127.0.0.1:50051")
	address := flag.String("address", usual, "host:port")
	chain := flag.String("chain", "", "targets and tiers, first to last")
	stream := flag.Bool("stream", false, "print while it comes")
	timeout := flag.Duration("timeout", 5*time.Minute, "for the whole call")
	flag.Parse()

	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(interrupted, *timeout)
	defer cancel()

	connection, err := majordomo.Dial(*address, insecure.NewCredentials())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer connection.Close()
	ask := wait
	if *stream {
		ask = writeAlong
	}
	question := majordomo.User(strings.Join(flag.Args(), " "))
	prompt := &pb.Prompt{Messages: []*pb.Message{question}}
	completion, err := ask(ctx, pb.NewGenerationServiceClient(connection), *chain, prompt)
	if err != nil {
		tell(err)
		return 1
	}
	fmt.Fprintln(os.Stderr, "--", completion.GetTarget())
	return 0
}

// wait prints the whole answer once it is there.
func wait(
	ctx context.Context, client pb.GenerationServiceClient, chain string, prompt *pb.Prompt,
) (*pb.Completion, error) {
	response, err := client.Generate(ctx, &pb.GenerateRequest{Call: &pb.Call{Chain: chain, Prompt: prompt}})
	if err != nil {
		return nil, err
	}
	fmt.Println(majordomo.Text(response.GetMessage()))
	return response.GetCompletion(), nil
}

// writeAlong prints the answer as it is written.
func writeAlong(
	ctx context.Context, client pb.GenerationServiceClient, chain string, prompt *pb.Prompt,
) (*pb.Completion, error) {
	stream, err := client.Stream(ctx, &pb.StreamRequest{Call: &pb.Call{Chain: chain, Prompt: prompt}})
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
