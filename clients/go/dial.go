// Package majordomo calls a majordomo server: a connection made for long answers and
// large requests, failures as values, and streamed answers put together.
//
// The calls themselves are the generated client's, from majordomo/v1.
package majordomo

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

const messageLimit = 32 << 20

// A call is tried again where its server could not take it. Where a chain has failed the
// server's pushback forbids it, and a stream that has begun is never begun again.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [{
		"name": [
			{"service": "majordomo.v1.GenerationService"},
			{"service": "majordomo.v1.OperatorService", "method": "HealthSnapshot"}
		],
		"retryPolicy": {
			"maxAttempts": 3,
			"initialBackoff": "0.2s",
			"maxBackoff": "2s",
			"backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]
}`

// Dial connects to the server at address when the first call is made. The options win
// over those of this package.
func Dial(
	address string, secured credentials.TransportCredentials, options ...grpc.DialOption,
) (*grpc.ClientConn, error) {
	ours := []grpc.DialOption{
		grpc.WithTransportCredentials(secured),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(messageLimit),
			grpc.MaxCallSendMsgSize(messageLimit),
			// A request over this is not tried again; the default is less than images.
			grpc.MaxRetryRPCBufferSize(messageLimit),
		),
		// A server that vanished is noticed through the silence of a model that reasons.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second}),
	}
	return grpc.NewClient(address, append(ours, options...)...)
}

// Token is sent with every call, over TLS only: grpc.WithPerRPCCredentials(Token("...")).
type Token string

// GetRequestMetadata is what gRPC asks of credentials.
func (t Token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(t)}, nil
}

// RequireTransportSecurity keeps the token off connections in plain text.
func (t Token) RequireTransportSecurity() bool { return true }
