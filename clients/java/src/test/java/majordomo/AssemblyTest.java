package majordomo;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.ByteString;
import io.github.majordomo_grpc.v1.Completion;
import io.github.majordomo_grpc.v1.Message;
import io.github.majordomo_grpc.v1.Part;
import io.github.majordomo_grpc.v1.PartDelta;
import io.github.majordomo_grpc.v1.Reasoning;
import io.github.majordomo_grpc.v1.Restart;
import io.github.majordomo_grpc.v1.Role;
import io.github.majordomo_grpc.v1.StreamResponse;
import io.github.majordomo_grpc.v1.ToolCall;
import io.github.majordomo_grpc.v1.ToolCallDelta;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** A turn from the pieces it came in. */
class AssemblyTest {
  private final Assembly assembly = new Assembly();

  @Test
  void piecesBecomeThePartsTheyAreOf() {
    var call = ToolCallDelta.newBuilder().setId("1").setName("get_weather");
    add(delta(0).setReasoning("hm").setProviderState(bytes("signed")));
    add(delta(1).setText("one "));
    add(delta(1).setText("two"));
    add(delta(2).setToolCall(call.setArgumentsJsonFragment("{\"city\":")));
    var rest = ToolCallDelta.newBuilder().setArgumentsJsonFragment("\"Paris\"}");
    add(delta(2).setToolCall(rest).setProviderState(bytes("state")));
    var completion = Completion.newBuilder().setTarget("acme/echo").build();
    assembly.add(StreamResponse.newBuilder().setCompletion(completion).build());

    var whole =
        ToolCall.newBuilder()
            .setId("1")
            .setName("get_weather")
            .setArgumentsJson("{\"city\":\"Paris\"}");
    var expected =
        Message.newBuilder()
            .setRole(Role.ROLE_ASSISTANT)
            .addParts(
                Part.newBuilder()
                    .setReasoning(Reasoning.newBuilder().setText("hm"))
                    .setProviderState(bytes("signed")))
            .addParts(Part.newBuilder().setText("one two"))
            .addParts(Part.newBuilder().setToolCall(whole).setProviderState(bytes("state")))
            .setOrigin("acme/echo")
            .build();
    assertEquals(expected, assembly.message());
    assertEquals(Optional.of(completion), assembly.completion());
  }

  @Test
  void aRestartVoidsWhatCame() {
    add(delta(0).setText("one"));
    add(delta(1).setText("two"));
    assembly.add(StreamResponse.newBuilder().setRestart(Restart.getDefaultInstance()).build());
    add(delta(0).setText("three"));

    assertEquals("three", Turns.text(assembly.message()));
    assertEquals(Optional.empty(), assembly.completion());
  }

  private static PartDelta.Builder delta(int index) {
    return PartDelta.newBuilder().setPartIndex(index);
  }

  private static ByteString bytes(String text) {
    return ByteString.copyFromUtf8(text);
  }

  private void add(PartDelta.Builder delta) {
    assembly.add(StreamResponse.newBuilder().setPartDelta(delta).build());
  }
}
