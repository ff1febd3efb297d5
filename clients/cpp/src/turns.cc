#include "majordomo/turns.h"

namespace majordomo {

v1::Message User(const std::string& text) {
  v1::Message turn;
  turn.set_role(v1::ROLE_USER);
  turn.add_parts()->set_text(text);
  return turn;
}

v1::Message ToolResult(const v1::ToolCall& call, const std::string& text) {
  v1::Message turn;
  turn.set_role(v1::ROLE_TOOL);
  v1::ToolResult* result = turn.add_parts()->mutable_tool_result();
  result->set_tool_call_id(call.id());
  result->add_parts()->set_text(text);
  return turn;
}

std::string TextOf(const v1::Message& turn) {
  std::string text;
  for (const v1::Part& part : turn.parts()) {
    text += part.text();
  }
  return text;
}

std::vector<v1::ToolCall> ToolCallsOf(const v1::Message& turn) {
  std::vector<v1::ToolCall> calls;
  for (const v1::Part& part : turn.parts()) {
    if (part.has_tool_call()) {
      calls.push_back(part.tool_call());
    }
  }
  return calls;
}

}  // namespace majordomo
