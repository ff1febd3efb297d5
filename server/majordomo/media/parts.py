"""Where a prompt holds media."""

from collections.abc import Iterator

from majordomo.v1.content_pb2 import Part
from majordomo.v1.generation_service_pb2 import Prompt

_MEDIA = {"blob", "media_reference"}


def media_parts(prompt: Prompt) -> Iterator[tuple[str, Part]]:
    """Every part that is media, carried in the request or referred to; and its path."""
    for i, message in enumerate(prompt.messages):
        for j, part in enumerate(message.parts):
            kind = part.WhichOneof("kind")
            if kind in _MEDIA:
                yield f"prompt.messages[{i}].parts[{j}]", part
            elif kind == "tool_result":
                path = f"prompt.messages[{i}].parts[{j}].tool_result"
                for k, inner in enumerate(part.tool_result.parts):
                    if inner.WhichOneof("kind") in _MEDIA:
                        yield f"{path}.parts[{k}]", inner
