/// A client of majordomo: prompts answered through a failover chain of models.
///
/// Requests and answers are the contract's own messages, in `majordomo::v1`. What goes
/// wrong is a `majordomo::Error`.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "majordomo/answer.h"
#include "majordomo/error.h"
#include "majordomo/turns.h"
#include "majordomo/v1/generation_service.grpc.pb.h"

namespace majordomo {

/// Of one call.
struct CallOptions {
  /// How long the call may take, its retries included; the server is told, and limits the
  /// chain to it. Without it: up to the server.
  std::optional<std::chrono::milliseconds> timeout;

  /// The W3C trace context that the call's spans belong to; empty: none.
  std::string traceparent;
};

/// A channel to `target`, such as "host:port", with the settings that calls of models need.
std::shared_ptr<grpc::Channel> Connect(
    const std::string& target,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials =
        grpc::InsecureChannelCredentials());

/// Calls a majordomo, from any number of threads.
class Client {
 public:
  /// `channel` is from `Connect`; `token` is shown with every call, unless it is empty.
  explicit Client(const std::shared_ptr<grpc::Channel>& channel, std::string token = "");

  /// Walks the chain until a target answers; the whole answer. Throws `Error`.
  [[nodiscard]] v1::GenerateResponse Generate(const v1::GenerateRequest& request,
                                              const CallOptions& options = {}) const;

  /// Walks the chain; the answer as it is written.
  [[nodiscard]] Answer Stream(const v1::StreamRequest& request,
                              const CallOptions& options = {}) const;

 private:
  [[nodiscard]] std::unique_ptr<grpc::ClientContext> ContextOf(
      const CallOptions& options) const;

  std::unique_ptr<v1::GenerationService::Stub> stub_;
  std::string token_;
};

}  // namespace majordomo
