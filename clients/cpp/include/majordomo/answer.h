#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <memory>
#include <optional>

#include "majordomo/assembly.h"
#include "majordomo/v1/generation_service.grpc.pb.h"

namespace majordomo {

/// The events of an answer that is being written.
///
/// To let go of it before its end is to cancel the call: the server ends it at its provider
/// at once.
class Answer {
 public:
  Answer(std::unique_ptr<grpc::ClientContext> context,
         std::unique_ptr<grpc::ClientReader<v1::StreamResponse>> reader);
  Answer(Answer&&) = default;
  Answer& operator=(Answer&&) = delete;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer();

  /// The next event, waited for; nothing when the answer is complete. Throws `Error` where
  /// the stream breaks; what had come is still in `assembly`.
  std::optional<v1::StreamResponse> Next();

  /// Ends the call, if it has not ended. From any thread.
  void Cancel();

  /// What has been read so far.
  [[nodiscard]] const Assembly& assembly() const { return assembly_; }

 private:
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReader<v1::StreamResponse>> reader_;  // null at the end
  Assembly assembly_;
};

}  // namespace majordomo
