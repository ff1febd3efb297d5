"""What a codec costs: `python -m bench.codec_cost`.

Microseconds of CPU for a chunk of a streamed answer, each fed by itself, and for a
request of ten messages and two tools; the best of some rounds: the machine is noisy.
"""

import json
import time
from collections.abc import Callable

from majordomo.codec.base import Codec
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    FunctionTool,
    Message,
    Part,
    Tool,
    ToolCall,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import GenerationConfig, Prompt

ROUNDS = 15
CHUNKS = 2000
REQUESTS = 300

WIRES: dict[str, tuple[Codec, dict[str, object]]] = {
    "openai": (
        OpenAIResponses("p"),
        {
            "type": "response.output_text.delta",
            "item_id": "msg_0123456789",
            "output_index": 0,
            "content_index": 0,
            "delta": " word",
            "sequence_number": 17,
        },
    ),
    "openai, chat": (
        OpenAICompatible("p"),
        {
            "id": "chatcmpl-0123456789",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": "m-1",
            "choices": [
                {"index": 0, "delta": {"content": " word"}, "finish_reason": None}
            ],
        },
    ),
    "anthropic": (
        Anthropic("p"),
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": " word"},
        },
    ),
    "gemini": (
        Gemini("p"),
        {
            "candidates": [
                {"content": {"parts": [{"text": " word"}], "role": "model"}, "index": 0}
            ],
            "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
            "modelVersion": "m-1",
            "responseId": "0123456789",
        },
    ),
}
_BEFORE = {
    "anthropic": {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
}


def prompt() -> Prompt:
    """Ten messages, a call and its result among them, and two tools."""
    asked = Message(role=ROLE_USER, parts=[Part(text="word " * 20)])
    said = Message(role=ROLE_ASSISTANT, parts=[Part(text="word " * 40)])
    call = ToolCall(id="call_1", name="look", arguments_json='{"at":"it"}')
    result = ToolResult(tool_call_id="call_1", parts=[Part(text="seen")])
    called = Message(role=ROLE_ASSISTANT, parts=[Part(tool_call=call)])
    reported = Message(role=ROLE_TOOL, parts=[Part(tool_result=result)])
    schema = '{"type":"object","properties":{"at":{"type":"string"}}}'
    return Prompt(
        system_instruction=[Part(text="Be brief.")],
        messages=[asked, called, reported, said, asked, said, asked, said, asked, said],
        tools=[
            Tool(function=FunctionTool(name=n, parameters_schema_json=schema))
            for n in ("look", "ask")
        ],
        config=GenerationConfig(max_output_tokens=100, temperature=0.5),
    )


def best(run: Callable[[], None], each: int) -> float:
    """Microseconds of CPU for one of the `each` things that `run` does."""
    took = []
    for _ in range(ROUNDS):
        begun = time.process_time_ns()
        run()
        took.append(time.process_time_ns() - begun)
    return min(took) / each / 1000


def of_chunks(codec: Codec, wire: str, event: dict[str, object]) -> float:
    chunk = b"data: " + json.dumps(event).encode() + b"\n\n"

    def run() -> None:
        decoder = codec.decoder(Prompt())
        if wire in _BEFORE:
            decoder.feed(b"data: " + json.dumps(_BEFORE[wire]).encode() + b"\n\n")
        for _ in range(CHUNKS):
            decoder.feed(chunk)

    return best(run, CHUNKS)


def of_requests(codec: Codec) -> float:
    asked = prompt()

    def run() -> None:
        for _ in range(REQUESTS):
            codec.encode("some-model", asked, stream=True)

    return best(run, REQUESTS)


def main() -> None:
    print(f"{'':14} {'chunk':>8} {'request':>8}")
    for wire, (codec, event) in WIRES.items():
        chunk, request = of_chunks(codec, wire, event), of_requests(codec)
        print(f"{wire:14} {chunk:8.1f} {request:8.1f}")


if __name__ == "__main__":
    main()
