"""What vendors say that they refuse of a request: order, pairing, alphabets, emptiness.

The official types say which keys there are; what may follow what is only reported in
prose, and in the words of refusals. Written from these, and not from what the codecs
do:

- Anthropic: https://docs.claude.com/en/api/messages,
  https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use,
  https://docs.claude.com/en/docs/build-with-claude/extended-thinking
- Google: https://ai.google.dev/gemini-api/docs/function-calling,
  https://ai.google.dev/gemini-api/docs/thought-signatures
- OpenAI: https://platform.openai.com/docs/api-reference/chat/create,
  https://platform.openai.com/docs/guides/reasoning
- Mistral: https://docs.mistral.ai/capabilities/function_calling, and the refusals of
  mistral-common
- Moonshot: https://platform.kimi.ai/docs/guide/use-kimi-k2-thinking-model
"""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

Json = dict[str, Any]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LETTER_FIRST = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
_ANTHROPIC_ID = re.compile(r"[A-Za-z0-9_-]+")
_MISTRAL_ID = re.compile(r"[A-Za-z0-9]{9}")
_IMAGES = {"image/png", "image/jpeg", "image/gif", "image/webp"}
_THINKING = {"thinking", "redacted_thinking"}
_WANT_REASONING = {"moonshot", "deepseek", "mimo"}
_REFUSE_REASONING = {"openai", "cerebras", "groq", "mistral", "xai"}
_SIGNED = re.compile(r"gemini-(?:[3-9]|[1-9]\d)")


def anthropic(body: Json) -> list[str]:
    """What the Messages API would refuse."""
    return list(_anthropic(body))


def gemini(body: Json, model: str) -> list[str]:
    """What generateContent would refuse."""
    return list(_gemini(body, model))


def responses(body: Json) -> list[str]:
    """What the Responses API would refuse."""
    return list(_responses(body))


def chat(body: Json, server: str) -> list[str]:
    """What Chat Completions would refuse at a server, "openai" being the mildest."""
    return list(_chat(body, server))


def _anthropic(body: Json) -> Iterator[str]:
    turns = [
        (m["role"], _blocks(m["content"]), f"messages[{i}]")
        for i, m in enumerate(body["messages"])
    ]
    yield from _alternate([role for role, _, _ in turns])
    system = body.get("system", "x")
    for text in [system] if isinstance(system, str) else [b["text"] for b in system]:
        if not text.strip():
            yield "system: text content blocks must contain non-whitespace text"
    seen: set[str] = set()
    for number, (role, blocks, at) in enumerate(turns):
        if not blocks:
            yield f"{at}: must have non-empty content"
        for block in blocks:
            yield from _anthropic_block(block, role, at)
        called = [b["id"] for b in blocks if b["type"] == "tool_use"]
        if seen & set(called) or len(called) != len(set(called)):
            yield f"{at}: `tool_use` ids must be unique"
        seen |= set(called)
        if role == "assistant":
            after = turns[number + 1][1] if number + 1 < len(turns) else []
            answered = [
                b["tool_use_id"] for b in after[: len(called)] if "tool_use_id" in b
            ]
            if sorted(called) != sorted(answered):
                yield f"{at}: `tool_use` without `tool_result` immediately after"
            if blocks and blocks[-1]["type"] in _THINKING:
                yield f"{at}: the final block cannot be `thinking`"
        else:
            before = turns[number - 1][1] if number else []
            known = {b["id"] for b in before if b["type"] == "tool_use"}
            reported = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
            if not set(reported) <= known or len(reported) != len(set(reported)):
                yield f"{at}: unexpected `tool_use_id` in `tool_result`"
    yield from _anthropic_rest(body, turns)


def _anthropic_block(block: Json, role: str, at: str) -> Iterator[str]:
    match block["type"]:
        case "text":
            if not block["text"].strip():
                yield f"{at}: text content blocks must contain non-whitespace text"
        case "tool_use":
            if not _ANTHROPIC_ID.fullmatch(block["id"]):
                yield f"{at}: tool_use.id {block['id']!r}"
            if not _NAME.fullmatch(block["name"]):
                yield f"{at}: tool_use.name {block['name']!r}"
            if not isinstance(block["input"], dict):
                yield f"{at}: tool_use.input is no dictionary"
        case "tool_result":
            inner = _blocks(block.get("content", []))
            if block.get("is_error") and any(b["type"] != "text" for b in inner):
                yield f"{at}: all content must be type text if `is_error` is true"
            for one in inner:
                yield from _anthropic_block(one, role, at)
        case "image":
            source = block["source"]
            if role != "user":
                yield f"{at}: an image in a turn of the assistant's"
            if source["type"] == "base64" and source["media_type"] not in _IMAGES:
                yield f"{at}: image.source.media_type {source['media_type']}"


def _anthropic_rest(
    body: Json, turns: list[tuple[str, list[Json], str]]
) -> Iterator[str]:
    for tool in body.get("tools", ()):
        if not _NAME.fullmatch(tool["name"]):
            yield f"tools: name {tool['name']!r}"
        if tool["input_schema"].get("type") != "object":
            yield "tools: input_schema.type: Field required"
    called = any(b["type"] == "tool_use" for _, blocks, _ in turns for b in blocks)
    if called and "tools" not in body:
        yield "tools: must be defined where tools were called"
    if body.get("temperature", 0) > 1:
        yield "temperature: above 1"
    if any(not stop.strip() for stop in body.get("stop_sequences", ())):
        yield "stop_sequences: each must contain non-whitespace"
    last = turns[-1]
    if last[0] == "assistant" and last[1][-1].get("text", "x")[-1:].isspace():
        yield "final assistant content cannot end with trailing whitespace"
    if body.get("thinking", {}).get("type") != "enabled":
        return
    if body["thinking"]["budget_tokens"] >= body["max_tokens"]:
        yield "max_tokens must be greater than thinking.budget_tokens"
    goes_on = last[0] == "user" and last[1][0]["type"] == "tool_result"
    if goes_on and turns[-2][1][0]["type"] not in _THINKING:
        yield "a final `assistant` message must start with a thinking block"


def _gemini(body: Json, model: str) -> Iterator[str]:
    contents = body["contents"]
    yield from _alternate(
        ["assistant" if c["role"] == "model" else c["role"] for c in contents]
    )
    for number, content in enumerate(contents):
        at, parts = f"contents[{number}]", content["parts"]
        if not parts:
            yield f"{at}.parts must not be empty"
        for part in parts:
            if part.get("text") == "" and "thoughtSignature" not in part:
                yield f"{at}: must have a text parameter"
        calls = [p["functionCall"] for p in parts if "functionCall" in p]
        after = contents[number + 1]["parts"] if number + 1 < len(contents) else []
        reported = [p["functionResponse"] for p in after if "functionResponse" in p]
        if calls and [c["name"] for c in calls] != [t["name"] for t in reported]:
            yield f"{at}: as many function responses as function calls, in their order"
        for call in calls:
            if not _LETTER_FIRST.fullmatch(call["name"]):
                yield f"{at}: function name {call['name']!r}"
            if not isinstance(call["args"], dict):
                yield f"{at}: args is no object"
        if calls and content["role"] != "model":
            yield f"{at}: a function call in a turn of the user's"
        signed = any("thoughtSignature" in p for p in parts if "functionCall" in p)
        if calls and _SIGNED.search(model) and not signed:
            yield f"{at}: Function call is missing a thought_signature"
        before = contents[number - 1]["parts"] if number else []
        asked = [p for p in before if "functionCall" in p]
        if any("functionResponse" in p for p in parts) and not asked:
            yield f"{at}: a function response turn comes after a function call turn"
    for tool in body.get("tools", ()):
        for function in tool["functionDeclarations"]:
            if not _LETTER_FIRST.fullmatch(function["name"]):
                yield f"tools: function name {function['name']!r}"
    config = body.get("generationConfig", {})
    if len(config.get("stopSequences", ())) > 5:
        yield "generationConfig.stopSequences: more than 5"
    if not -(2**31) <= config.get("seed", 0) < 2**31:
        yield "generationConfig.seed: no int32"


def _responses(body: Json) -> Iterator[str]:
    items = body["input"]
    calls = [i["call_id"] for i in items if i.get("type") == "function_call"]
    if len(calls) != len(set(calls)):
        yield "input: a call_id twice"
    ids = [i["id"] for i in items if "id" in i]
    if len(ids) != len(set(ids)):
        yield "Duplicate item found"
    waiting: set[str] = set()
    for number, item in enumerate(items):
        at = f"input[{number}]"
        following = items[number + 1] if number + 1 < len(items) else {}
        match item.get("type"):
            case "reasoning":
                kind = following.get("type", "")
                if kind != "message" and not kind.endswith("_call"):
                    yield f"{at}: reasoning without its required following item"
            case "function_call":
                waiting.add(item["call_id"])
                if not _NAME.fullmatch(item["name"]):
                    yield f"{at}.name {item['name']!r}"
                if len(item["call_id"]) > 64:
                    yield f"{at}.call_id: string too long"
                if not _is_object(item["arguments"]):
                    yield f"{at}.arguments: no JSON object"
            case "function_call_output":
                if item["call_id"] not in waiting:
                    yield f"{at}: No tool call found for function call output"
                waiting.discard(item["call_id"])
            case _ if "role" in item:  # an item of its own tools has none
                if item["role"] == "user" and waiting:
                    yield f"{at}: No tool output found for function call"
                if not item["content"]:
                    yield f"{at}.content: empty"
    if waiting:
        yield "input: No tool output found for function call"
    for tool in body.get("tools", ()):
        yield from _openai_schema(tool["parameters"], tool["name"])


def _chat(body: Json, server: str) -> Iterator[str]:
    messages = body["messages"]
    said = [m for m in messages if m["role"] != "system"]
    if any(m["role"] == "system" for m in messages[1:]):
        yield "messages: a system message that is not the first"
    if server != "openai":
        yield from _alternate([m["role"] for m in said], beside="tool")
    waiting: list[str] = []
    for number, message in enumerate(said):
        at = f"messages[{number}]"
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                yield f"{at}: 'tool' must follow a message with its tool_call"
            else:
                waiting.remove(message["tool_call_id"])
        elif waiting:
            yield f"{at}: tool_calls must be followed by tool messages"
        calls = message.get("tool_calls", [])
        waiting += [call["id"] for call in calls]
        silent = server == "openai" and message["role"] == "tool"
        if not message.get("content") and not calls and not silent:
            yield f"{at}: must have content or tool_calls"
        for call in calls:
            yield from _chat_call(call, server, at)
        reasoning = message.get("reasoning_content")
        if server in _WANT_REASONING and calls and not reasoning:
            yield f"{at}: reasoning_content is missing in assistant tool call"
        if server in _REFUSE_REASONING and reasoning is not None:
            yield f"{at}: property 'reasoning_content' is unsupported"
    if waiting:
        yield "messages: tool_calls must be followed by tool messages"
    for before, after in pairwise(said):
        if server == "mistral" and (before["role"], after["role"]) == ("tool", "user"):
            yield "Unexpected role 'user' after role 'tool'"
    left_open = said[-1]["role"] == "assistant" and not said[-1].get("prefix")
    if server == "mistral" and left_open:
        yield "Expected last role User or Tool (or Assistant with prefix True)"
    for tool in body.get("tools", ()):
        function = tool["function"]
        yield from _openai_schema(function["parameters"], function["name"])


def _chat_call(call: Json, server: str, at: str) -> Iterator[str]:
    id_, function = call["id"], call["function"]
    fits = _MISTRAL_ID.fullmatch(id_) if server == "mistral" else 0 < len(id_) <= 40
    if not fits:
        yield f"{at}: tool call id {id_!r}"
    names = _LETTER_FIRST if server in ("moonshot", "gemini") else _NAME
    if not names.fullmatch(function["name"]):
        yield f"{at}: function name {function['name']!r}"
    if not _is_object(function["arguments"]):
        yield f"{at}: function.arguments is no JSON object"


def _openai_schema(schema: Json, name: str) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"tools: function name {name!r}"
    if schema.get("type") != "object" or "properties" not in schema:
        yield f"Invalid schema for function {name!r}"


def _alternate(roles: list[str], beside: str = "") -> Iterator[str]:
    """After the user the model and again; turns `beside` stand where they like."""
    if not roles or roles[0] != "user":
        yield "first message must use the user role"
    for before, after in pairwise(roles):
        if before == after != beside:
            yield f"roles must alternate: {before} after {after}"


def _blocks(content: str | list[Json]) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
