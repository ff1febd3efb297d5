package majordomo;

import static io.github.majordomo_grpc.v1.AttemptOutcome.ATTEMPT_OUTCOME_CANCELLED;
import static io.github.majordomo_grpc.v1.AttemptOutcome.ATTEMPT_OUTCOME_FAILED;
import static io.github.majordomo_grpc.v1.AttemptOutcome.ATTEMPT_OUTCOME_INTERRUPTED;
import static io.github.majordomo_grpc.v1.AttemptOutcome.ATTEMPT_OUTCOME_SKIPPED;
import static io.github.majordomo_grpc.v1.AttemptOutcome.ATTEMPT_OUTCOME_SUCCEEDED;
import static io.github.majordomo_grpc.v1.FailureReason.FAILURE_REASON_CONNECTION;
import static io.github.majordomo_grpc.v1.FailureReason.FAILURE_REASON_DEADLINE;
import static io.github.majordomo_grpc.v1.FailureReason.FAILURE_REASON_OVERLOADED;
import static io.github.majordomo_grpc.v1.FailureReason.FAILURE_REASON_UNSPECIFIED;
import static io.github.majordomo_grpc.v1.FailureReason.FAILURE_REASON_UNSUPPORTED;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import io.github.majordomo_grpc.v1.Attempt;
import io.github.majordomo_grpc.v1.AttemptOutcome;
import io.github.majordomo_grpc.v1.Blob;
import io.github.majordomo_grpc.v1.Call;
import io.github.majordomo_grpc.v1.ChainOptions;
import io.github.majordomo_grpc.v1.ErrorReason;
import io.github.majordomo_grpc.v1.FailureReason;
import io.github.majordomo_grpc.v1.FunctionTool;
import io.github.majordomo_grpc.v1.GenerateRequest;
import io.github.majordomo_grpc.v1.GenerateResponse;
import io.github.majordomo_grpc.v1.InterruptionPolicy;
import io.github.majordomo_grpc.v1.Message;
import io.github.majordomo_grpc.v1.Part;
import io.github.majordomo_grpc.v1.Prompt;
import io.github.majordomo_grpc.v1.StreamRequest;
import io.github.majordomo_grpc.v1.StreamResponse;
import io.github.majordomo_grpc.v1.Tool;
import io.grpc.Status.Code;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;

/** The client against a real server: the one that the environment names. */
@EnabledIfEnvironmentVariable(named = "MAJORDOMO_ADDRESS", matches = ".+")
class ServerTest {
  private static final String DOWN = "acme/status:503";
  private static final String LOCAL = "local/smollm2";
  private static final FunctionTool WEATHER =
      FunctionTool.newBuilder()
          .setName("get_weather")
          .setParametersSchemaJson(
              "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}")
          .build();

  private Majordomo majordomo;

  @BeforeEach
  void connect() {
    majordomo = Majordomo.connect(told("MAJORDOMO_ADDRESS"));
  }

  @AfterEach
  void disconnect() {
    majordomo.close();
  }

  @Test
  void success() {
    GenerateResponse response = ask("acme/echo", "hi you");

    assertEquals("hi you", Turns.text(response.getMessage()));
    assertEquals("acme/echo", response.getCompletion().getTarget());
  }

  @Test
  void stream() {
    try (Answer answer = begin("acme/echo+pace:20ms", "one two three")) {
      long pieces = read(answer).stream().filter(StreamResponse::hasPartDelta).count();

      assertEquals(3, pieces);
      assertEquals("one two three", Turns.text(answer.message()));
      assertEquals("acme/echo+pace:20ms", answer.message().getOrigin());
    }
  }

  @Test
  void tools() {
    var prompt =
        prompt(Turns.user("What is the weather in Paris?"))
            .addTools(Tool.newBuilder().setFunction(WEATHER));
    Message asking = generate("upstream/tool-java", prompt).getMessage();
    var calls = Turns.toolCalls(asking);
    assertEquals(1, calls.size());
    assertEquals("get_weather", calls.get(0).getName());
    assertEquals("{\"city\":\"Paris\"}", calls.get(0).getArgumentsJson());

    prompt.addMessages(asking).addMessages(Turns.toolResult(calls.get(0), "rain"));
    Message answer = generate("upstream/tool-java", prompt).getMessage();

    assertEquals("Paris: rain", Turns.text(answer));
  }

  @Test
  void conversation() {
    Message whole = ask("upstream/talk-java", "Hello").getMessage();
    Message pieced;
    try (Answer answer = begin("upstream/talk-java", "Hello")) {
      read(answer);
      pieced = answer.message();
    }
    assertTrue(whole.getPartsList().stream().anyMatch(part -> !part.getProviderState().isEmpty()));
    assertEquals(whole, pieced);

    for (Message turn : List.of(whole, pieced)) {
      var prompt = prompt(Turns.user("Hello"), turn, Turns.user("Go on."));
      Message answer = generate("upstream/talk-java", prompt).getMessage();

      assertEquals("kept", Turns.text(answer));
    }
  }

  @Test
  void sources() {
    Message whole = ask("upstream/sources-java", "How are you?").getMessage();
    Message pieced;
    try (Answer answer = begin("upstream/sources-java", "How are you?")) {
      read(answer);
      pieced = answer.message();
    }
    assertEquals(whole, pieced);

    var citation = pieced.getParts(0).getCitations(0);
    var range = citation.getRange();
    byte[] text = pieced.getParts(0).getText().getBytes(StandardCharsets.UTF_8);
    byte[] cited = Arrays.copyOfRange(text, range.getStart(), range.getEnd());
    assertEquals("https://example.org/a", citation.getUri());
    assertEquals("Ça va", new String(cited, StandardCharsets.UTF_8));
    assertEquals("file", pieced.getParts(1).getOpaque().getType());
    assertEquals(1_500_008, pieced.getParts(2).getBlob().getData().size());
  }

  @Test
  void cancel() {
    Answer answer = begin("upstream/hang-java", "hi");
    answer.next();
    assertEquals("one ", Turns.text(answer.message()));

    answer.close(); // the call ends, and the harness sees the provider's connection close
    var error = assertThrows(MajordomoException.class, answer::hasNext);
    assertEquals(Code.CANCELLED, error.code());
    ask("acme/echo", "the client's own connection stays open");
  }

  @Test
  void failover() {
    GenerateResponse response = ask(DOWN + ",acme/echo", "hi");

    assertEquals("hi", Turns.text(response.getMessage()));
    var down = new Ended(DOWN, ATTEMPT_OUTCOME_FAILED, FAILURE_REASON_OVERLOADED);
    var echo = new Ended("acme/echo", ATTEMPT_OUTCOME_SUCCEEDED, FAILURE_REASON_UNSPECIFIED);
    assertEquals(List.of(down, down, echo), ended(response.getCompletion().getAttemptsList()));
  }

  @Test
  void exhausted() {
    MajordomoException error = refused(majordomo, DOWN);

    assertEquals(Code.UNAVAILABLE, error.code());
    assertEquals(ErrorReason.ERROR_REASON_CHAIN_EXHAUSTED, error.reason());
    var down = new Ended(DOWN, ATTEMPT_OUTCOME_FAILED, FAILURE_REASON_OVERLOADED);
    assertEquals(List.of(down, down), ended(error.attempts()));
    assertEquals(0, error.omittedAttempts());
    assertTrue(error.retryDelay().isPresent());
    assertNotEquals("", error.generationId());
  }

  @Test
  void interrupted() {
    try (Answer answer = begin("acme/cut:1", "one two")) {
      answer.next();
      var error = assertThrows(MajordomoException.class, answer::next);

      assertEquals("one ", Turns.text(answer.message()));
      assertEquals(Optional.empty(), answer.completion());
      assertEquals(Code.ABORTED, error.code());
      assertEquals(ErrorReason.ERROR_REASON_STREAM_INTERRUPTED, error.reason());
      var cut = new Ended("acme/cut:1", ATTEMPT_OUTCOME_INTERRUPTED, FAILURE_REASON_CONNECTION);
      assertEquals(List.of(cut), ended(error.attempts()));
    }
  }

  @Test
  void restart() {
    var options =
        ChainOptions.newBuilder()
            .setInterruptionPolicy(InterruptionPolicy.INTERRUPTION_POLICY_RESTART);
    var request = streaming("acme/cut:1,acme/echo", "one two");
    request.getCallBuilder().setOptions(options);
    try (Answer answer = majordomo.stream(request.build())) {
      var restarts = read(answer).stream().filter(StreamResponse::hasRestart).toList();

      assertEquals(1, restarts.size());
      assertEquals("acme/echo", restarts.get(0).getRestart().getTarget());
      assertEquals("one two", Turns.text(answer.message()));
      assertEquals("acme/echo", answer.message().getOrigin());
    }
  }

  @Test
  void deadline() {
    var error = refused(majordomo.withTimeout(Duration.ofSeconds(5)), "acme/stall:0");

    assertEquals(Code.DEADLINE_EXCEEDED, error.code());
    assertEquals(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, error.reason());
    var stalled = new Ended("acme/stall:0", ATTEMPT_OUTCOME_CANCELLED, FAILURE_REASON_DEADLINE);
    assertEquals(List.of(stalled), ended(error.attempts()));
  }

  @Test
  void image() {
    // Larger than gRPC's own limits both ways: 8 MB there, 5 MB back.
    String text = "word ".repeat(1 << 20);
    byte[] pixels = new byte[8 << 20];
    new Random(1).nextBytes(pixels);
    var blob = Blob.newBuilder().setMediaType("image/png").setData(ByteString.copyFrom(pixels));
    var turn = Turns.user(text).toBuilder().addParts(Part.newBuilder().setBlob(blob)).build();

    // Of such a tier the first call is refused: what is this large is tried again as well.
    for (String chain : List.of("acme/echo", "flaky-java-image")) {
      Message answer = generate(chain, prompt(turn)).getMessage();

      assertTrue(text.equals(Turns.text(answer)));
    }
  }

  @Test
  void tls() throws IOException {
    try (Majordomo secure = secure()) {
      var request = generating("acme/echo", prompt(Turns.user("hi")));
      var response = secure.withToken(told("MAJORDOMO_TOKEN")).generate(request);

      assertEquals("hi", Turns.text(response.getMessage()));
    }
  }

  @Test
  void token() throws IOException {
    try (Majordomo secure = secure()) {
      var request = generating("acme/echo", prompt(Turns.user("hi")));
      secure.withToken(told("MAJORDOMO_TOKEN")).generate(request);

      for (Majordomo unknown : List.of(secure, secure.withToken("wrong"))) {
        MajordomoException error = refused(unknown, "acme/echo");

        assertEquals(Code.UNAUTHENTICATED, error.code());
        assertEquals(ErrorReason.ERROR_REASON_UNAUTHENTICATED, error.reason());
      }
    }
  }

  @Test
  void trace() {
    var random = new Random();
    String trace = "%016x%016x".formatted(random.nextLong(), random.nextLong());
    var traced = majordomo.withTraceparent("00-" + trace + "-00f067aa0ba902b7-01");
    var response = traced.generate(generating("acme/echo", prompt(Turns.user("hi"))));

    assertEquals(trace, response.getCompletion().getTraceId());
  }

  @Test
  void retry() {
    // The first call of each two for such a tier is refused, without a pushback.
    assertEquals("hi", Turns.text(ask("flaky-java", "hi").getMessage()));

    // The harness counts: no more than one walk for each.
    var whole = refused(majordomo, "upstream/counted-java");
    try (Answer answer = begin("upstream/counted-stream-java", "hi")) {
      var streamed = assertThrows(MajordomoException.class, answer::hasNext);
      for (MajordomoException error : List.of(whole, streamed)) {
        assertEquals(ErrorReason.ERROR_REASON_CHAIN_EXHAUSTED, error.reason());
        assertEquals(2, error.attempts().size());
      }
    }
  }

  @Test
  void successLocal() {
    GenerateResponse response = ask(LOCAL, "Say hello.");
    assertFalse(Turns.text(response.getMessage()).isEmpty());
    assertEquals(LOCAL, response.getCompletion().getTarget());

    try (Answer answer = begin(LOCAL, "Say hello.")) {
      read(answer);

      assertFalse(Turns.text(answer.message()).isEmpty());
      assertEquals(LOCAL, answer.message().getOrigin());
    }
  }

  @Test
  void toolsLocal() {
    var prompt =
        prompt(Turns.user("What is the weather in Paris?"))
            .addTools(Tool.newBuilder().setFunction(WEATHER));
    GenerateResponse response = generate(LOCAL + ",upstream/tool-java", prompt);

    assertEquals(1, Turns.toolCalls(response.getMessage()).size());
    var skipped = new Ended(LOCAL, ATTEMPT_OUTCOME_SKIPPED, FAILURE_REASON_UNSUPPORTED);
    assertEquals(skipped, ended(response.getCompletion().getAttemptsList()).get(0));
  }

  @Test
  void cancelLocal() {
    try (Answer answer = begin(LOCAL, "Tell a long story of a butler.")) {
      answer.next();

      assertFalse(Turns.text(answer.message()).isEmpty());
    }
    ask("acme/echo", "the harness sees the attempt end");
  }

  private record Ended(String target, AttemptOutcome outcome, FailureReason reason) {}

  private static List<Ended> ended(List<Attempt> attempts) {
    return attempts.stream()
        .map(it -> new Ended(it.getTarget(), it.getOutcome(), it.getFailureReason()))
        .toList();
  }

  private static String told(String name) {
    return Optional.ofNullable(System.getenv(name))
        .orElseThrow(() -> new IllegalStateException(name + " is not set: see README.md"));
  }

  private static Majordomo secure() throws IOException {
    var authority = new File(told("MAJORDOMO_CA"));
    var credentials = TlsChannelCredentials.newBuilder().trustManager(authority).build();
    return Majordomo.connect(told("MAJORDOMO_SECURE_ADDRESS"), credentials);
  }

  private static Prompt.Builder prompt(Message... messages) {
    return Prompt.newBuilder().addAllMessages(List.of(messages));
  }

  private static GenerateRequest generating(String chain, Prompt.Builder prompt) {
    return GenerateRequest.newBuilder()
        .setCall(Call.newBuilder().setChain(chain).setPrompt(prompt))
        .build();
  }

  private static StreamRequest.Builder streaming(String chain, String text) {
    return StreamRequest.newBuilder()
        .setCall(Call.newBuilder().setChain(chain).setPrompt(prompt(Turns.user(text))));
  }

  private GenerateResponse generate(String chain, Prompt.Builder prompt) {
    return majordomo.generate(generating(chain, prompt));
  }

  private GenerateResponse ask(String chain, String text) {
    return generate(chain, prompt(Turns.user(text)));
  }

  private static MajordomoException refused(Majordomo majordomo, String chain) {
    var request = generating(chain, prompt(Turns.user("hi")));
    return assertThrows(MajordomoException.class, () -> majordomo.generate(request));
  }

  private Answer begin(String chain, String text) {
    return majordomo.stream(streaming(chain, text).build());
  }

  private static List<StreamResponse> read(Answer answer) {
    var events = new ArrayList<StreamResponse>();
    answer.forEachRemaining(events::add);
    return events;
  }
}
