package majordomo;

import io.github.majordomo_grpc.v1.Message;
import io.github.majordomo_grpc.v1.Part;
import io.github.majordomo_grpc.v1.Role;
import io.github.majordomo_grpc.v1.ToolCall;
import io.github.majordomo_grpc.v1.ToolResult;
import java.util.List;
import java.util.stream.Collectors;

/** Turns of a conversation, made and read with few words. */
public final class Turns {
  private Turns() {}

  /** A user's turn that says {@code text}. */
  public static Message user(String text) {
    return Message.newBuilder().setRole(Role.ROLE_USER).addParts(part(text)).build();
  }

  /** The turn that answers a call of a tool. */
  public static Message toolResult(ToolCall call, String text) {
    var result = ToolResult.newBuilder().setToolCallId(call.getId()).addParts(part(text));
    return Message.newBuilder()
        .setRole(Role.ROLE_TOOL)
        .addParts(Part.newBuilder().setToolResult(result))
        .build();
  }

  /** The text of a turn, its parts joined. */
  public static String text(Message turn) {
    return turn.getPartsList().stream().map(Part::getText).collect(Collectors.joining());
  }

  /** The tools that a turn asks for. */
  public static List<ToolCall> toolCalls(Message turn) {
    return turn.getPartsList().stream().filter(Part::hasToolCall).map(Part::getToolCall).toList();
  }

  private static Part part(String text) {
    return Part.newBuilder().setText(text).build();
  }
}
