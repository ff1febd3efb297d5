"""Reasoning that servers of the Chat Completions format want back, in their forms.

OpenAI keeps it to itself. Of the others some refuse a turn with tool calls whose
reasoning is missing, some only think worse without it, and some refuse a field that
they do not know; `profiles` says which forms a server takes back. It is kept in the
one that it came in:

- `reasoning_details`: a list of objects, some signed or encrypted (OpenRouter);
- `reasoning_content`: a text beside the content (DeepSeek, Kimi, z.ai);
- `reasoning`: the same by another name (Groq, Ollama, newer vLLM);
- `thinking`: a part of the content (Mistral).
"""

from typing import Any

import msgspec

from majordomo.codec.json_text import repair, repaired
from majordomo.codec.state import pack, unpack
from majordomo.providers.openai_chat.shapes import ContentPart, Delta

WIRE = "openai-chat"
"""The name of this wire in provider_state."""

DETAILS, CONTENT, REASONING, THINKING = (
    "reasoning_details",
    "reasoning_content",
    "reasoning",
    "thinking",
)
"""The forms, by the fields that they come in."""

AS_SENT = (DETAILS, CONTENT, REASONING, THINKING)
"""Of a server of which nothing else is known: what it has sent, it takes. The first of
them that comes is kept: the same may come in several fields."""

NO_REASONING = " "
"""Stands for the reasoning of a turn that another model wrote: servers that want it
take an empty text for a missing one."""

_JOINED = {"reasoning.text": "text", "reasoning.summary": "summary"}
"""Where details have their text, by type; streamed, it comes in pieces."""


class KeptReasoning:
    """The reasoning of one answer while it comes in, in one of some forms."""

    def __init__(self, forms: tuple[str, ...]) -> None:
        self._forms = forms
        self._form = ""
        self._texts: list[str] = []
        self._details: list[dict[str, Any]] = []

    def add(self, delta: Delta) -> bool:
        """Keep what reasoning `delta` has; whether it has any."""
        form = self._form or next((f for f in self._forms if _has(delta, f)), "")
        if not form or not _has(delta, form):
            return False
        self._form = form
        if form == DETAILS:
            for entry in delta.reasoning_details:
                if isinstance(entry, dict):
                    self._add_detail(entry)
        else:
            self._texts.append(_text(delta, form))
        return True

    def state(self) -> bytes:
        """What the server needs to have back, as provider_state."""
        if self._form == DETAILS:
            text = msgspec.json.encode(repaired(self._details)).decode()
        else:
            text = repair("".join(self._texts))
        return pack(WIRE, **{self._form: text})

    def _add_detail(self, entry: dict[str, Any]) -> None:
        """Keep an entry, or go on with the one of which it is the next piece."""
        key = _JOINED.get(entry.get("type", ""))
        last = self._details[-1] if self._details else {}
        if not key or any(entry.get(k) != last.get(k) for k in ("type", "index")):
            self._details.append(dict(entry))
            return
        text = f"{last.get(key) or ''}{entry.get(key) or ''}"
        last |= {name: value for name, value in entry.items() if value}
        last[key] = text


def given_back(forms: tuple[str, ...], state: bytes) -> dict[str, Any]:
    """The reasoning that `state` holds, by its form; empty without one of `forms`."""
    for form, text in unpack(WIRE, state).items():
        if form not in forms:
            continue
        if form == THINKING:
            part = {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
            return {form: [part]} if text else {}
        if form != DETAILS:
            return {form: text} if text else {}
        try:
            return {form: _decode_details(text)}
        except (ValueError, RecursionError):
            return {}
    return {}


def extra_content(state: bytes) -> dict[str, Any] | None:
    """What a server wants back beside a tool call; None if nothing."""
    try:
        return _decode_extra(unpack(WIRE, state).get("extra", ""))
    except (ValueError, RecursionError):
        return None


def thinking_text(part: ContentPart) -> str:
    """The reasoning in a part of the content."""
    thinking = part.thinking
    if thinking is None or isinstance(thinking, str):
        return thinking or ""
    return "".join(inner.text or "" for inner in thinking)


def _has(delta: Delta, form: str) -> bool:
    if form == DETAILS:
        return isinstance(delta.reasoning_details, list) and bool(
            delta.reasoning_details
        )
    return bool(_text(delta, form))


def _text(delta: Delta, form: str) -> str:
    """The text that a delta has in a form; "" if none."""
    text: object = None
    match form:
        case "reasoning_content":
            text = delta.reasoning_content
        case "reasoning":
            text = delta.reasoning
        case _ if isinstance(delta.content, list):
            text = "".join(map(thinking_text, delta.content))
    return text if isinstance(text, str) else ""


_decode_details = msgspec.json.Decoder(list[dict[str, Any]]).decode
_decode_extra = msgspec.json.Decoder(dict[str, Any]).decode
