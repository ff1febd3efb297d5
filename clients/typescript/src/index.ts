/**
 * Calls a majordomo: promises and async iterables over the generated client.
 *
 *     const majordomo = new Majordomo("127.0.0.1:50051");
 *     const response = await majordomo.generate({ prompt: { messages: [user("Hello")] } });
 *     console.log(textOf(response.message));
 */

export { Answer, textOf, user } from "./answer.js";
export { bearer, Majordomo, type CallSettings } from "./client.js";
export { MajordomoError } from "./failure.js";
export * as attempt from "./generated/majordomo/v1/attempt.js";
export * as content from "./generated/majordomo/v1/content.js";
export * as generation from "./generated/majordomo/v1/generation_service.js";
export * as operator from "./generated/majordomo/v1/operator_service.js";
