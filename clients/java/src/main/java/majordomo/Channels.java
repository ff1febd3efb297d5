package majordomo;

import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.ManagedChannelBuilder;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Channels with the settings that calls of models need. */
public final class Channels {
  /** Images make messages larger than gRPC's 4 MiB; this is as large as the server's limit. */
  private static final int MESSAGE_LIMIT = 32 << 20;

  /**
   * For a server that cannot take the call. Where a chain has failed the server's pushback forbids
   * it, and a stream that has begun is never begun again (gRFC A6).
   */
  private static final Map<String, ?> RETRY_POLICY =
      Map.of(
          "maxAttempts",
          3.0,
          "initialBackoff",
          "0.2s",
          "maxBackoff",
          "2s",
          "backoffMultiplier",
          2.0,
          "retryableStatusCodes",
          List.of("UNAVAILABLE"));

  private static final Map<String, ?> SERVICE_CONFIG =
      Map.of(
          // Behind a name with several addresses, every replica gets its share of calls.
          "loadBalancingConfig", List.of(Map.of("round_robin", Map.of())),
          "methodConfig",
              List.of(
                  Map.of(
                      "name",
                      List.of(Map.of("service", "majordomo.v1.GenerationService")),
                      "retryPolicy",
                      RETRY_POLICY)));

  private Channels() {}

  /** A channel to {@code target}, such as "host:port", to be changed further and built. */
  public static ManagedChannelBuilder<?> builder(String target, ChannelCredentials credentials) {
    return Grpc.newChannelBuilder(target, credentials)
        .maxInboundMessageSize(MESSAGE_LIMIT)
        // A server that vanished is noticed through the long silence of a model that reasons.
        .keepAliveTime(30, TimeUnit.SECONDS)
        .defaultServiceConfig(SERVICE_CONFIG)
        .enableRetry()
        // A request over these is not tried again; by default 1 MiB, less than images.
        .perRpcBufferLimit(MESSAGE_LIMIT)
        .retryBufferSize(4L * MESSAGE_LIMIT);
  }
}
