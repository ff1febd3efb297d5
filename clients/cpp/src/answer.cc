#include "majordomo/answer.h"

#include <utility>

#include "majordomo/error.h"

namespace majordomo {

Answer::Answer(std::unique_ptr<grpc::ClientContext> context,
               std::unique_ptr<grpc::ClientReader<v1::StreamResponse>> reader)
    : context_(std::move(context)), reader_(std::move(reader)) {}

Answer::~Answer() {
  if (reader_ == nullptr) {
    return;
  }
  context_->TryCancel();
  v1::StreamResponse unread;
  while (reader_->Read(&unread)) {
  }
  static_cast<void>(reader_->Finish());  // gRPC wants every call finished
}

std::optional<v1::StreamResponse> Answer::Next() {
  v1::StreamResponse event;
  if (reader_ != nullptr && reader_->Read(&event)) {
    assembly_.Add(event);
    return event;
  }
  if (auto ended = std::exchange(reader_, nullptr)) {
    if (const grpc::Status status = ended->Finish(); !status.ok()) {
      throw Error(status);
    }
  }
  return std::nullopt;
}

void Answer::Cancel() { context_->TryCancel(); }

}  // namespace majordomo
