import io.github.majordomo_grpc.v1.Attempt;
import io.github.majordomo_grpc.v1.Call;
import io.github.majordomo_grpc.v1.Completion;
import io.github.majordomo_grpc.v1.GenerateRequest;
import io.github.majordomo_grpc.v1.Prompt;
import io.github.majordomo_grpc.v1.StreamRequest;
import io.github.majordomo_grpc.v1.StreamResponse;
import java.time.Duration;
import java.util.Arrays;
import java.util.Iterator;
import java.util.Locale;
import majordomo.Answer;
import majordomo.Majordomo;
import majordomo.MajordomoException;
import majordomo.Turns;

/**
 * Asks a majordomo a question.
 *
 * <pre>
 * java -jar target/ask.jar "What is a majordomo?" --stream --timeout 20
 * </pre>
 */
public final class Ask {
  private Ask() {}

  /** Answers the question, and tells who did; exits with 1 when nobody could. */
  public static void main(String[] words) {
    Arguments arguments = Arguments.parse(words);
    try (Majordomo majordomo = connect(arguments)) {
      Completion completion =
          arguments.stream ? writeAlong(majordomo, arguments) : await(majordomo, arguments);
      System.err.println("-- " + completion.getTarget());
    } catch (MajordomoException error) {
      tell(error);
      System.exit(1);
    }
  }

  private static Majordomo connect(Arguments arguments) {
    Majordomo majordomo = Majordomo.connect(arguments.address);
    if (arguments.timeout != null) {
      majordomo = majordomo.withTimeout(arguments.timeout);
    }
    // As tools that start others hand it on: the call is part of the caller's trace.
    String traceparent = System.getenv("TRACEPARENT");
    if (traceparent != null) {
      majordomo = majordomo.withTraceparent(traceparent);
    }
    String token = System.getenv("MAJORDOMO_TOKEN");
    return token == null ? majordomo : majordomo.withToken(token);
  }

  /** Prints the whole answer once it is there. */
  private static Completion await(Majordomo majordomo, Arguments arguments) {
    var request =
        GenerateRequest.newBuilder()
            .setCall(Call.newBuilder().setChain(arguments.chain).setPrompt(arguments.prompt()));
    var response = majordomo.generate(request.build());
    System.out.println(Turns.text(response.getMessage()));
    return response.getCompletion();
  }

  /** Prints the answer as it is written. */
  private static Completion writeAlong(Majordomo majordomo, Arguments arguments) {
    var request =
        StreamRequest.newBuilder()
            .setCall(Call.newBuilder().setChain(arguments.chain).setPrompt(arguments.prompt()));
    try (Answer answer = majordomo.stream(request.build())) {
      while (answer.hasNext()) {
        StreamResponse event = answer.next();
        if (event.hasRestart()) {
          System.out.printf("%n-- again, by %s:%n", event.getRestart().getTarget());
        } else {
          System.out.print(event.getPartDelta().getText());
          System.out.flush();
        }
      }
      System.out.println();
      return answer.completion().orElseThrow();
    }
  }

  /** Prints why there is no answer: every attempt, or what is wrong with the call. */
  private static void tell(MajordomoException error) {
    System.err.println(error.getMessage());
    for (Attempt attempt : error.attempts()) {
      System.err.println("  " + describe(attempt));
    }
    for (var violation : error.violations()) {
      System.err.println("  " + violation.getField() + ": " + violation.getDescription());
    }
    error
        .retryDelay()
        .ifPresent(delay -> System.err.println("  try again in " + delay.toSeconds() + " s"));
  }

  /** A target, what became of it, and why. */
  private static String describe(Attempt attempt) {
    String outcome = attempt.getOutcome().name().replace("ATTEMPT_OUTCOME_", "");
    String reason = attempt.getFailureReason().name().replace("FAILURE_REASON_", "");
    return "%d. %s: %s, %s"
        .formatted(
            attempt.getNumber(), attempt.getTarget(), outcome.toLowerCase(Locale.ROOT), reason);
  }

  private static final class Arguments {
    private String question;
    private String chain = "";
    private boolean stream;
    private Duration timeout;
    private String address = System.getenv().getOrDefault("MAJORDOMO_ADDRESS", "127.0.0.1:50051");

    static Arguments parse(String[] words) {
      var arguments = new Arguments();
      Iterator<String> rest = Arrays.asList(words).iterator();
      while (rest.hasNext()) {
        String word = rest.next();
        switch (word) {
          case "--chain" -> arguments.chain = rest.next();
          case "--stream" -> arguments.stream = true;
          case "--timeout" -> arguments.timeout = seconds(rest.next());
          case "--address" -> arguments.address = rest.next();
          default -> arguments.question = word;
        }
      }
      if (arguments.question == null) {
        System.err.println("ask QUESTION [--chain C] [--stream] [--timeout S] [--address A]");
        System.exit(2);
      }
      return arguments;
    }

    private static Duration seconds(String word) {
      return Duration.ofMillis((long) (Double.parseDouble(word) * 1000));
    }

    Prompt prompt() {
      return Prompt.newBuilder().addMessages(Turns.user(question)).build();
    }
  }
}
