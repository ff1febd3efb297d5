/** The client against real servers: `python -m tests.clients.serve` tells the environment. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { credentials, status, type ChannelCredentials } from "@grpc/grpc-js";

import {
  Answer,
  attempt,
  bearer,
  content,
  generation,
  Majordomo,
  MajordomoError,
  textOf,
  user,
} from "../src/index.js";

const DOWN = "acme/status:503";
const { AttemptOutcome, FailureReason } = attempt;

let majordomo: Majordomo;

before(() => {
  majordomo = new Majordomo(environment("MAJORDOMO_ADDRESS"));
});

after(() => {
  majordomo.close();
});

function environment(name: string): string {
  const value = process.env[name];
  assert.ok(value, `set ${name}: see clients/README.md`);
  return value;
}

interface Asked {
  call: { chain: string; prompt: generation.Prompt };
}

function asked(chain: string, text = "hi"): Asked {
  return { call: { chain, prompt: generation.Prompt.create({ messages: [user(text)] }) } };
}

/** Asks for a short answer of the embedded model. */
function brief(text: string): Asked {
  const request = asked("local/smollm2", text);
  request.call.prompt.config = generation.GenerationConfig.create({ maxOutputTokens: 12 });
  return request;
}

function joined(events: Iterable<generation.StreamResponse>): Answer {
  const answer = new Answer();
  for (const event of events) answer.add(event);
  return answer;
}

/** The events of a stream, and the error that ended it, if any. */
async function read(
  request: Parameters<Majordomo["stream"]>[0],
): Promise<{ events: generation.StreamResponse[]; error?: unknown }> {
  const events: generation.StreamResponse[] = [];
  try {
    for await (const event of majordomo.stream(request)) events.push(event);
  } catch (error) {
    return { events, error };
  }
  return { events };
}

/** A streamed answer that has come whole. */
async function streamed(request: Parameters<Majordomo["stream"]>[0]): Promise<Answer> {
  const { events, error } = await read(request);
  assert.equal(error, undefined);
  return joined(events);
}

async function failure(call: Promise<unknown>): Promise<MajordomoError> {
  return call.then(
    () => assert.fail("the call did not fail"),
    (error: unknown) => {
      assert.ok(error instanceof MajordomoError);
      return error;
    },
  );
}

test("success", async () => {
  const { message, completion } = await majordomo.generate(asked("acme/echo", "hi you"));

  assert.equal(textOf(message), "hi you");
  assert.equal(completion?.target, "acme/echo");
  assert.equal(completion.finishReason, generation.FinishReason.FINISH_REASON_STOP);
});

test("stream", async () => {
  const { events } = await read(asked("acme/pace:1ms", "one two three"));

  const pieces = events.filter(({ event }) => event?.$case === "partDelta");
  assert.ok(pieces.length > 1, "came in one piece");
  assert.equal(textOf(joined(pieces).message), "one two three");
  assert.equal(joined(events).message.origin, "acme/pace:1ms");
});

function weather(chain: string): Asked {
  const request = asked(chain, "What is the weather in Paris?");
  const tool = content.FunctionTool.create({
    name: "get_weather",
    description: "The weather in a city.",
    parametersSchemaJson: '{"type": "object", "properties": {"city": {"type": "string"}}}',
  });
  request.call.prompt.tools = [
    { kind: { $case: "function", value: tool } },
  ];
  return request;
}

/** The one tool call of a turn. */
function called(message: content.Message | undefined): content.ToolCall {
  const kinds = message?.parts.map(({ kind }) => kind) ?? [];
  const call = kinds.find((kind) => kind?.$case === "toolCall")?.value;
  assert.ok(call, "no tool call");
  assert.equal(call.name, "get_weather");
  assert.deepEqual(JSON.parse(call.argumentsJson), { city: "Paris" });
  return call;
}

function result(call: content.ToolCall, text: string): content.Message {
  const value = content.ToolResult.create({
    toolCallId: call.id,
    parts: [{ kind: { $case: "text", value: text } }],
  });
  return content.Message.create({
    role: content.Role.ROLE_TOOL,
    parts: [{ kind: { $case: "toolResult", value } }],
  });
}

test("tools", async () => {
  const request = weather("upstream/tool-typescript");
  const { message, completion } = await majordomo.generate(request);
  called(message);
  assert.equal(completion?.finishReason, generation.FinishReason.FINISH_REASON_TOOL_CALLS);
  const turn = (await streamed(request)).message;

  request.call.prompt.messages.push(turn, result(called(turn), "18 degrees"));
  const response = await majordomo.generate(request);

  assert.equal(textOf(response.message), "Paris: 18 degrees");
});

test("conversation", async () => {
  const request = asked("upstream/talk-typescript", "Hello");
  const first = (await streamed(request)).message;
  assert.ok(first.parts.some(({ providerState }) => providerState.length > 0));

  request.call.prompt.messages.push(first, user("And now?"));
  const second = (await majordomo.generate(request)).message;
  assert.ok(second);
  assert.equal(textOf(second), "kept");

  request.call.prompt.messages.push(second, user("Still?"));
  assert.equal(textOf((await majordomo.generate(request)).message), "kept");
});

test("sources", async () => {
  const request = asked("upstream/sources-typescript", "How are you?");
  const whole = (await majordomo.generate(request)).message;
  const turn = (await streamed(request)).message;
  assert.ok(whole);
  assert.deepEqual(content.Message.encode(turn).finish(), content.Message.encode(whole).finish());

  const [text, opaque, image] = turn.parts;
  const citation = text?.citations[0];
  const cited = Buffer.from(textOf(turn)).subarray(citation?.range?.start, citation?.range?.end);
  assert.deepEqual(citation?.source, { $case: "uri", value: "https://example.org/a" });
  assert.equal(cited.toString(), "Ça va");
  assert.ok(opaque?.kind?.$case === "opaque");
  assert.equal(opaque.kind.value.type, "file");
  assert.ok(image?.kind?.$case === "blob");
  assert.equal(image.kind.value.data.length, 1_500_008);
});

/** Reads the first piece of a stream, leaves, and is told that it has left. */
async function cancelled(chain: string, question: string): Promise<void> {
  const controller = new AbortController();
  const stream = majordomo.stream(asked(chain, question), { signal: controller.signal });
  const first = await stream.next();
  assert.equal(first.value?.event?.$case, "partDelta");

  controller.abort();

  const error = await failure(
    (async () => {
      for await (const { event } of stream) assert.ok(event);
    })(),
  );
  assert.equal(error.code, status.CANCELLED);
}

test("cancel", async () => {
  await cancelled("upstream/hang-typescript", "hello");
  for await (const { event } of majordomo.stream(asked("upstream/hang-typescript"))) {
    assert.equal(event?.$case, "partDelta");
    break; // leaves as well: the harness sees both
  }
});

test("failover", async () => {
  const { completion } = await majordomo.generate(asked(`${DOWN},acme/echo`));

  assert.equal(completion?.target, "acme/echo");
  const outcomes = completion.attempts.map(({ outcome }) => outcome);
  assert.deepEqual(outcomes, [
    AttemptOutcome.ATTEMPT_OUTCOME_FAILED,
    AttemptOutcome.ATTEMPT_OUTCOME_FAILED,
    AttemptOutcome.ATTEMPT_OUTCOME_SUCCEEDED,
  ]);
  const [first] = completion.attempts;
  assert.equal(first?.failureReason, FailureReason.FAILURE_REASON_OVERLOADED);
});

test("exhausted", async () => {
  const error = await failure(majordomo.generate(asked(DOWN)));

  assert.equal(error.code, status.UNAVAILABLE);
  assert.equal(error.reason, "CHAIN_EXHAUSTED");
  assert.ok(error.generationId);
  assert.ok(error.retryDelay !== undefined && error.retryDelay > 0);
  assert.equal(error.attempts.length, 2);
  for (const { target, failureReason, httpStatusCode } of error.attempts) {
    assert.equal(target, DOWN);
    assert.equal(failureReason, FailureReason.FAILURE_REASON_OVERLOADED);
    assert.equal(httpStatusCode, 503);
  }
});

test("interrupted", async () => {
  const { events, error } = await read(asked("acme/cut:1", "one two"));

  assert.equal(textOf(joined(events).message), "one ");
  assert.ok(error instanceof MajordomoError);
  assert.equal(error.code, status.ABORTED);
  assert.equal(error.reason, "STREAM_INTERRUPTED");
  const outcomes = error.attempts.map(({ outcome }) => outcome);
  assert.deepEqual(outcomes, [AttemptOutcome.ATTEMPT_OUTCOME_INTERRUPTED]);
});

test("restart", async () => {
  const policy = generation.InterruptionPolicy.INTERRUPTION_POLICY_RESTART;
  const { call } = asked("acme/cut:1,acme/echo", "one two");
  const options = { interruptionPolicy: policy };
  const { events } = await read({ call: { ...call, options } });

  const at = events.findIndex(({ event }) => event?.$case === "restart");
  const restart = events[at]?.event;
  assert.ok(restart?.$case === "restart");
  assert.equal(textOf(joined(events.slice(0, at)).message), "one ");
  assert.equal(restart.value.interrupted?.target, "acme/cut:1");
  assert.equal(restart.value.target, "acme/echo");
  assert.equal(textOf(joined(events).message), "one two");
});

test("deadline", async () => {
  const call = majordomo.generate(asked("acme/stall:0"), { timeout: 5 });
  const error = await failure(call);

  assert.equal(error.code, status.DEADLINE_EXCEEDED);
  assert.equal(error.reason, "DEADLINE_EXCEEDED");
  assert.equal(error.attempts[0]?.target, "acme/stall:0");
});

test("image", async () => {
  const { prompt } = asked("", "What is this?").call;
  const sign = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  const data = Buffer.concat([sign, randomBytes(8 << 20)]);
  const blob = { mediaType: "image/png", data };
  const image = content.Part.create({ kind: { $case: "blob", value: blob } });
  prompt.messages[0]?.parts.push(image);

  for (const chain of ["acme/echo", "flaky-image-typescript"]) {
    const { message } = await majordomo.generate({ call: { chain, prompt } });

    assert.equal(textOf(message), "What is this?");
  }
});

/** Makes one call over TLS. */
async function securely(by: (ca: Buffer) => ChannelCredentials): Promise<string> {
  const secured = by(readFileSync(environment("MAJORDOMO_CA")));
  const client = new Majordomo(environment("MAJORDOMO_SECURE_ADDRESS"), secured);
  try {
    return textOf((await client.generate(asked("acme/echo", "hi"))).message);
  } finally {
    client.close();
  }
}

test("tls", async () => {
  const token = environment("MAJORDOMO_TOKEN");

  assert.equal(await securely((ca) => bearer(token, ca)), "hi");
});

test("token", async () => {
  const none = failure(securely((ca) => credentials.createSsl(ca)));
  const wrong = failure(securely((ca) => bearer("wrong", ca)));

  for (const error of await Promise.all([none, wrong])) {
    assert.equal(error.code, status.UNAUTHENTICATED);
    assert.equal(error.reason, "UNAUTHENTICATED");
  }
});

test("trace", async () => {
  const [trace, span] = [randomBytes(16).toString("hex"), randomBytes(8).toString("hex")];
  const traceparent = `00-${trace}-${span}-01`;

  const { completion } = await majordomo.generate(asked("acme/echo"), { traceparent });

  assert.equal(completion?.traceId, trace);
});

test("retry", async () => {
  const again = await majordomo.generate(asked("flaky-typescript", "hi"));
  const whole = await failure(majordomo.generate(asked("upstream/counted-typescript")));
  const { error: streamed } = await read(asked("upstream/counted-stream-typescript"));

  assert.equal(textOf(again.message), "hi");
  for (const error of [whole, streamed]) {
    assert.ok(error instanceof MajordomoError);
    assert.equal(error.attempts.length, 2); // the harness counts the calls as well
  }
});

test("success_local", async () => {
  const whole = await majordomo.generate(brief("Say hello to Bob."));
  const answer = await streamed(brief("Say hello to Bob."));

  for (const message of [whole.message, answer.message]) {
    assert.equal(message?.origin, "local/smollm2");
    assert.ok(textOf(message));
  }
  assert.ok((answer.completion?.usage?.outputTokens ?? 0) > 0);
});

test("tools_local", async () => {
  const error = await failure(majordomo.generate(weather("local/smollm2")));
  const { message, completion } = await majordomo.generate(
    weather("local/smollm2,upstream/tool-typescript"),
  );

  assert.equal(error.reason, "REQUEST_UNSUPPORTED");
  assert.equal(error.attempts[0]?.failureReason, FailureReason.FAILURE_REASON_UNSUPPORTED);
  called(message);
  assert.equal(completion?.attempts[0]?.target, "local/smollm2");
});

test("cancel_local", async () => {
  await cancelled("local/smollm2", "Count from one to one thousand.");
});
