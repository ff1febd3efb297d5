#pragma once

#include <grpcpp/support/status.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "majordomo/v1/errors.pb.h"

namespace majordomo {

/// A rule of the contract that a request broke.
struct Violation {
  std::string field;
  std::string description;
};

/// A call that failed: a status with its details unpacked.
class Error : public std::runtime_error {
 public:
  explicit Error(const grpc::Status& status);

  /// The status that the call ended with.
  [[nodiscard]] grpc::StatusCode code() const { return code_; }

  /// Why, in majordomo's terms. Unspecified: not a word of majordomo's, but of something on
  /// the way to it, such as UNAVAILABLE where nobody listens.
  [[nodiscard]] v1::ErrorReason reason() const { return reason_; }

  /// The call's id and its attempts, in order; empty where no chain was walked.
  [[nodiscard]] const v1::CallFailure& failure() const { return failure_; }

  /// When another try is worth it.
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry_delay() const {
    return retry_delay_;
  }

  /// What is wrong with the request.
  [[nodiscard]] const std::vector<Violation>& violations() const { return violations_; }

 private:
  grpc::StatusCode code_;
  v1::ErrorReason reason_ = v1::ERROR_REASON_UNSPECIFIED;
  v1::CallFailure failure_;
  std::optional<std::chrono::milliseconds> retry_delay_;
  std::vector<Violation> violations_;
};

}  // namespace majordomo
