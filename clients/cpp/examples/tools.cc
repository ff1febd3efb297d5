// A conversation in which the model may call a tool: asked, answered, carried on.
//
//   tools openai/gpt-5-mini "What is the weather in Paris?" "And in Rome?"

#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "majordomo/client.h"

namespace {

using majordomo::v1::GenerateRequest;
using majordomo::v1::Message;
using majordomo::v1::ToolCall;

constexpr int kRounds = 8;

/// A tool, as the model is told of it.
majordomo::v1::Tool Weather() {
  majordomo::v1::Tool tool;
  auto& function = *tool.mutable_function();
  function.set_name("get_weather");
  function.set_description("The weather of a city.");
  function.set_parameters_schema_json(R"({
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"]
  })");
  return tool;
}

/// What the tool answers: a real one would read the arguments.
std::string Run(const ToolCall& call) {
  if (call.name() == "get_weather") {
    return "Sunny, 21 °C (" + call.arguments_json() + ")";
  }
  return "there is no tool " + call.name();
}

/// The model's answer to the last turn of `request`, once it calls no tool any more.
///
/// Its turns go into the conversation as they came, `origin` and `provider_state` included:
/// with them the target that wrote a turn reads its own reasoning again.
std::string AnswerTo(GenerateRequest& request, const majordomo::Client& client) {
  auto& messages = *request.mutable_call()->mutable_prompt()->mutable_messages();
  for (int round = 0; round < kRounds; ++round) {
    const Message turn = client.Generate(request).message();
    *messages.Add() = turn;
    const std::vector<ToolCall> calls = majordomo::ToolCallsOf(turn);
    if (calls.empty()) {
      return majordomo::TextOf(turn);
    }
    for (const ToolCall& call : calls) {
      *messages.Add() = majordomo::ToolResult(call, Run(call));
    }
  }
  throw std::runtime_error("no answer after that many rounds of tools");
}

}  // namespace

int main(int count, char** words) {
  try {
    const std::vector<std::string> arguments(words + 1, words + count);
    const char* address = std::getenv("MAJORDOMO_ADDRESS");
    const majordomo::Client client(
        majordomo::Connect(address == nullptr ? "127.0.0.1:50051" : address));

    GenerateRequest request;
    request.mutable_call()->set_chain(arguments.at(0));
    *request.mutable_call()->mutable_prompt()->add_tools() = Weather();
    for (std::size_t index = 1; index < arguments.size(); ++index) {
      *request.mutable_call()->mutable_prompt()->add_messages() =
          majordomo::User(arguments[index]);
      std::cout << AnswerTo(request, client) << '\n';
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
