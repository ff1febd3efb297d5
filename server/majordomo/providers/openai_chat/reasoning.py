"""Reasoning that servers of the Chat Completions format want back, in their forms.

OpenAI keeps it to itself. Of the others some refuse a turn with tool calls whose
reasoning is missing, some only think worse without it; `profiles` says which form a
server's has:

- `reasoning_content`: a text beside the content (DeepSeek);
- `reasoning_details`: a list of objects, some signed or encrypted (OpenRouter);
- `thinking`: a part of the content (Mistral).
"""

from typing import Any

import msgspec

from majordomo.codec.json_text import mend, mended
from majordomo.codec.state import pack, unpack
from majordomo.providers.openai_chat.shapes import ContentPart, Delta

WIRE = "openai-chat"
"""The name of this wire in provider_state."""

CONTENT, DETAILS, THINKING = "reasoning_content", "reasoning_details", "thinking"
"""The forms."""

_JOINED = {"reasoning.text": "text", "reasoning.summary": "summary"}
"""Where details have their text, by type; streamed, it comes in pieces."""


class KeptReasoning:
    """The reasoning of one answer while it comes in, in one form."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._texts: list[str] = []
        self._details: list[dict[str, Any]] = []

    def add(self, delta: Delta) -> bool:
        """Keep what reasoning `delta` has; whether it has any."""
        if self._form == DETAILS:
            details = delta.reasoning_details
            entries = details if isinstance(details, list) else []
            for entry in entries:
                if isinstance(entry, dict):
                    self._add_detail(entry)
            return bool(entries)
        text = ""
        if self._form == CONTENT and isinstance(delta.reasoning_content, str):
            text = delta.reasoning_content
        elif self._form == THINKING and isinstance(delta.content, list):
            text = "".join(map(thinking_text, delta.content))
        self._texts.append(text)
        return bool(text)

    def state(self) -> bytes:
        """What the server needs to have back, as provider_state."""
        if self._form == DETAILS:
            text = msgspec.json.encode(mended(self._details)).decode()
        else:
            text = mend("".join(self._texts))
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


def given_back(form: str, state: bytes) -> Any:
    """The reasoning that `state` holds in its form; None if it holds none."""
    text = unpack(WIRE, state).get(form)
    if text is None or form != DETAILS:
        return text
    try:
        return _decode_details(text)
    except (ValueError, RecursionError):
        return None


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


_decode_details = msgspec.json.Decoder(list[dict[str, Any]]).decode
_decode_extra = msgspec.json.Decoder(dict[str, Any]).decode
