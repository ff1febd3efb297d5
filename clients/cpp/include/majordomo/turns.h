/// Turns of a conversation, made and read with few words.
#pragma once

#include <string>
#include <vector>

#include "majordomo/v1/content.pb.h"

namespace majordomo {

/// A user's turn that says `text`.
v1::Message User(const std::string& text);

/// The turn that answers a call of a tool.
v1::Message ToolResult(const v1::ToolCall& call, const std::string& text);

/// The text of a turn, its parts joined.
std::string TextOf(const v1::Message& turn);

/// The tools that a turn asks for.
std::vector<v1::ToolCall> ToolCallsOf(const v1::Message& turn);

}  // namespace majordomo
