#include "majordomo/assembly.h"

namespace majordomo {

namespace {

void Append(const v1::ToolCallDelta& piece, v1::ToolCall& call) {
  call.mutable_id()->append(piece.id());
  call.mutable_name()->append(piece.name());
  call.mutable_arguments_json()->append(piece.arguments_json_fragment());
}

void Append(const v1::Blob& piece, v1::Blob& blob) {
  blob.mutable_media_type()->append(piece.media_type());
  blob.mutable_data()->append(piece.data());
}

void Append(const v1::PartDelta& delta, v1::Part& part) {
  part.mutable_provider_state()->append(delta.provider_state());
  part.mutable_citations()->MergeFrom(delta.citations());
  switch (delta.delta_case()) {
    case v1::PartDelta::kText:
      part.mutable_text()->append(delta.text());
      break;
    case v1::PartDelta::kReasoning:
      part.mutable_reasoning()->mutable_text()->append(delta.reasoning());
      break;
    case v1::PartDelta::kToolCall:
      Append(delta.tool_call(), *part.mutable_tool_call());
      break;
    case v1::PartDelta::kBlob:
      Append(delta.blob(), *part.mutable_blob());
      break;
    case v1::PartDelta::kMediaReference:
      *part.mutable_media_reference() = delta.media_reference();
      break;
    case v1::PartDelta::kOpaque:
      *part.mutable_opaque() = delta.opaque();
      break;
    case v1::PartDelta::DELTA_NOT_SET:
      break;
  }
}

}  // namespace

void Assembly::Add(const v1::StreamResponse& event) {
  if (event.has_part_delta()) {
    Append(event.part_delta(), parts_[event.part_delta().part_index()]);
  } else if (event.has_restart()) {
    parts_.clear();
  } else if (event.has_completion()) {
    completion_ = event.completion();
  }
}

v1::Message Assembly::message() const {
  v1::Message message;
  message.set_role(v1::ROLE_ASSISTANT);
  for (const auto& [index, part] : parts_) {
    // One of a kind that this client does not know has nothing to show.
    if (part.kind_case() != v1::Part::KIND_NOT_SET) {
      *message.add_parts() = part;
    }
  }
  if (completion_) {
    message.set_origin(completion_->target());
  }
  return message;
}

}  // namespace majordomo
