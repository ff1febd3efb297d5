"""Images made to fit what a target takes: its formats, its largest edge, its bytes.

What fits is passed on untouched, byte for byte, and only the bytes that tell its size
are looked at. The rest is decoded and written again by `media.convert`, a process for
each image. Callers take turns, and what was made is kept for a call's next target.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from majordomo.chain.failure import Failure
from majordomo.media.kind import media_type
from majordomo.media.order import Order, Outcome
from majordomo.media.parts import media_parts
from majordomo.media.size import size
from majordomo.media.turns import Turns
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONCURRENCY_LIMIT,
    FAILURE_REASON_UNSUPPORTED,
)
from majordomo.v1.content_pb2 import Blob, Part
from majordomo.v1.generation_service_pb2 import Adaptation, Prompt

READABLE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Media types that can be made into another: those that most providers take."""

MOST_PIXELS = 50_000_000
"""Of an image that is decoded: 200 MB."""

_MOST_PIXELS_OF_WEBP = 16_000_000
"""libwebp takes four times the memory."""

MOST_SECONDS = 10
"""Of the processor's time, to make one image."""

MOST_MEMORY = 384 << 20
"""Bytes, to make one image; the interpreter and its libraries among them."""

AT_ONCE = 2
"""Images in the making; by a caller one."""

_PATIENCE = 60.0
"""Seconds that the images of a call may take for one target, turns waited for among
them."""

_log = logging.getLogger("majordomo")
_turns = Turns(AT_ONCE)


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a target takes."""

    formats: frozenset[str] = READABLE
    """IANA media types."""

    longest_edge: int = 8000
    """Pixels."""

    most_bytes: int = 20 << 20
    """Bytes of one image, before base64."""


class _Made(NamedTuple):
    """What was made of an image; None in its place for one that can only be refused."""

    blob: Blob | None
    words: str
    """What was done to it, or why nothing can be."""


def named_rightly(prompt: Prompt) -> tuple[Prompt, list[Adaptation]]:
    """`prompt` with all its media named as what its bytes are, and what was changed.

    The prompt itself is returned where nothing was.
    """
    wrong = {
        path: type_
        for path, part in media_parts(prompt)
        if part.HasField("blob")
        and (type_ := media_type(part.blob.media_type, part.blob.data))
        != part.blob.media_type
    }
    if not wrong:
        return prompt, []
    named = Prompt()
    named.CopyFrom(prompt)
    for path, part in media_parts(named):
        if path in wrong:
            part.blob.media_type = wrong[path]
    return named, [
        Adaptation(field=path, description=f"sent as {type_}, which its bytes are")
        for path, type_ in wrong.items()
    ]


async def fit_images(
    prompt: Prompt,
    limits: ImageLimits,
    caller: str = "",
    kept: dict[Hashable, Any] | None = None,
) -> tuple[Prompt, list[Adaptation]]:
    """`prompt` with every image within `limits`, and what was changed.

    The prompt itself is returned where nothing was. `kept` holds what was made of this
    prompt's images before, for a target that takes the same. Raises Failure:
    UNSUPPORTED for an image that cannot be made to fit, CONCURRENCY_LIMIT where there
    is no time or no process for it.
    """
    unfit = {path: part for path, part in _images(prompt) if not _fits(part, limits)}
    if not unfit:
        return prompt, []
    fitted = Prompt()
    fitted.CopyFrom(prompt)
    parts = dict(_images(fitted))
    adaptations = []
    kept = {} if kept is None else kept
    end = asyncio.get_running_loop().time() + _PATIENCE
    for path, part in unfit.items():
        key = ("image", path, limits)
        if key not in kept:
            try:
                async with asyncio.timeout_at(end):
                    kept[key] = await _made(part.blob, limits, caller)
            except TimeoutError:
                problem = f"{path}: too much to do at images for {_PATIENCE:g} s"
                raise Failure(FAILURE_REASON_CONCURRENCY_LIMIT, problem) from None
        made: _Made = kept[key]
        if made.blob is None:
            raise Failure(FAILURE_REASON_UNSUPPORTED, f"{path}: {made.words}")
        parts[path].blob.CopyFrom(made.blob)
        adaptations.append(Adaptation(field=path, description=made.words))
    return fitted, adaptations


def _images(prompt: Prompt) -> Iterator[tuple[str, Part]]:
    """Every image in `prompt` that is carried in the request, with its path."""
    for path, part in media_parts(prompt):
        if part.blob.media_type.startswith("image/"):
            yield path, part


def _fits(part: Part, limits: ImageLimits) -> bool:
    """Known from the first bytes; what cannot be read is the target's to judge."""
    blob = part.blob
    if blob.media_type not in limits.formats or len(blob.data) > limits.most_bytes:
        return False
    edges = size(blob.data)
    return edges is None or max(edges) <= limits.longest_edge


async def _made(blob: Blob, limits: ImageLimits, caller: str) -> _Made:
    """`blob` within `limits`; what is refused without a look takes nobody's turn."""
    if blob.media_type not in READABLE:
        return _Made(None, f"{blob.media_type}; it takes {_named(limits)}")
    edges = size(blob.data)
    if edges is None:
        return _Made(None, f"{blob.media_type} that cannot be read")
    webp = blob.data[8:12] == b"WEBP"
    most = _MOST_PIXELS_OF_WEBP if webp else MOST_PIXELS
    width, height = edges
    if width * height > most:
        return _Made(
            None,
            f"an image of {width}x{height}, more than {most // 1_000_000} million "
            f"pixels",
        )
    async with _turns.turn(caller):
        return await _converted(blob, limits)


async def _converted(blob: Blob, limits: ImageLimits) -> _Made:
    """What a process of its own makes of the image."""
    order = Order(
        blob.media_type,
        sorted(limits.formats),
        limits.longest_edge,
        limits.most_bytes,
        MOST_SECONDS,
        MOST_MEMORY,
    )
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "majordomo.media.convert"),
            json.dumps(order),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=_environment(),
        )
    except OSError as error:
        raise Failure(
            FAILURE_REASON_CONCURRENCY_LIMIT, "this server can start no process"
        ) from error
    try:
        reported, _ = await process.communicate(blob.data)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == -signal.SIGXCPU:
        return _Made(None, "an image that takes too long")
    if process.returncode:
        _log.error("the process for an image ended with %d", process.returncode)
        return _Made(None, f"{blob.media_type} that cannot be read")
    head, _, data = reported.partition(b"\n")
    outcome = Outcome(*json.loads(head))
    if outcome.problem:
        return _Made(None, outcome.problem)
    return _Made(Blob(media_type=outcome.media_type, data=data), outcome.description)


def _environment() -> dict[str, str]:
    """What a Python needs to find itself; keys stay here."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PYTHON", "LD_", "DYLD_"))
    }


def _named(limits: ImageLimits) -> str:
    return ", ".join(sorted(limits.formats))
