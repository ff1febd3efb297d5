package majordomo;

import io.github.majordomo_grpc.v1.Completion;
import io.github.majordomo_grpc.v1.GenerationServiceGrpc.GenerationServiceBlockingStub;
import io.github.majordomo_grpc.v1.Message;
import io.github.majordomo_grpc.v1.StreamRequest;
import io.github.majordomo_grpc.v1.StreamResponse;
import io.grpc.Context;
import io.grpc.StatusRuntimeException;
import java.util.Iterator;
import java.util.Optional;

/**
 * The events of an answer that is being written. Both methods of the iterator wait, and throw
 * {@link MajordomoException} where the stream breaks.
 *
 * <p>To close it before its end is to cancel the call: the server ends it at its provider at once.
 */
public final class Answer implements Iterator<StreamResponse>, AutoCloseable {
  private final Context.CancellableContext call = Context.current().withCancellation();
  private final Assembly assembly = new Assembly();
  private final Iterator<StreamResponse> events;

  Answer(GenerationServiceBlockingStub stub, StreamRequest request) {
    Context before = call.attach();
    try {
      events = stub.stream(request);
    } finally {
      call.detach(before);
    }
  }

  @Override
  public boolean hasNext() {
    try {
      return events.hasNext();
    } catch (StatusRuntimeException error) {
      throw MajordomoException.of(error);
    }
  }

  @Override
  public StreamResponse next() {
    try {
      StreamResponse event = events.next();
      assembly.add(event);
      return event;
    } catch (StatusRuntimeException error) {
      throw MajordomoException.of(error);
    }
  }

  /**
   * The model's turn as far as it has been read. At the end it is as that of {@code generate}: to
   * be appended to the conversation unchanged.
   */
  public Message message() {
    return assembly.message();
  }

  /** How the call ended; empty until it has been read to a good end. */
  public Optional<Completion> completion() {
    return assembly.completion();
  }

  @Override
  public void close() {
    call.cancel(null);
  }
}
