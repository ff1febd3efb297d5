// A turn from the pieces it came in.

#include "majordomo/assembly.h"

#include <gtest/gtest.h>

#include <string>

#include "majordomo/turns.h"

namespace {

using majordomo::Assembly;
using majordomo::v1::PartDelta;
using majordomo::v1::StreamResponse;

PartDelta Delta(int index) {
  PartDelta delta;
  delta.set_part_index(index);
  return delta;
}

PartDelta Text(int index, const std::string& text) {
  auto delta = Delta(index);
  delta.set_text(text);
  return delta;
}

void Add(Assembly& assembly, const PartDelta& delta) {
  StreamResponse event;
  *event.mutable_part_delta() = delta;
  assembly.Add(event);
}

TEST(Assembly, PiecesBecomeThePartsTheyAreOf) {
  Assembly assembly;
  auto reasoning = Delta(0);
  reasoning.set_reasoning("hm");
  reasoning.set_provider_state("signed");
  Add(assembly, reasoning);
  Add(assembly, Text(1, "one "));
  Add(assembly, Text(1, "two"));
  auto begun = Delta(2);
  begun.mutable_tool_call()->set_id("1");
  begun.mutable_tool_call()->set_name("get_weather");
  begun.mutable_tool_call()->set_arguments_json_fragment("{\"city\":");
  Add(assembly, begun);
  auto rest = Delta(2);
  rest.mutable_tool_call()->set_arguments_json_fragment("\"Paris\"}");
  rest.set_provider_state("state");
  Add(assembly, rest);
  StreamResponse end;
  end.mutable_completion()->set_target("acme/echo");
  assembly.Add(end);

  majordomo::v1::Message expected;
  expected.set_role(majordomo::v1::ROLE_ASSISTANT);
  expected.set_origin("acme/echo");
  auto* thought = expected.add_parts();
  thought->mutable_reasoning()->set_text("hm");
  thought->set_provider_state("signed");
  expected.add_parts()->set_text("one two");
  auto* call = expected.add_parts();
  call->mutable_tool_call()->set_id("1");
  call->mutable_tool_call()->set_name("get_weather");
  call->mutable_tool_call()->set_arguments_json(R"({"city":"Paris"})");
  call->set_provider_state("state");
  EXPECT_EQ(expected.DebugString(), assembly.message().DebugString());
  EXPECT_EQ("acme/echo", assembly.completion().value().target());
}

TEST(Assembly, ARestartVoidsWhatCame) {
  Assembly assembly;
  Add(assembly, Text(0, "one"));
  Add(assembly, Text(1, "two"));
  StreamResponse restart;
  restart.mutable_restart()->set_target("acme/echo");
  assembly.Add(restart);
  Add(assembly, Text(0, "three"));

  EXPECT_EQ("three", majordomo::TextOf(assembly.message()));
  EXPECT_FALSE(assembly.completion().has_value());
}

}  // namespace
