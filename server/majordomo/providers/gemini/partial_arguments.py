"""Arguments of a call that Vertex AI streams: values by their paths, in pieces."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,4})\]|\['([^']*)'\]")
"""A step of a path such as $.orders[0].name."""

_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class PartialArguments:
    """The arguments of one call, as far as they have come."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}

    def add(self, pieces: object) -> None:
        """Take `partialArgs` in; what cannot be read is passed over."""
        for piece in pieces if isinstance(pieces, list) else ():
            if not isinstance(piece, dict):
                continue
            steps = [
                int(index) if index else name or quoted
                for name, index, quoted in _STEP.findall(str(piece.get("jsonPath", "")))
            ]
            kind = next((kind for kind in _VALUES if kind in piece), None)
            if steps and kind is not None:
                value = None if kind == "nullValue" else piece[kind]
                _put(self._root, steps, value)

    def json(self) -> str:
        """All of it."""
        return msgspec.json.encode(self._root).decode()


def _put(container: Any, steps: Sequence[int | str], value: object) -> None:
    """Set the value at a path; to a text that is there already it is added."""
    for step, following in pairwise(steps):
        inner: Any = [] if isinstance(following, int) else {}
        container = _entry(container, step, inner)
        if container is None:
            return
    last = steps[-1]
    before = _entry(container, last, "" if isinstance(value, str) else None)
    if isinstance(before, str) and isinstance(value, str):
        value = before + value
    place: Any = last
    if isinstance(container, list if isinstance(last, int) else dict):
        container[place] = value


def _entry(container: Any, step: int | str, default: object) -> Any:
    """What is at `step`, put there if nothing is; None where there is no such place."""
    if isinstance(container, list) and isinstance(step, int):
        while len(container) <= step:
            container.append(default if len(container) == step else None)
        return container[step]
    if isinstance(container, dict):
        return container.setdefault(str(step), default)
    return None
