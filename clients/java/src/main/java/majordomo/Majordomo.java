package majordomo;

import io.github.majordomo_grpc.v1.GenerateRequest;
import io.github.majordomo_grpc.v1.GenerateResponse;
import io.github.majordomo_grpc.v1.GenerationServiceGrpc;
import io.github.majordomo_grpc.v1.GenerationServiceGrpc.GenerationServiceBlockingStub;
import io.github.majordomo_grpc.v1.StreamRequest;
import io.grpc.CallCredentials;
import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.concurrent.Executor;

/**
 * Calls a majordomo: prompts answered through a failover chain of models.
 *
 * <p>Requests and answers are the contract's own messages. What goes wrong is a {@link
 * MajordomoException}. The {@code with} methods give a client that shares this one's connection.
 */
public final class Majordomo implements AutoCloseable {
  private static final Metadata.Key<String> TRACEPARENT = key("traceparent");

  private final ManagedChannel channel;
  private final GenerationServiceBlockingStub stub;
  private final Duration timeout;
  private final String traceparent;

  private Majordomo(
      ManagedChannel channel,
      GenerationServiceBlockingStub stub,
      Duration timeout,
      String traceparent) {
    this.channel = channel;
    this.stub = stub;
    this.timeout = timeout;
    this.traceparent = traceparent;
  }

  /** The majordomo at {@code target}, "host:port", in plain text. */
  public static Majordomo connect(String target) {
    return connect(target, InsecureChannelCredentials.create());
  }

  /** The majordomo at {@code target}; {@link io.grpc.TlsChannelCredentials} are for TLS. */
  public static Majordomo connect(String target, ChannelCredentials credentials) {
    return over(Channels.builder(target, credentials).build());
  }

  /** The majordomo at the end of {@code channel}, made by {@link Channels}. */
  public static Majordomo over(ManagedChannel channel) {
    return new Majordomo(channel, GenerationServiceGrpc.newBlockingStub(channel), null, null);
  }

  /** Shows {@code token} with every call. */
  public Majordomo withToken(String token) {
    var authorized = stub.withCallCredentials(new BearerToken(token));
    return new Majordomo(channel, authorized, timeout, traceparent);
  }

  /** Limits each call, its retries included; the server is told, and limits the chain to it. */
  public Majordomo withTimeout(Duration timeout) {
    return new Majordomo(channel, stub, timeout, traceparent);
  }

  /** Makes the calls' spans a part of this W3C trace context. */
  public Majordomo withTraceparent(String traceparent) {
    return new Majordomo(channel, stub, timeout, traceparent);
  }

  /**
   * Walks the chain until a target answers; the whole answer.
   *
   * @throws MajordomoException nobody answered, or the call was refused
   */
  public GenerateResponse generate(GenerateRequest request) {
    try {
      return prepared().generate(request);
    } catch (StatusRuntimeException error) {
      throw MajordomoException.of(error);
    }
  }

  /** Walks the chain; the answer as it is written. To be closed. */
  public Answer stream(StreamRequest request) {
    return new Answer(prepared(), request);
  }

  /** Ends the calls that run, and lets go of the connection. */
  @Override
  public void close() {
    channel.shutdownNow();
  }

  private GenerationServiceBlockingStub prepared() {
    var prepared = timeout == null ? stub : stub.withDeadlineAfter(timeout);
    if (traceparent == null) {
      return prepared;
    }
    var headers = new Metadata();
    headers.put(TRACEPARENT, traceparent);
    return prepared.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
  }

  private static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  private static final class BearerToken extends CallCredentials {
    private static final Metadata.Key<String> AUTHORIZATION = key("authorization");

    private final String token;

    BearerToken(String token) {
      this.token = token;
    }

    @Override
    public void applyRequestMetadata(RequestInfo call, Executor executor, MetadataApplier applier) {
      var headers = new Metadata();
      headers.put(AUTHORIZATION, "Bearer " + token);
      applier.apply(headers);
    }
  }
}
