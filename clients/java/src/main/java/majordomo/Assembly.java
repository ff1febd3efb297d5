package majordomo;

import io.github.majordomo_grpc.v1.Blob;
import io.github.majordomo_grpc.v1.Completion;
import io.github.majordomo_grpc.v1.Message;
import io.github.majordomo_grpc.v1.Part;
import io.github.majordomo_grpc.v1.PartDelta;
import io.github.majordomo_grpc.v1.Role;
import io.github.majordomo_grpc.v1.StreamResponse;
import io.github.majordomo_grpc.v1.ToolCallDelta;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/** A turn, put together from the events of its stream. */
final class Assembly {
  private final SortedMap<Integer, Part.Builder> parts = new TreeMap<>();
  private Completion completion;

  void add(StreamResponse event) {
    switch (event.getEventCase()) {
      case PART_DELTA -> append(event.getPartDelta());
      case RESTART -> parts.clear();
      case COMPLETION -> completion = event.getCompletion();
      case ATTEMPT_ENDED, EVENT_NOT_SET -> {}
    }
  }

  Optional<Completion> completion() {
    return Optional.ofNullable(completion);
  }

  Message message() {
    var message = Message.newBuilder().setRole(Role.ROLE_ASSISTANT);
    for (Part.Builder part : parts.values()) {
      // One of a kind that this client does not know has nothing to show.
      if (part.getKindCase() != Part.KindCase.KIND_NOT_SET) {
        message.addParts(part);
      }
    }
    completion().ifPresent(end -> message.setOrigin(end.getTarget()));
    return message.build();
  }

  private void append(PartDelta delta) {
    Part.Builder part = parts.computeIfAbsent(delta.getPartIndex(), index -> Part.newBuilder());
    part.setProviderState(part.getProviderState().concat(delta.getProviderState()));
    switch (delta.getDeltaCase()) {
      case TEXT -> part.setText(part.getText() + delta.getText());
      case REASONING -> {
        var reasoning = part.getReasoningBuilder();
        reasoning.setText(reasoning.getText() + delta.getReasoning());
      }
      case TOOL_CALL -> append(part, delta.getToolCall());
      case BLOB -> append(part, delta.getBlob());
      case MEDIA_REFERENCE -> part.setMediaReference(delta.getMediaReference());
      case OPAQUE -> part.setOpaque(delta.getOpaque());
      case DELTA_NOT_SET -> {}
    }
    part.addAllCitations(delta.getCitationsList());
  }

  private static void append(Part.Builder part, Blob piece) {
    if (!part.hasBlob()) {
      part.getBlobBuilder().setMediaType(piece.getMediaType());
    }
    var blob = part.getBlobBuilder();
    blob.setData(blob.getData().concat(piece.getData()));
  }

  private static void append(Part.Builder part, ToolCallDelta piece) {
    if (!part.hasToolCall()) {
      part.getToolCallBuilder().setId(piece.getId()).setName(piece.getName());
    }
    var call = part.getToolCallBuilder();
    call.setArgumentsJson(call.getArgumentsJson() + piece.getArgumentsJsonFragment());
  }
}
