package majordomo;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.github.majordomo_grpc.v1.Attempt;
import io.github.majordomo_grpc.v1.CallFailure;
import io.github.majordomo_grpc.v1.ErrorReason;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** A call that failed: a status with its details unpacked. The status itself is the cause. */
public final class MajordomoException extends RuntimeException {
  private static final long serialVersionUID = 1L;
  private static final String DOMAIN = "majordomo-grpc.github.io";

  private final Status.Code code;
  private final ErrorReason reason;
  private final CallFailure failure;
  private final Duration retryDelay;
  private final BadRequest badRequest;

  private MajordomoException(StatusRuntimeException cause, List<Any> details) {
    super(cause.getMessage(), cause);
    code = cause.getStatus().getCode();
    reason = find(details, ErrorInfo.class).map(MajordomoException::reasonOf).orElse(UNKNOWN);
    failure = find(details, CallFailure.class).orElse(CallFailure.getDefaultInstance());
    retryDelay = find(details, RetryInfo.class).map(MajordomoException::delayOf).orElse(null);
    badRequest = find(details, BadRequest.class).orElse(BadRequest.getDefaultInstance());
  }

  private static final ErrorReason UNKNOWN = ErrorReason.ERROR_REASON_UNSPECIFIED;

  static MajordomoException of(StatusRuntimeException error) {
    return new MajordomoException(error, StatusProto.fromThrowable(error).getDetailsList());
  }

  /** The status that the call ended with. */
  public Status.Code code() {
    return code;
  }

  /**
   * Why, in majordomo's terms. Unspecified: not a word of majordomo's, but of something on the way
   * to it, such as UNAVAILABLE where nobody listens.
   */
  public ErrorReason reason() {
    return reason;
  }

  /** The call's id, also on its spans and logs; empty where no chain was walked. */
  public String generationId() {
    return failure.getGenerationId();
  }

  /** What was tried and skipped, in order. */
  public List<Attempt> attempts() {
    return failure.getAttemptsList();
  }

  /** Attempts that were left out of the list. */
  public int omittedAttempts() {
    return failure.getOmittedAttempts();
  }

  /** When another try is worth it. */
  public Optional<Duration> retryDelay() {
    return Optional.ofNullable(retryDelay);
  }

  /** Rules of the contract that the request broke. */
  public List<BadRequest.FieldViolation> violations() {
    return badRequest.getFieldViolationsList();
  }

  private static ErrorReason reasonOf(ErrorInfo info) {
    if (!info.getDomain().equals(DOMAIN)) {
      return UNKNOWN;
    }
    var name = "ERROR_REASON_" + info.getReason();
    var value = ErrorReason.getDescriptor().findValueByName(name);
    return value == null ? UNKNOWN : ErrorReason.valueOf(value);
  }

  private static Duration delayOf(RetryInfo info) {
    var delay = info.getRetryDelay();
    return Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
  }

  private static <M extends Message> Optional<M> find(List<Any> details, Class<M> kind) {
    try {
      for (Any detail : details) {
        if (detail.is(kind)) {
          return Optional.of(detail.unpack(kind));
        }
      }
    } catch (InvalidProtocolBufferException error) {
      // Somebody else's, in a form of their own.
    }
    return Optional.empty();
  }
}
