import io.github.majordomo_grpc.v1.Call;
import io.github.majordomo_grpc.v1.FunctionTool;
import io.github.majordomo_grpc.v1.GenerateRequest;
import io.github.majordomo_grpc.v1.Message;
import io.github.majordomo_grpc.v1.Prompt;
import io.github.majordomo_grpc.v1.Tool;
import io.github.majordomo_grpc.v1.ToolCall;
import java.util.List;
import majordomo.Majordomo;
import majordomo.Turns;

/**
 * A conversation in which the model may call a tool: asked, answered, carried on.
 *
 * <pre>
 * java -cp target/ask.jar Tools openai/gpt-5-mini "What is the weather in Paris?" "And in Rome?"
 * </pre>
 */
public final class Tools {
  private static final int ROUNDS = 8;

  private static final FunctionTool WEATHER =
      FunctionTool.newBuilder()
          .setName("get_weather")
          .setDescription("The weather of a city.")
          .setParametersSchemaJson(
              """
              {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"]
              }
              """)
          .build();

  private Tools() {}

  /** The chain, then the user's turns. */
  public static void main(String[] arguments) {
    String address = System.getenv().getOrDefault("MAJORDOMO_ADDRESS", "127.0.0.1:50051");
    List<String> words = List.of(arguments);
    try (Majordomo majordomo = Majordomo.connect(address)) {
      var prompt = Prompt.newBuilder().addTools(Tool.newBuilder().setFunction(WEATHER));
      for (String question : words.subList(1, words.size())) {
        prompt.addMessages(Turns.user(question));
        System.out.println(answer(majordomo, words.get(0), prompt));
      }
    }
  }

  /**
   * The model's answer to the last turn, once it calls no tool any more.
   *
   * <p>Its turns go into the conversation as they came, {@code origin} and {@code provider_state}
   * included: with them the target that wrote a turn reads its own reasoning again.
   */
  private static String answer(Majordomo majordomo, String chain, Prompt.Builder prompt) {
    for (int round = 0; round < ROUNDS; round++) {
      var request =
          GenerateRequest.newBuilder().setCall(Call.newBuilder().setChain(chain).setPrompt(prompt));
      Message turn = majordomo.generate(request.build()).getMessage();
      prompt.addMessages(turn);
      List<ToolCall> calls = Turns.toolCalls(turn);
      if (calls.isEmpty()) {
        return Turns.text(turn);
      }
      for (ToolCall call : calls) {
        prompt.addMessages(Turns.toolResult(call, run(call)));
      }
    }
    throw new IllegalStateException("no answer after " + ROUNDS + " rounds of tools");
  }

  /** What the tool answers: a real one would read the arguments. */
  private static String run(ToolCall call) {
    return switch (call.getName()) {
      case "get_weather" -> "Sunny, 21 °C (" + call.getArgumentsJson() + ")";
      default -> "there is no tool " + call.getName();
    };
  }
}
