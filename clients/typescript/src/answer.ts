import { Message, Part, Role } from "./generated/majordomo/v1/content.js";
import type {
  Completion,
  PartDelta,
  StreamResponse,
} from "./generated/majordomo/v1/generation_service.js";

/** A streamed answer as far as it has come. */
export class Answer {
  /** How the call ended; undefined before the end. */
  completion: Completion | undefined;

  readonly #parts = new Map<number, Part>();

  /** Take in the next event of the stream. */
  add({ event }: StreamResponse): void {
    switch (event?.$case) {
      case "partDelta":
        this.#append(event.value);
        break;
      case "restart":
        this.#parts.clear();
        break;
      case "completion":
        this.completion = event.value;
    }
  }

  /**
   * The model's turn. At the end of the stream it is as generate's: ready to append to
   * the messages of the next prompt.
   */
  get message(): Message {
    const inOrder = [...this.#parts].sort(([one], [other]) => one - other);
    return Message.create({
      role: Role.ROLE_ASSISTANT,
      parts: inOrder.map(([, part]) => part).filter(({ kind }) => kind !== undefined),
      origin: this.completion?.target,
    });
  }

  #append({ partIndex, delta, providerState, citations }: PartDelta): void {
    const part = this.#parts.get(partIndex) ?? Part.create();
    this.#parts.set(partIndex, part);
    part.kind = joined(part.kind, delta);
    part.citations.push(...citations);
    part.providerState = Buffer.concat([part.providerState, providerState]);
  }
}

/** A part with its next piece. */
function joined(kind: Part["kind"], delta: PartDelta["delta"]): Part["kind"] {
  switch (delta?.$case) {
    case "text": {
      const before = kind?.$case === "text" ? kind.value : "";
      return { $case: "text", value: before + delta.value };
    }
    case "reasoning": {
      const before = kind?.$case === "reasoning" ? kind.value.text : "";
      return { $case: "reasoning", value: { text: before + delta.value } };
    }
    case "toolCall": {
      const { id, name, argumentsJsonFragment } = delta.value;
      const call = kind?.$case === "toolCall" ? kind.value : { id, name, argumentsJson: "" };
      const argumentsJson = call.argumentsJson + argumentsJsonFragment;
      return { $case: "toolCall", value: { ...call, argumentsJson } };
    }
    case "blob": {
      const { mediaType, data } = delta.value;
      const blob = kind?.$case === "blob" ? kind.value : { mediaType, data: Buffer.alloc(0) };
      return { $case: "blob", value: { ...blob, data: Buffer.concat([blob.data, data]) } };
    }
    case "mediaReference":
    case "opaque":
      return delta;
    default:
      return kind;
  }
}

/** The text of a turn, without its reasoning, tool calls and media. */
export function textOf(message: Message | undefined): string {
  const texts = message?.parts.map(({ kind }) => (kind?.$case === "text" ? kind.value : ""));
  return texts?.join("") ?? "";
}

/** A turn of the person who asks. */
export function user(text: string): Message {
  const parts = [{ kind: { $case: "text" as const, value: text } }];
  return Message.create({ role: Role.ROLE_USER, parts });
}
