// Asks a majordomo a question.
//
//   ask "What is a majordomo?" --stream --timeout 20 --chain
//   scripted/status:503,local/smollm2

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "majordomo/client.h"

namespace {

using majordomo::v1::Attempt;
using majordomo::v1::Completion;

struct Arguments {
  std::string question;
  std::string chain;
  std::string address;
  bool stream = false;
  majordomo::CallOptions options;
};

std::string Environment(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

Arguments Parse(const std::vector<std::string>& words) {
  Arguments arguments;
  arguments.address = Environment("MAJORDOMO_ADDRESS", "127.0.0.1:50051");
  // As tools that start others hand it on: the call is part of the caller's trace.
  arguments.options.traceparent = Environment("TRACEPARENT", "");
  for (auto word = words.begin(); word != words.end(); ++word) {
    const auto value = [&word, &words] {
      if (std::next(word) == words.end()) {
        throw std::invalid_argument(*word + " needs a value");
      }
      return *++word;
    };
    if (*word == "--chain") {
      arguments.chain = value();
    } else if (*word == "--address") {
      arguments.address = value();
    } else if (*word == "--stream") {
      arguments.stream = true;
    } else if (*word == "--timeout") {
      const std::chrono::duration<double> timeout(std::stod(value()));
      arguments.options.timeout =
          std::chrono::duration_cast<std::chrono::milliseconds>(timeout);
    } else {
      arguments.question = *word;
    }
  }
  if (arguments.question.empty()) {
    throw std::invalid_argument(
        "ask QUESTION [--chain C] [--stream] [--timeout SECONDS] [--address A]");
  }
  return arguments;
}

/// Fills in what both calls ask.
template <typename Request>
Request Asking(const Arguments& arguments) {
  Request request;
  request.mutable_call()->set_chain(arguments.chain);
  *request.mutable_call()->mutable_prompt()->add_messages() =
      majordomo::User(arguments.question);
  return request;
}

/// Prints the whole answer once it is there.
Completion Wait(const majordomo::Client& client, const Arguments& arguments) {
  const auto request = Asking<majordomo::v1::GenerateRequest>(arguments);
  const auto response = client.Generate(request, arguments.options);
  std::cout << majordomo::TextOf(response.message()) << '\n';
  return response.completion();
}

/// Prints the answer as it is written.
Completion WriteAlong(const majordomo::Client& client, const Arguments& arguments) {
  const auto request = Asking<majordomo::v1::StreamRequest>(arguments);
  auto answer = client.Stream(request, arguments.options);
  while (const auto event = answer.Next()) {
    if (event->has_restart()) {
      std::cout << "\n-- again, by " << event->restart().target() << ":\n";
    } else {
      std::cout << event->part_delta().text() << std::flush;
    }
  }
  std::cout << '\n';
  return answer.assembly().completion().value();
}

/// An enum's value without the name of its enum.
std::string Short(const std::string& name, const std::string& prefix) {
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

/// A target, what became of it, and why.
std::string Describe(const Attempt& attempt) {
  auto outcome = Short(AttemptOutcome_Name(attempt.outcome()), "ATTEMPT_OUTCOME_");
  std::transform(outcome.begin(), outcome.end(), outcome.begin(),
                 [](unsigned char letter) { return std::tolower(letter); });
  const auto reason =
      Short(FailureReason_Name(attempt.failure_reason()), "FAILURE_REASON_");
  return std::to_string(attempt.number()) + ". " + attempt.target() + ": " + outcome +
         ", " + reason;
}

/// Prints why there is no answer: every attempt, or what is wrong with the call.
void Tell(const majordomo::Error& error) {
  if (error.reason() != majordomo::v1::ERROR_REASON_UNSPECIFIED) {
    std::cerr << Short(ErrorReason_Name(error.reason()), "ERROR_REASON_") << ": ";
  }
  std::cerr << error.what() << '\n';
  for (const Attempt& attempt : error.failure().attempts()) {
    std::cerr << "  " << Describe(attempt) << '\n';
  }
  for (const auto& violation : error.violations()) {
    std::cerr << "  " << violation.field << ": " << violation.description << '\n';
  }
  if (const auto delay = error.retry_delay()) {
    std::cerr << "  try again in "
              << std::chrono::ceil<std::chrono::seconds>(*delay).count() << " s\n";
  }
}

}  // namespace

int main(int count, char** words) {
  try {
    const auto arguments = Parse({words + 1, words + count});
    const majordomo::Client client(majordomo::Connect(arguments.address),
                                   Environment("MAJORDOMO_TOKEN", ""));
    const auto completion =
        arguments.stream ? WriteAlong(client, arguments) : Wait(client, arguments);
    std::cerr << "-- " << completion.target() << '\n';
    return 0;
  } catch (const majordomo::Error& error) {
    Tell(error);
    return 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}
