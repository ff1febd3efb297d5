package majordomo

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/majordomo-grpc/majordomo/clients/go/majordomo/v1"
)

// domain is whose reasons are read here: google.rpc.ErrorInfo.domain.
const domain = "majordomo-grpc.github.io"

// Failure is what the server told of a call that failed.
type Failure struct {
	Code    codes.Code
	Message string

	// Reason is the name of a majordomo.v1.ErrorReason, without its prefix.
	Reason string

	// Metadata is what else belongs to the reason.
	Metadata map[string]string

	// GenerationID is the call's id, also on the server's spans and in its log.
	GenerationID string

	// Attempts are what was tried and skipped, in order; OmittedAttempts were left out
	// of their middle.
	Attempts        []*pb.Attempt
	OmittedAttempts int

	// RetryDelay is when another try is worth it; 0 where the server does not know.
	RetryDelay time.Duration

	// Violations are the fields of the request that break a rule.
	Violations []*errdetails.BadRequest_FieldViolation
}

// FailureOf unpacks the error of a call. It is nil for an error that majordomo did not
// send: nobody there, cut off, cancelled or out of time on this side.
func FailureOf(err error) *Failure {
	told, ok := status.FromError(err)
	if !ok {
		return nil
	}
	failure := &Failure{Code: told.Code(), Message: told.Message()}
	for _, detail := range told.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == domain {
				failure.Reason = detail.GetReason()
				failure.Metadata = detail.GetMetadata()
				failure.GenerationID = detail.GetMetadata()["generation_id"]
			}
		case *errdetails.RetryInfo:
			failure.RetryDelay = detail.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			failure.Violations = detail.GetFieldViolations()
		case *pb.CallFailure:
			failure.Attempts = detail.GetAttempts()
			failure.OmittedAttempts = int(detail.GetOmittedAttempts())
		}
	}
	if failure.Reason == "" {
		return nil
	}
	return failure
}
