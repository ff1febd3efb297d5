/**
 * Holds a conversation in which the model may call a tool.
 *
 *     node build/src/tools.js openai/gpt-5-mini "What is the weather in Paris?" "And in Rome?"
 */

import { content, generation, Majordomo, textOf, user } from "./index.js";

const MOST_ROUNDS = 8;

const WEATHER = content.FunctionTool.create({
  name: "get_weather",
  description: "The weather in a city.",
  parametersSchemaJson: `{
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"]
  }`,
});

/**
 * What the model answers to the last turn, once it calls no tool any more.
 *
 * Its turns go into the conversation as they came, `origin` and `providerState` included:
 * with them the target that wrote a turn reads its own reasoning again.
 */
async function answer(
  majordomo: Majordomo,
  chain: string,
  prompt: generation.Prompt,
): Promise<string> {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const { message: turn } = await majordomo.generate({ call: { chain, prompt } });
    if (!turn) break;
    prompt.messages.push(turn);
    const results = turn.parts.flatMap(({ kind }) =>
      kind?.$case === "toolCall"
        ? [{ kind: { $case: "toolResult" as const, value: run(kind.value) } }]
        : [],
    );
    if (results.length === 0) return textOf(turn);
    const role = content.Role.ROLE_TOOL;
    prompt.messages.push(content.Message.create({ role, parts: results }));
  }
  throw new Error("the model does not stop calling tools");
}

/** What the tool answers: a real one would read the arguments. */
function run({ id, name, argumentsJson }: content.ToolCall): content.ToolResult {
  const known = name === WEATHER.name;
  const text = known ? `sunny, 21 °C (${argumentsJson})` : "there is no such tool";
  return content.ToolResult.create({
    toolCallId: id,
    parts: [{ kind: { $case: "text", value: text } }],
    isError: !known,
  });
}

const [chain = "", ...questions] = process.argv.slice(2);
const majordomo = new Majordomo(process.env.MAJORDOMO_ADDRESS ?? "127.0.0.1:50051");
const prompt = generation.Prompt.create({
  tools: [{ kind: { $case: "function", value: WEATHER } }],
});
try {
  for (const question of questions) {
    prompt.messages.push(user(question));
    console.log(await answer(majordomo, chain, prompt));
  }
} finally {
  majordomo.close();
}
