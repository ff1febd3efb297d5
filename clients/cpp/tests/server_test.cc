// The client against a real server: the one that the environment names.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "majordomo/client.h"

namespace {

using namespace majordomo::v1;  // the contract's own words
using majordomo::Answer;
using majordomo::CallOptions;
using majordomo::Client;
using majordomo::Error;
using majordomo::TextOf;
using majordomo::ToolCallsOf;
using majordomo::User;

constexpr char kDown[] = "acme/status:503";
constexpr char kLocal[] = "local/smollm2";

using Ended = std::tuple<std::string, AttemptOutcome, FailureReason>;

template <typename Attempts>
std::vector<Ended> EndsOf(const Attempts& attempts) {
  std::vector<Ended> ends;
  for (const Attempt& attempt : attempts) {
    ends.emplace_back(attempt.target(), attempt.outcome(), attempt.failure_reason());
  }
  return ends;
}

std::string Told(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) {
    throw std::runtime_error(std::string(name) + " is not set: see README.md");
  }
  return value;
}

std::string Contents(const std::string& path) {
  std::ostringstream contents;
  contents << std::ifstream(path).rdbuf();
  return contents.str();
}

GenerateRequest Generating(const std::string& chain, const std::vector<Message>& messages) {
  GenerateRequest request;
  request.mutable_call()->set_chain(chain);
  for (const Message& message : messages) {
    *request.mutable_call()->mutable_prompt()->add_messages() = message;
  }
  return request;
}

GenerateRequest WeatherAsked(const std::string& chain) {
  GenerateRequest request = Generating(chain, {User("What is the weather in Paris?")});
  auto* tool = request.mutable_call()->mutable_prompt()->add_tools()->mutable_function();
  tool->set_name("get_weather");
  tool->set_parameters_schema_json(
      R"({"type":"object","properties":{"city":{"type":"string"}}})");
  return request;
}

StreamRequest Streaming(const std::string& chain, const std::string& text) {
  StreamRequest request;
  request.mutable_call()->set_chain(chain);
  *request.mutable_call()->mutable_prompt()->add_messages() = User(text);
  return request;
}

std::vector<StreamResponse> Read(Answer& answer) {
  std::vector<StreamResponse> events;
  while (auto event = answer.Next()) {
    events.push_back(*std::move(event));
  }
  return events;
}

template <typename Call>
Error Refused(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("the call has not failed");
}

Client Secure(const std::string& token) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = Contents(Told("MAJORDOMO_CA"));
  const auto credentials = grpc::SslCredentials(options);
  return Client(majordomo::Connect(Told("MAJORDOMO_SECURE_ADDRESS"), credentials), token);
}

class Server : public testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("MAJORDOMO_ADDRESS") == nullptr) {
      GTEST_SKIP() << "MAJORDOMO_ADDRESS is not set: see README.md";
    }
    client_.emplace(majordomo::Connect(Told("MAJORDOMO_ADDRESS")));
  }

  GenerateResponse Ask(const std::string& chain, const std::string& text = "hi") {
    return client_->Generate(Generating(chain, {User(text)}));
  }

  Error RefusedBy(const std::string& chain, const CallOptions& options = {}) {
    const auto request = Generating(chain, {User("hi")});
    return Refused([&] { std::ignore = client_->Generate(request, options); });
  }

  Answer Begin(const std::string& chain, const std::string& text) {
    return client_->Stream(Streaming(chain, text));
  }

  std::optional<Client> client_;
};

TEST_F(Server, Success) {
  const auto response = Ask("acme/echo", "hi you");

  EXPECT_EQ("hi you", TextOf(response.message()));
  EXPECT_EQ("acme/echo", response.completion().target());
}

TEST_F(Server, Stream) {
  auto answer = Begin("acme/echo+pace:20ms", "one two three");
  const auto events = Read(answer);

  EXPECT_EQ(3, std::count_if(events.begin(), events.end(),
                             [](const auto& event) { return event.has_part_delta(); }));
  const auto turn = answer.assembly().message();
  EXPECT_EQ("one two three", TextOf(turn));
  EXPECT_EQ("acme/echo+pace:20ms", turn.origin());
}

TEST_F(Server, Tools) {
  auto request = WeatherAsked("upstream/tool-cpp");
  const auto asking = client_->Generate(request).message();
  const auto calls = ToolCallsOf(asking);
  ASSERT_EQ(1, calls.size());
  EXPECT_EQ("get_weather", calls[0].name());
  EXPECT_EQ(R"({"city":"Paris"})", calls[0].arguments_json());

  *request.mutable_call()->mutable_prompt()->add_messages() = asking;
  *request.mutable_call()->mutable_prompt()->add_messages() =
      majordomo::ToolResult(calls[0], "rain");

  EXPECT_EQ("Paris: rain", TextOf(client_->Generate(request).message()));
}

TEST_F(Server, Conversation) {
  const std::string chain = "upstream/talk-cpp";
  const auto whole = Ask(chain, "Hello").message();
  auto answer = Begin(chain, "Hello");
  Read(answer);
  const auto pieced = answer.assembly().message();
  EXPECT_TRUE(std::any_of(whole.parts().begin(), whole.parts().end(),
                          [](const Part& part) { return !part.provider_state().empty(); }));
  EXPECT_EQ(whole.DebugString(), pieced.DebugString());

  for (const Message& turn : {whole, pieced}) {
    const auto request = Generating(chain, {User("Hello"), turn, User("Go on.")});

    EXPECT_EQ("kept", TextOf(client_->Generate(request).message()));
  }
}

TEST_F(Server, Sources) {
  const std::string chain = "upstream/sources-cpp";
  const auto whole = Ask(chain, "How are you?").message();
  auto answer = Begin(chain, "How are you?");
  Read(answer);
  const auto pieced = answer.assembly().message();
  EXPECT_EQ(whole.SerializeAsString(), pieced.SerializeAsString());

  ASSERT_EQ(3, pieced.parts_size());
  const auto& citation = pieced.parts(0).citations(0);
  const auto& range = citation.range();
  EXPECT_EQ("https://example.org/a", citation.uri());
  EXPECT_EQ("Ça va",
            pieced.parts(0).text().substr(range.start(), range.end() - range.start()));
  EXPECT_EQ("file", pieced.parts(1).opaque().type());
  EXPECT_EQ(1'500'008, pieced.parts(2).blob().data().size());
}

TEST_F(Server, Cancel) {
  auto answer = Begin("upstream/hang-cpp", "hi");
  answer.Next();
  EXPECT_EQ("one ", TextOf(answer.assembly().message()));

  answer.Cancel();  // and the harness sees the provider's connection close
  const Error error = Refused([&] { answer.Next(); });
  EXPECT_EQ(grpc::StatusCode::CANCELLED, error.code());
  Ask("acme/echo");  // the client's own connection stays open
}

TEST_F(Server, Failover) {
  const auto response = Ask(std::string(kDown) + ",acme/echo");

  EXPECT_EQ("hi", TextOf(response.message()));
  const Ended down(kDown, ATTEMPT_OUTCOME_FAILED, FAILURE_REASON_OVERLOADED);
  const Ended echo("acme/echo", ATTEMPT_OUTCOME_SUCCEEDED, FAILURE_REASON_UNSPECIFIED);
  const std::vector<Ended> expected = {down, down, echo};
  EXPECT_EQ(expected, EndsOf(response.completion().attempts()));
}

TEST_F(Server, Exhausted) {
  const Error error = RefusedBy(kDown);

  EXPECT_EQ(grpc::StatusCode::UNAVAILABLE, error.code());
  EXPECT_EQ(ERROR_REASON_CHAIN_EXHAUSTED, error.reason());
  const Ended down(kDown, ATTEMPT_OUTCOME_FAILED, FAILURE_REASON_OVERLOADED);
  const std::vector<Ended> expected = {down, down};
  EXPECT_EQ(expected, EndsOf(error.failure().attempts()));
  EXPECT_EQ(0, error.failure().omitted_attempts());
  EXPECT_NE("", error.failure().generation_id());
  EXPECT_TRUE(error.retry_delay().has_value());
}

TEST_F(Server, Interrupted) {
  auto answer = Begin("acme/cut:1", "one two");
  answer.Next();
  const Error error = Refused([&] { answer.Next(); });

  EXPECT_EQ("one ", TextOf(answer.assembly().message()));
  EXPECT_FALSE(answer.assembly().completion().has_value());
  EXPECT_EQ(grpc::StatusCode::ABORTED, error.code());
  EXPECT_EQ(ERROR_REASON_STREAM_INTERRUPTED, error.reason());
  const std::vector<Ended> expected = {
      {"acme/cut:1", ATTEMPT_OUTCOME_INTERRUPTED, FAILURE_REASON_CONNECTION}};
  EXPECT_EQ(expected, EndsOf(error.failure().attempts()));
}

TEST_F(Server, Restart) {
  auto request = Streaming("acme/cut:1,acme/echo", "one two");
  request.mutable_call()->mutable_options()->set_interruption_policy(
      INTERRUPTION_POLICY_RESTART);
  auto answer = client_->Stream(request);
  const auto events = Read(answer);

  const auto restart =
      std::find_if(events.begin(), events.end(),
                   [](const StreamResponse& event) { return event.has_restart(); });
  ASSERT_NE(events.end(), restart);
  EXPECT_EQ("acme/echo", restart->restart().target());
  EXPECT_EQ("one two", TextOf(answer.assembly().message()));
  EXPECT_EQ("acme/echo", answer.assembly().message().origin());
}

TEST_F(Server, Deadline) {
  CallOptions options;
  options.timeout = std::chrono::seconds(5);
  const Error error = RefusedBy("acme/stall:0", options);

  EXPECT_EQ(grpc::StatusCode::DEADLINE_EXCEEDED, error.code());
  EXPECT_EQ(ERROR_REASON_DEADLINE_EXCEEDED, error.reason());
  const std::vector<Ended> expected = {
      {"acme/stall:0", ATTEMPT_OUTCOME_CANCELLED, FAILURE_REASON_DEADLINE}};
  EXPECT_EQ(expected, EndsOf(error.failure().attempts()));
}

TEST_F(Server, Image) {
  // Larger than gRPC's own limits both ways: 8 MB there, 5 MB back.
  constexpr std::size_t kPixels = 8 << 20;
  const std::string text(5 << 20, 'a');
  auto turn = User(text);
  auto* blob = turn.add_parts()->mutable_blob();
  blob->set_media_type("image/png");
  std::minstd_rand random;
  std::generate_n(std::back_inserter(*blob->mutable_data()), kPixels,
                  [&random] { return static_cast<char>(random()); });

  // Of such a tier the first call is refused: what is this large is tried again as well.
  for (const char* chain : {"acme/echo", "flaky-cpp-image"}) {
    const auto response = client_->Generate(Generating(chain, {turn}));

    EXPECT_TRUE(text == TextOf(response.message()));
  }
}

TEST_F(Server, Tls) {
  const auto client = Secure(Told("MAJORDOMO_TOKEN"));
  const auto response = client.Generate(Generating("acme/echo", {User("hi")}));

  EXPECT_EQ("hi", TextOf(response.message()));
}

TEST_F(Server, Token) {
  const auto request = Generating("acme/echo", {User("hi")});
  EXPECT_NO_THROW(std::ignore = Secure(Told("MAJORDOMO_TOKEN")).Generate(request));

  for (const char* token : {"", "wrong"}) {
    const auto client = Secure(token);
    const Error error = Refused([&] { std::ignore = client.Generate(request); });

    EXPECT_EQ(grpc::StatusCode::UNAUTHENTICATED, error.code());
    EXPECT_EQ(ERROR_REASON_UNAUTHENTICATED, error.reason());
  }
}

TEST_F(Server, Trace) {
  std::string trace(32, '0');
  std::random_device random;
  std::generate(trace.begin(), trace.end(),
                [&random] { return "0123456789abcdef"[random() % 16]; });
  CallOptions options;
  options.traceparent = "00-" + trace + "-00f067aa0ba902b7-01";
  const auto response = client_->Generate(Generating("acme/echo", {User("hi")}), options);

  EXPECT_EQ(trace, response.completion().trace_id());
}

TEST_F(Server, Retry) {
  // The first call of each two for such a tier is refused, without a pushback.
  EXPECT_EQ("hi", TextOf(Ask("flaky-cpp").message()));

  // The harness counts: no more than one walk for each.
  const Error whole = RefusedBy("upstream/counted-cpp");
  auto answer = Begin("upstream/counted-stream-cpp", "hi");
  const Error streamed = Refused([&] { answer.Next(); });
  for (const Error& error : {whole, streamed}) {
    EXPECT_EQ(ERROR_REASON_CHAIN_EXHAUSTED, error.reason());
    EXPECT_EQ(2, error.failure().attempts_size());
  }
}

TEST_F(Server, SuccessLocal) {
  const auto response = Ask(kLocal, "Say hello.");
  EXPECT_NE("", TextOf(response.message()));
  EXPECT_EQ(kLocal, response.completion().target());

  auto answer = Begin(kLocal, "Say hello.");
  Read(answer);
  EXPECT_NE("", TextOf(answer.assembly().message()));
  EXPECT_EQ(kLocal, answer.assembly().message().origin());
}

TEST_F(Server, ToolsLocal) {
  const auto chain = std::string(kLocal) + ",upstream/tool-cpp";
  const auto response = client_->Generate(WeatherAsked(chain));

  EXPECT_EQ(1, ToolCallsOf(response.message()).size());
  const Ended skipped(kLocal, ATTEMPT_OUTCOME_SKIPPED, FAILURE_REASON_UNSUPPORTED);
  EXPECT_EQ(skipped, EndsOf(response.completion().attempts()).front());
}

TEST_F(Server, CancelLocal) {
  {
    auto answer = Begin(kLocal, "Tell a long story of a butler.");
    answer.Next();
    EXPECT_NE("", TextOf(answer.assembly().message()));
  }
  Ask("acme/echo");  // the harness sees the attempt end before
}

}  // namespace
