#pragma once

#include <map>
#include <optional>

#include "majordomo/v1/content.pb.h"
#include "majordomo/v1/generation_service.pb.h"

namespace majordomo {

/// A turn, put together from the events of its stream.
class Assembly {
 public:
  /// Takes `event` in.
  void Add(const v1::StreamResponse& event);

  /// The turn as far as it has come. At the end it is as that of `Client::Generate`: to be
  /// appended to the conversation unchanged.
  [[nodiscard]] v1::Message message() const;

  /// How the call ended; nothing until it has ended well.
  [[nodiscard]] const std::optional<v1::Completion>& completion() const {
    return completion_;
  }

 private:
  std::map<int, v1::Part> parts_;
  std::optional<v1::Completion> completion_;
};

}  // namespace majordomo
