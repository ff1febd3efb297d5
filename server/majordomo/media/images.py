"""Images made to fit what a target takes: its formats, its largest edge, its bytes.

What fits is passed on untouched, byte for byte. The rest is decoded and written anew,
in threads of its own, within bounds of pixels: a small file may unpack to gigabytes.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageOps

from majordomo.chain.failure import Failure
from majordomo.v1.attempt_pb2 import FAILURE_REASON_UNSUPPORTED
from majordomo.v1.content_pb2 import Blob, Part
from majordomo.v1.generation_service_pb2 import Adaptation, Prompt

MOST_PIXELS = 50_000_000
"""Of an image that is decoded: 200 MB."""

_WORKERS = 2
_QUALITY = 85
_SHRINKS = (1.0, 0.7, 0.5, 0.35, 0.25)
"""Of the edges, until the bytes are few enough."""

_pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="majordomo-images")

# The bound is ours, and told to the caller; Pillow's would warn on stderr.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a target takes."""

    formats: frozenset[str] = frozenset(
        {"image/png", "image/jpeg", "image/gif", "image/webp"}
    )
    """IANA media types."""

    longest_edge: int = 8000
    """Pixels."""

    most_bytes: int = 20 << 20
    """Bytes of one image, before base64."""


async def fit_images(
    prompt: Prompt, limits: ImageLimits
) -> tuple[Prompt, list[Adaptation]]:
    """`prompt` with every image within `limits`, and what was changed.

    The prompt itself is returned where nothing was. Raises Failure (UNSUPPORTED) for
    an image that cannot be read in a format that the target does not take, and for
    one of too many pixels.
    """
    changed: list[tuple[str, bytes, str, str]] = []
    for path, part in _images(prompt):
        blob = part.blob
        if _fits(blob, limits):
            continue
        loop = asyncio.get_running_loop()
        data, media_type, description = await loop.run_in_executor(
            _pool, _convert, blob.data, blob.media_type, limits, path
        )
        if description:
            changed.append((path, data, media_type, description))
    if not changed:
        return prompt, []
    fitted = Prompt()
    fitted.CopyFrom(prompt)
    parts = dict(_images(fitted))
    for path, data, media_type, _ in changed:
        parts[path].blob.data = data
        parts[path].blob.media_type = media_type
    return fitted, [
        Adaptation(field=path, description=description)
        for path, _, _, description in changed
    ]


def _images(prompt: Prompt) -> list[tuple[str, Part]]:
    """Every image in `prompt` that is carried in the request, with its path."""
    found = []
    for i, message in enumerate(prompt.messages):
        for j, part in enumerate(message.parts):
            if part.HasField("tool_result"):
                path = f"prompt.messages[{i}].parts[{j}].tool_result"
                found += [
                    (f"{path}.parts[{k}]", inner)
                    for k, inner in enumerate(part.tool_result.parts)
                    if _is_image(inner)
                ]
            elif _is_image(part):
                found.append((f"prompt.messages[{i}].parts[{j}]", part))
    return found


def _is_image(part: Part) -> bool:
    return part.HasField("blob") and part.blob.media_type.startswith("image/")


def _fits(blob: Blob, limits: ImageLimits) -> bool:
    """Told from the first bytes; what cannot be read is the target's to judge."""
    if blob.media_type not in limits.formats or len(blob.data) > limits.most_bytes:
        return False
    try:
        with Image.open(BytesIO(blob.data)) as image:
            return max(image.size) <= limits.longest_edge
    except (OSError, ValueError, SyntaxError):
        return True


def _convert(
    data: bytes, media_type: str, limits: ImageLimits, path: str
) -> tuple[bytes, str, str]:
    """The image within `limits`, its media type, and what was done to it."""
    try:
        image: Image.Image = Image.open(BytesIO(data))
        if image.width * image.height > MOST_PIXELS:
            raise _unsupported(
                path,
                f"an image of {image.width}x{image.height}, more than "
                f"{MOST_PIXELS // 1_000_000} million pixels",
            )
        before, frames = image.size, getattr(image, "n_frames", 1)
        edge = limits.longest_edge
        image.draft(None, (edge, edge))  # a JPEG is decoded at a fraction already
        image = ImageOps.exif_transpose(image)
        image.thumbnail((edge, edge), Image.Resampling.LANCZOS)
        data, kind, size = _written(image, limits, path)
    except (OSError, ValueError, SyntaxError) as error:
        raise _unsupported(path, f"{media_type} that cannot be read") from error
    words = []
    if size != before and size != before[::-1]:
        words.append(f"downscaled {before[0]}x{before[1]} to {size[0]}x{size[1]}")
    if kind != media_type:
        words.append(f"{media_type} as {kind}")
    if frames > 1:
        words.append(f"the first of {frames} frames")
    return data, kind, ", ".join(words) or "written anew, smaller"


def _written(
    image: Image.Image, limits: ImageLimits, path: str
) -> tuple[bytes, str, tuple[int, int]]:
    """`image` in few enough bytes, its media type and its size."""
    clear = image.has_transparency_data and "image/png" in limits.formats
    kind = "image/png" if clear or "image/jpeg" not in limits.formats else "image/jpeg"
    for shrink in _SHRINKS:
        size = (max(1, int(image.width * shrink)), max(1, int(image.height * shrink)))
        smaller = image if shrink == 1 else image.resize(size)
        out = BytesIO()
        if kind == "image/png":
            smaller.save(out, "PNG", optimize=False)
        else:
            smaller.convert("RGB").save(out, "JPEG", quality=_QUALITY)
        if out.tell() <= limits.most_bytes:
            return out.getvalue(), kind, smaller.size
    raise _unsupported(path, f"an image that {limits.most_bytes} bytes cannot hold")


def _unsupported(path: str, problem: str) -> Failure:
    return Failure(FAILURE_REASON_UNSUPPORTED, f"{path}: {problem}")
