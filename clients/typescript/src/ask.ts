#!/usr/bin/env node
/** Asks a majordomo a question: its client in one page. */

import { parseArgs } from "node:util";

import { status } from "@grpc/grpc-js";

import { Answer, Majordomo, MajordomoError, attempt, textOf, user } from "./index.js";
import type { generation } from "./index.js";

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    address: {
      type: "string",
      default: process.env.MAJORDOMO_ADDRESS ?? "127.0.0.1:50051",
    },
    chain: { type: "string", default: "" },
    stream: { type: "boolean", default: false },
    timeout: { type: "string", default: "300" },
  },
});
const prompt = { messages: [user(positionals.join(" "))] };
const request = { call: { chain: given.chain, prompt } };
const interrupted = new AbortController();
process.once("SIGINT", () => {
  interrupted.abort();
});
const settings = { timeout: Number(given.timeout), signal: interrupted.signal };
const majordomo = new Majordomo(given.address);

/** Print the whole answer once it is there. */
async function wait(): Promise<generation.Completion | undefined> {
  const response = await majordomo.generate(request, settings);
  console.log(textOf(response.message));
  return response.completion;
}

/** Print the answer as it is written. */
async function writeAlong(): Promise<generation.Completion | undefined> {
  const answer = new Answer();
  for await (const response of majordomo.stream(request, settings)) {
    answer.add(response);
    const { event } = response;
    if (event?.$case === "partDelta" && event.value.delta?.$case === "text") {
      process.stdout.write(event.value.delta.value);
    }
  }
  process.stdout.write("\n");
  return answer.completion;
}

/** Print why there is no answer: every attempt, or what is wrong with the call. */
function tell(error: MajordomoError): void {
  console.error(`${error.reason || status[error.code]}: ${error.message}`);
  for (const { number, target, outcome, failureReason } of error.attempts) {
    const ended = attempt.AttemptOutcome[outcome];
    console.error(`  ${number}. ${target}: ${ended}, ${attempt.FailureReason[failureReason]}`);
  }
  for (const { field, description } of error.violations) {
    console.error(`  ${field}: ${description}`);
  }
  if (error.retryDelay !== undefined) {
    console.error(`  try again in ${error.retryDelay} s`);
  }
}

try {
  const completion = await (given.stream ? writeAlong() : wait());
  console.error(`-- ${completion?.target ?? ""}`);
} catch (error) {
  if (!(error instanceof MajordomoError)) throw error;
  tell(error);
  process.exitCode = 1;
} finally {
  majordomo.close();
}
