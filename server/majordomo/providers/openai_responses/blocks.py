"""Items that OpenAI alone can read, and the images that it draws; and back.

Such are what became of tools that OpenAI runs, compactions, items of MCP, and whatever
is newer than this server.
"""

from base64 import b64encode
from typing import Any

from majordomo.codec.json_text import repair
from majordomo.codec.media import Media, from_base64
from majordomo.codec.opaque import given_back
from majordomo.v1.content_pb2 import Part

WIRE = "openai-responses"
"""The name of this wire in provider_state."""

IMAGE = "image_generation_call"
"""The type of an item that is an image."""

_REFUSED = frozenset(
    {
        "message",
        "function_call",
        "function_call_output",
        "reasoning",
        "item_reference",
        "additional_tools",
        "configuration_update",
        "compaction_trigger",
        IMAGE,
    }
)
"""Types of items that are of the contract's own kinds, or that only callers send."""

_FORMATS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


def image(item: dict[str, Any]) -> Media:
    """The image that an item is. Raises ValueError."""
    type_ = _FORMATS.get(str(item.get("output_format")), "")
    return from_base64(item.get("result"), type_)


def image_state(item: dict[str, Any]) -> dict[str, str]:
    """What of an image's item is kept beside the image."""
    id_ = item.get("id")
    return {"image": repair(id_)} if isinstance(id_, str) and id_ else {}


def own_item(part: Part, state: dict[str, str]) -> dict[str, Any] | None:
    """The item that a part was; None if it may not go back."""
    if "image" in state and part.HasField("blob"):
        result = b64encode(part.blob.data).decode()
        known = {"type": IMAGE, "id": state["image"], "status": "completed"}
        return {**known, "result": result}
    return given_back(WIRE, part, _REFUSED)
