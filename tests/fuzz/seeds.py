"""Answers of every kind that each wire has, as whole bodies and as streams."""

import json
from typing import Any

Event = dict[str, Any]


def whole(body: Event) -> bytes:
    return json.dumps(body).encode()


def events(*bodies: Event, named: bool = False, done: bool = False) -> bytes:
    """A stream of events, each with its type as its name where the wire does so."""
    text = "".join(
        (f"event: {body['type']}\n" if named else "") + f"data: {json.dumps(body)}\n\n"
        for body in bodies
    )
    return (text + ("data: [DONE]\n\n" if done else "")).encode()


def _anthropic() -> list[bytes]:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 5}
    blocks: list[Event] = [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "cmVk"},
        {"type": "text", "text": "so", "citations": [{"cited_text": "x"}]},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, "é"]}},
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []},
    ]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    deltas = [
        {"type": "thinking_delta", "thinking": "m"},
        {"type": "signature_delta", "signature": "c2ln"},
        {"type": "text_delta", "text": "é"},
        {"type": "input_json_delta", "partial_json": '{"a":'},
        {"type": "citations_delta", "citation": {"cited_text": "x"}},
    ]
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}
    start = {"type": "message_start", "message": {**message, "usage": usage}}
    stop: list[Event] = [
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    ]
    pieces = []
    for index, block in enumerate(blocks):
        pieces.append(
            {"type": "content_block_start", "index": index, "content_block": block}
        )
        pieces += [
            {"type": "content_block_delta", "index": index, "delta": delta}
            for delta in deltas
        ]
        pieces.append({"type": "content_block_stop", "index": index})
    return [
        whole(
            {**message, "content": blocks, "stop_reason": "tool_use", "usage": usage}
        ),
        whole({**message, "content": [], "stop_reason": "refusal", "usage": usage}),
        whole(error),
        events(start, {"type": "ping"}, *pieces, *stop, named=True),
        events(start, *pieces[:3], error, named=True),
    ]


def _gemini() -> list[bytes]:
    usage = {
        "promptTokenCount": 3,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 2,
        "cachedContentTokenCount": 1,
    }
    parts: list[Event] = [
        {"text": "hm", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "so é"},
        {"functionCall": {"name": "f", "args": {"a": [1]}, "id": "1"}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
    ]
    path = {"jsonPath": "$.a[0].b", "stringValue": "v", "willContinue": True}
    partial = {"functionCall": {"name": "f", "partialArgs": [path]}}

    def answer(parts: list[Event], **more: Any) -> Event:
        candidate = {"content": {"parts": parts, "role": "model"}, "index": 0, **more}
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": "m",
            "responseId": "r",
        }

    full = answer(parts, finishReason="STOP", safetyRatings=[{"category": "X"}])
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage}
    error = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m"}}
    return [
        whole(full),
        whole(answer([], finishReason="MALFORMED_FUNCTION_CALL", finishMessage="m")),
        whole(blocked),
        whole(error),
        events(*(answer([part]) for part in parts), answer([partial]), full),
        events(answer(parts[:2]), blocked),
        events(answer(parts[:2]), error),
    ]


def _responses() -> list[bytes]:
    usage = {
        "input_tokens": 3,
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    items: list[Event] = [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "c2ln",
        },
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "phase": "commentary",
            "content": [
                {"type": "output_text", "text": "so", "annotations": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c",
            "name": "f",
            "arguments": '{"a":1}',
        },
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    ]
    answer: Event = {
        "id": "resp_1",
        "object": "response",
        "model": "m",
        "status": "completed",
        "output": items,
        "usage": usage,
    }
    partial: Event = {**answer, "status": "incomplete"}
    partial["incomplete_details"] = {"reason": "max_output_tokens"}
    failed: Event = {**answer, "status": "failed", "error": {"code": "server_error"}}
    at = {"output_index": 0, "item_id": "x"}
    kinds: list[Event] = [
        {"type": "response.output_text.delta", "delta": "é", "content_index": 0},
        {"type": "response.refusal.delta", "delta": "no", "content_index": 1},
        {"type": "response.reasoning_summary_text.delta", "delta": "hm"},
        {"type": "response.reasoning_text.delta", "delta": "hm"},
        {"type": "response.function_call_arguments.delta", "delta": '{"a"'},
        {"type": "response.function_call_arguments.done", "arguments": '{"a":1}'},
    ]
    pieces: list[Event] = []
    for index, item in enumerate(items):
        place = {"output_index": index, "item_id": item["id"]}
        pieces.append({"type": "response.output_item.added", **place, "item": item})
        pieces += [{**kind, **place} for kind in kinds]
        pieces.append({"type": "response.output_item.done", **place, "item": item})
    created = {"type": "response.created", "response": {**answer, "output": []}}
    return [
        whole(answer),
        whole(partial),
        whole(failed),
        events(
            created,
            *pieces,
            {"type": "response.completed", "response": answer},
            named=True,
        ),
        events(created, {"type": "response.incomplete", "response": partial}),
        events(created, {"type": "response.failed", "response": failed}),
        events(created, {"type": "error", "code": "c", "message": "m", **at}),
    ]


def _chat() -> list[bytes]:
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    call = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "f", "arguments": '{"a":1}'},
    }
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0},
        {"type": "reasoning.encrypted", "data": "c2ln", "id": "r", "index": 1},
        {"type": "reasoning.summary", "summary": "hm", "index": 2},
    ]
    blocks = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "so"},
    ]
    contents: list[Event] = [
        {"content": "so é"},
        {"content": None, "tool_calls": [call]},
        {"content": None, "refusal": "no"},
        {"content": "so", "reasoning_content": "hm"},
        {"content": "so", "reasoning": "hm", "reasoning_details": details},
        {"content": blocks},
        {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
    ]
    head: Event = {"id": "chatcmpl-1", "object": "chat.completion", "model": "m"}

    def choice(key: str, content: Event, finish: str | None) -> Event:
        inner = {"role": "assistant", **content}
        return {**head, "choices": [{"index": 0, key: inner, "finish_reason": finish}]}

    error: Event = {"error": {"message": "m", "code": 502, "metadata": {"raw": "r"}}}
    last = [choice("delta", {}, "stop"), {**head, "choices": [], "usage": usage}]
    return [
        *(
            whole({**choice("message", content, "stop"), "usage": usage})
            for content in contents
        ),
        whole(choice("message", {"content": ""}, "content_filter")),
        whole(error),
        *(
            events(choice("delta", content, None), *last, done=True)
            for content in contents
        ),
        events(choice("delta", contents[0], None), error, done=True),
        events({**choice("delta", contents[0], "error"), **error}),
    ]


ANSWERS = {
    "anthropic": _anthropic(),
    "gemini": _gemini(),
    "openai-responses": _responses(),
    "openai-c": _chat(),
}
"""By the name that recordings of the wire begin with."""

SCHEMA = """{"type":"object","properties":{"a":{"type":["string","null"],"enum":["x"]},
"b":{"anyOf":[{"type":"integer","minimum":1},{"$ref":"#/$defs/c"}]},"d":{"type":"array",
"items":{"type":"object","properties":{"e":{"const":1.5}},"additionalProperties":false,
"required":["e"]}}},"required":["a"],"additionalProperties":false,"$defs":{"c":
{"type":"object","properties":{"f":{"$ref":"#/$defs/c"}}}}}"""
"""A JSON Schema with most of what the codecs look at."""
