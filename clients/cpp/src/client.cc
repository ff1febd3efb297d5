#include "majordomo/client.h"

#include <utility>

namespace majordomo {

namespace {

/// Images make messages larger than gRPC's 4 MiB; this is as large as the server's limit.
constexpr int kMessageLimit = 32 << 20;

/// UNAVAILABLE is for a server that cannot take the call. Where a chain has failed the
/// server's pushback forbids another try, and a stream that has begun is never begun again
/// (gRFC A6). Behind a name with several addresses, every replica gets its share of calls.
constexpr char kServiceConfig[] = R"({
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [{"service": "majordomo.v1.GenerationService"}],
    "retryPolicy": {
      "maxAttempts": 3,
      "initialBackoff": "0.2s",
      "maxBackoff": "2s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
})";

}  // namespace

std::shared_ptr<grpc::Channel> Connect(
    const std::string& target,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxSendMessageSize(kMessageLimit);
  arguments.SetMaxReceiveMessageSize(kMessageLimit);
  arguments.SetServiceConfigJSON(kServiceConfig);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 1);
  // A request over this is not tried again; by default 256 KiB, less than images.
  arguments.SetInt(GRPC_ARG_PER_RPC_RETRY_BUFFER_SIZE, kMessageLimit);
  // A server that vanished is noticed through the long silence of a model that reasons.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  return grpc::CreateCustomChannel(target, credentials, arguments);
}

Client::Client(const std::shared_ptr<grpc::Channel>& channel, std::string token)
    : stub_(v1::GenerationService::NewStub(channel)), token_(std::move(token)) {}

v1::GenerateResponse Client::Generate(const v1::GenerateRequest& request,
                                      const CallOptions& options) const {
  const auto context = ContextOf(options);
  v1::GenerateResponse response;
  const grpc::Status status = stub_->Generate(context.get(), request, &response);
  if (!status.ok()) {
    throw Error(status);
  }
  return response;
}

Answer Client::Stream(const v1::StreamRequest& request, const CallOptions& options) const {
  auto context = ContextOf(options);
  auto reader = stub_->Stream(context.get(), request);
  return {std::move(context), std::move(reader)};
}

std::unique_ptr<grpc::ClientContext> Client::ContextOf(const CallOptions& options) const {
  auto context = std::make_unique<grpc::ClientContext>();
  if (options.timeout) {
    context->set_deadline(std::chrono::system_clock::now() + *options.timeout);
  }
  if (!options.traceparent.empty()) {
    context->AddMetadata("traceparent", options.traceparent);
  }
  if (!token_.empty()) {
    context->AddMetadata("authorization", "Bearer " + token_);
  }
  return context;
}

}  // namespace majordomo
