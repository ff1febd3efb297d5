"""What answers carry, by kind of provider: a table of docs/providers.md.

Each cell is what a codec makes of an answer in its provider's form that has that one
thing.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

from majordomo.codec.base import Codec
from majordomo.v1.content_pb2 import ROLE_USER, Message, Part
from majordomo.v1.generation_service_pb2 import Completion, Prompt

HEAD = """\
## What answers carry

Sources are citations of text parts; **with ranges** where the provider says which words
rest on them. Blocks of the provider's own, such as what its search found, are opaque
parts; **given back** to the same target, they go in its next request as they came. What
an answer cannot carry is listed in `Completion.omissions`
([rules 3.13 to 3.16](semantics.md#3-when-a-stream-is-open)).

`majordomo generate` prints sources after the answer, by their numbers; where they rest
on some of its words, with these:

```
$ majordomo generate -c acme/cited 'How large is Paris?'
Paris has about two million people [1], its region twelve [2].

Sources:
[1] https://en.wikipedia.org/wiki/Paris
[2] https://www.insee.fr/en/statistiques
```
"""

_PNG = b64encode(b"\x89PNG\r\n\x1a\n").decode()
_WAV = b64encode(b"RIFF\0\0\0\0WAVE").decode()
_URL = {"url": "https://x.y", "title": "X"}


def _chat(**message: object) -> Any:
    return {
        "choices": [{"message": {"content": "Hi.", **message}, "finish_reason": ""}]
    }


def _claude(*blocks: object, **beside: object) -> Any:
    return {"type": "message", "content": blocks, "stop_reason": "end_turn", **beside}


def _google(*parts: object, **beside: object) -> Any:
    content = {"parts": parts}
    return {"candidates": [{"content": content, "finishReason": "STOP", **beside}]}


def _openai(*items: object) -> Any:
    return {"status": "completed", "output": items}


def _text(*annotations: object) -> Any:
    part = {"type": "output_text", "text": "Hi.", "annotations": annotations}
    return {"type": "message", "content": [part]}


_CITED = {"type": "url_citation", **_URL, "start_index": 0, "end_index": 2}
_NESTED = {"type": "url_citation", "url_citation": _CITED}
_IMAGE = {"image_url": {"url": f"data:image/png;base64,{_PNG}"}}
_LOCATION = {"type": "web_search_result_location", **_URL, "cited_text": "x"}
_CHAT = {
    "sources": _chat(annotations=[_NESTED]),
    "numbered sources": {**_chat(), "citations": ["https://x.y"]},
    "images": _chat(images=[_IMAGE]),
    "audio, with its words": _chat(audio={"data": _WAV, "transcript": "Hi."}),
    "blocks of its own": _chat(annotations=[{"type": "file", "file": {"name": "x"}}]),
}
ANSWERS: dict[str, dict[str, Any]] = {
    "openai": {
        "sources": _openai(_text(_CITED)),
        "images": _openai({"type": "image_generation_call", "result": _PNG}),
        "blocks of its own": _openai({"type": "web_search_call", "id": "w"}, _text()),
    },
    'openai, api = "chat"': _CHAT,
    "anthropic": {
        "sources": _claude({"type": "text", "text": "Hi.", "citations": [_LOCATION]}),
        "blocks of its own": _claude({"type": "server_tool_use", "name": "search"}),
        "why it stopped, in words": _claude(stop_details={"explanation": "Why."}),
    },
    "gemini": {
        "sources": _google(
            {"text": "Hi."},
            groundingMetadata={
                "groundingChunks": [{"web": {"uri": "https://x.y"}}],
                "groundingSupports": [
                    {"segment": {"endIndex": 2}, "groundingChunkIndices": [0]}
                ],
            },
        ),
        "images": _google({"inlineData": {"mimeType": "image/png", "data": _PNG}}),
        "audio, with its words": _google(
            {"inlineData": {"mimeType": "audio/wav", "data": _WAV}}
        ),
        "blocks of its own": _google({"executableCode": {"code": "1"}}),
        "why it stopped, in words": _google({"text": "Hi."}, finishMessage="Why."),
    },
    "openai-compatible": _CHAT,
}
"""An answer for each thing that the provider's form has."""


def _sources(_: Codec, message: Message, __: Completion) -> str:
    cited = [one for part in message.parts for one in part.citations]
    ranges = all(one.HasField("range") for one in cited)
    return "" if not cited else "with ranges" if ranges else "yes"


def _media(_: Codec, message: Message, __: Completion) -> str:
    media = any(part.HasField("blob") for part in message.parts)
    words = any(part.text for part in message.parts)
    return "" if not media else "yes" if words else "yes, alone"


def _blocks(codec: Codec, message: Message, _: Completion) -> str:
    if not any(part.HasField("opaque") for part in message.parts):
        return ""
    message.origin = "p/some-model"
    asked = Message(role=ROLE_USER, parts=[Part(text="Go on.")])
    prompt = Prompt(messages=[asked, message, asked])
    after = codec.encode("some-model", prompt, stream=False)
    reported = any("cannot read" in one.description for one in after.adaptations)
    return "told" if reported else "given back"


def _why(_: Codec, __: Message, completion: Completion) -> str:
    return "yes" if completion.provider_finish_message else ""


FEATURES: dict[str, Callable[[Codec, Message, Completion], str]] = {
    "sources": _sources,
    "numbered sources": _sources,
    "images": _media,
    "audio, with its words": _media,
    "blocks of its own": _blocks,
    "why it stopped, in words": _why,
}


def rows(kinds: dict[str, Codec]) -> Iterator[list[str]]:
    """The cells of each row, the first of which names it."""
    for feature, look in FEATURES.items():
        yield [feature, *(_cell(kind, c, feature, look) for kind, c in kinds.items())]


def _cell(
    kind: str,
    codec: Codec,
    feature: str,
    look: Callable[[Codec, Message, Completion], str],
) -> str:
    body = ANSWERS.get(kind, {}).get(feature)
    if body is None:
        return "-"
    answer = codec.decode(Prompt(), json.dumps(body).encode())
    assert answer.message is not None
    return look(codec, answer.message, answer.completion) or "no"
