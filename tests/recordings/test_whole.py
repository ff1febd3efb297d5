"""Nothing that a provider sent as content is lost without a word.

Of every recorded answer each block, item and part is in the turn, in a part's state, or
among the omissions. What was received is read here once more, by itself.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from majordomo.chain.failure import Failure
from majordomo.v1.content_pb2 import Message
from majordomo.v1.generation_service_pb2 import Completion, Prompt
from tests.recordings.corpus import Recording, recordings
from tests.recordings.reading import blocks, events, read, states, wire

RECORDINGS = [one for one in recordings("") if one.kind != "error"]


class Carried:
    """All that an answer carries."""

    def __init__(self, message: Message, completion: Completion) -> None:
        self.texts = "".join(part.text for part in message.parts)
        self.reasoning = "".join(part.reasoning.text for part in message.parts)
        self.calls = [part.tool_call for part in message.parts]
        self.media = [part for part in message.parts if part.HasField("blob")]
        self.citations = [one for part in message.parts for one in part.citations]
        self.blocks = blocks(message)
        self.states = "".join(
            text for part in message.parts for text in states(part).values()
        )
        self.signed = {
            *(states(part).get("signature", "") for part in message.parts),
            *(block.get("thoughtSignature", "") for block in self.blocks),
        }
        items = [json.loads(states(one).get("item", "{}")) for one in message.parts]
        self.kept = [
            part["text"]
            for item in items
            for part in (*item.get("summary", ()), *item.get("content", ()))
        ]
        self.reported = " ".join(part.opaque.description for part in message.parts)
        self.omitted = {omission.type for omission in completion.omissions}

    def has_call(self, name: str, id_: str = "") -> bool:
        return any(name == call.name and id_ in ("", call.id) for call in self.calls)


def of_anthropic(received: list[Any], carried: Carried) -> Iterator[object]:
    """What of the blocks is missing."""
    for block in _claude_blocks(received):
        match block["type"]:
            case "text":
                found = block["text"] in carried.texts
                found &= len(block.get("citations") or ()) <= len(carried.citations)
            case "thinking":
                found = block["thinking"] in carried.reasoning
                found &= block["signature"] in carried.states
            case "redacted_thinking":
                found = block["data"] in carried.states
            case "tool_use":
                found = carried.has_call(block["name"], block["id"])
            case _:
                found = block in carried.blocks
        if not found:
            yield block


def _claude_blocks(received: list[Any]) -> list[Any]:
    """The blocks of a whole answer, or those that events make."""
    if received[0].get("content") is not None:
        return list(received[0]["content"])
    made: dict[int, Any] = {}
    for event in received:
        if event["type"] == "content_block_start":
            made[event["index"]] = event["content_block"]
        elif event["type"] == "content_block_delta":
            _add(made[event["index"]], dict(event["delta"]))
        elif event["type"] == "content_block_stop" and "json" in made[event["index"]]:
            text = made[event["index"]].pop("json")
            made[event["index"]]["input"] = json.loads(text or "{}")
    return list(made.values())


def _add(block: Any, delta: Any) -> None:
    match delta.pop("type"):
        case "input_json_delta":
            block["json"] = block.get("json", "") + delta["partial_json"]
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        case _:
            for key, piece in delta.items():
                before = block.get(key)
                block[key] = before + piece if isinstance(before, str) else piece


def of_gemini(received: list[Any], carried: Carried) -> Iterator[object]:
    """What of the parts, and of what they rest on, is missing."""
    for candidate in (one for body in received for one in body.get("candidates", [])):
        if candidate.get("index"):
            if "candidates" not in carried.omitted:
                yield candidate
            continue
        for part in (candidate.get("content") or {}).get("parts", []):
            if not _has_part(part, carried):
                yield part
        yield from _ungrounded(candidate.get("groundingMetadata") or {}, carried)


def _ungrounded(grounding: Any, carried: Carried) -> Iterator[object]:
    for query in grounding.get("webSearchQueries", []):
        if query not in carried.reported:
            yield query
    if "searchEntryPoint" in grounding and "searchEntryPoint" not in carried.omitted:
        yield grounding["searchEntryPoint"]
    if len(carried.citations) < len(grounding.get("groundingChunks", [])):
        yield grounding


def _has_part(part: Any, carried: Carried) -> bool:
    if "thoughtSignature" in part and part["thoughtSignature"] not in carried.signed:
        return False
    if "functionCall" in part:
        name = part["functionCall"].get("name", "")
        return not name or carried.has_call(name)
    if "text" in part:
        thought = part.get("thought")
        return part["text"] in (carried.reasoning if thought else carried.texts)
    if "inlineData" in part:
        return bool(carried.media) or "inlineData" in carried.omitted
    return part in carried.blocks


_ENDS = ("response.completed", "response.incomplete")


def of_responses(received: list[Any], carried: Carried) -> Iterator[object]:
    """What of the items is missing."""
    ends = (i for i, one in enumerate(received) if one.get("type") in _ENDS)
    first = received[: next(ends, None)]  # a fixture holds four answers in a row
    done = [one for one in first if one.get("type") == "response.output_item.done"]
    items = [one["item"] for one in done] or received[0]["output"]
    for item in items:
        match item["type"]:
            case "message":
                parts = item["content"]
                found = all(part["text"] in carried.texts for part in parts)
                cited = [one for part in parts for one in part["annotations"]]
                found &= len(cited) <= len(carried.citations)
            case "function_call":
                found = carried.has_call(item["name"], item["call_id"])
            case "reasoning":
                texts = [*(item["summary"] or ()), *(item.get("content") or ())]
                shown = carried.reasoning + "".join(carried.kept)
                found = all(one["text"] in shown for one in texts)
                found &= (item.get("encrypted_content") or "") in carried.states
            case "image_generation_call":
                found = bool(carried.media)
            case _:
                found = item in carried.blocks
        if not found:
            yield item


KNOWN = {
    *("role", "content", "refusal", "tool_calls", "function_call", "annotations"),
    *("reasoning", "reasoning_content", "reasoning_details", "audio", "images"),
    *("executed_tools", "channel", "token_id"),
}
"""Keys of Chat's messages; the last two number tokens and name what is reasoning."""


def of_chat(received: list[Any], carried: Carried) -> Iterator[object]:
    """What of the messages, and of what they rest on, is missing."""
    for body in received:
        if body.get("object") == "chat.completion.done":
            continue
        for choice in body.get("choices") or ():
            said = choice.get("message") or choice.get("delta") or {}
            if choice.get("index"):
                if "choices" not in carried.omitted:
                    yield choice
                continue
            yield from _missing(said, carried)
        urls = body.get("citations") or ()
        if any(url not in {one.uri for one in carried.citations} for url in urls):
            yield urls


def _missing(said: Any, carried: Carried) -> Iterator[object]:
    yield from (key for key in said if key not in KNOWN and said[key])
    content = said.get("content") or ""
    whole = [{"type": "text", "text": content}]
    parts: list[Any] = whole if isinstance(content, str) else content
    for part in parts:
        thinking = "".join(one["text"] for one in part.get("thinking", []))
        if (
            part.get("text", "") not in carried.texts
            or thinking not in carried.reasoning
        ):
            yield part
    if (said.get("refusal") or "") not in carried.texts:
        yield said["refusal"]
    text = said.get("reasoning_content") or said.get("reasoning") or ""
    if text not in carried.reasoning:
        yield text
    for call in said.get("tool_calls") or ():
        name = (call.get("function") or call["custom"]).get("name")
        if name and not carried.has_call(name):
            yield call
    for annotation in said.get("annotations") or ():
        if annotation not in carried.blocks and not carried.citations:
            yield annotation
    if said.get("images") and not carried.media:
        yield said["images"]
    for tool in said.get("executed_tools") or ():
        if tool not in carried.blocks:
            yield tool


CHECKS: dict[str, Callable[[list[Any], Carried], Iterator[object]]] = {
    "anthropic": of_anthropic,
    "gemini": of_gemini,
    "responses": of_responses,
    "chat": of_chat,
}


@pytest.mark.rule("3.13")
@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda one: one.id)
def test_all_content_is_there(recording: Recording) -> None:
    prompt = Prompt()
    prompt.config.reasoning.include_text = True
    try:
        message, completion = read(recording, prompt)
    except Failure:
        return  # no answer: that these fail is another test's
    carried = Carried(message, completion)

    assert [] == list(CHECKS[wire(recording)](events(recording), carried))
