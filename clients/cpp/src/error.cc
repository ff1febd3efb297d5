#include "majordomo/error.h"

#include <string_view>

#include "majordomo/client/status.pb.h"

namespace majordomo {

namespace {

constexpr std::string_view kDomain = "majordomo-grpc.github.io";

/// The detail of the kind `name`, "package.Message", or an empty one.
template <typename Detail>
Detail Find(const client::Status& status, std::string_view name) {
  Detail found;
  for (const google::protobuf::Any& detail : status.details()) {
    const std::string_view url = detail.type_url();
    if (url.substr(url.rfind('/') + 1) == name && found.ParseFromString(detail.value())) {
      return found;
    }
  }
  return Detail();
}

v1::ErrorReason ReasonOf(const client::ErrorInfo& info) {
  v1::ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED;
  if (info.domain() == kDomain) {
    v1::ErrorReason_Parse("ERROR_REASON_" + info.reason(), &reason);
  }
  return reason;
}

}  // namespace

Error::Error(const grpc::Status& status)
    : std::runtime_error(status.error_message()), code_(status.error_code()) {
  client::Status details;
  if (!details.ParseFromString(status.error_details())) {
    return;  // somebody else's, in a form of their own
  }
  reason_ = ReasonOf(Find<client::ErrorInfo>(details, "google.rpc.ErrorInfo"));
  failure_ = Find<v1::CallFailure>(details, "majordomo.v1.CallFailure");
  const auto retry = Find<client::RetryInfo>(details, "google.rpc.RetryInfo");
  if (retry.has_retry_delay()) {
    const std::chrono::nanoseconds rest(retry.retry_delay().nanos());
    retry_delay_ = std::chrono::seconds(retry.retry_delay().seconds()) +
                   std::chrono::duration_cast<std::chrono::milliseconds>(rest);
  }
  const auto request = Find<client::BadRequest>(details, "google.rpc.BadRequest");
  for (const auto& violation : request.field_violations()) {
    violations_.push_back({violation.field(), violation.description()});
  }
}

}  // namespace majordomo
