"""One image made smaller, in a process of its own: python -m majordomo.media.convert.

Images are made by anyone who wants to, and read by libraries in C, some of which do not
let go of the interpreter meanwhile. So each is read in a process that has no keys,
yields to the server, and dies of what is too much for it. Little of the server is
imported here: the process starts for each image.

The `Order` comes as JSON in the first argument, the image on standard input. On
standard output goes the `Outcome`, a line of JSON, and after it the new image.
"""

import json
import os
import resource
import sys
import warnings
from io import BytesIO

from PIL import Image, ImageOps, PngImagePlugin

from majordomo.media.order import Order, Outcome

READABLE = ("PNG", "JPEG", "GIF", "WEBP")
"""What Pillow may take an image for: formats that providers take. It knows many more,
some of which run other programs."""

_NICE = 5
_TEXT_MEMORY = 4 << 20
"""Bytes of texts in a PNG, unpacked; Pillow reads them though nobody asks."""

_QUALITY = 85
_SHRINKS = (1.0, 0.7, 0.5, 0.35, 0.25)
"""Of the edges, until the bytes are few enough."""


def convert(order: Order, data: bytes) -> tuple[Outcome, bytes]:
    """The image that `data` holds, as ordered. Total."""
    try:
        return _converted(order, data)
    except MemoryError:
        return Outcome(problem="an image that takes too much memory"), b""
    except Exception:  # Pillow raises all kinds, and so does what it calls
        return Outcome(problem=f"{order.media_type} that cannot be read"), b""


def _converted(order: Order, data: bytes) -> tuple[Outcome, bytes]:
    image: Image.Image = Image.open(BytesIO(data), formats=READABLE)
    before, frames = image.size, getattr(image, "n_frames", 1)
    edge = order.longest_edge
    image.draft(None, (edge, edge))  # a JPEG is decoded at a fraction already
    image.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    ImageOps.exif_transpose(image, in_place=True)
    kind, made, size = _written(image, order)
    if len(made) > order.most_bytes:
        problem = f"an image that {order.most_bytes} bytes cannot hold"
        return Outcome(problem=problem), b""
    words = []
    if size != before and size != before[::-1]:
        words.append(f"downscaled {before[0]}x{before[1]} to {size[0]}x{size[1]}")
    if kind != order.media_type:
        words.append(f"{order.media_type} as {kind}")
    if frames > 1:
        words.append(f"the first of {frames} frames")
    return Outcome(kind, ", ".join(words) or "written anew, smaller"), made


def _written(image: Image.Image, order: Order) -> tuple[str, bytes, tuple[int, int]]:
    """A media type, `image` in few enough bytes or the fewest possible, its size."""
    clear = image.has_transparency_data and "image/png" in order.formats
    kind = "image/png" if clear or "image/jpeg" not in order.formats else "image/jpeg"
    for shrink in _SHRINKS:
        size = (max(1, int(image.width * shrink)), max(1, int(image.height * shrink)))
        smaller = image if shrink == 1 else image.resize(size)
        out = BytesIO()
        if kind == "image/png":
            smaller.save(out, "PNG", optimize=False)
        else:
            plain = smaller if smaller.mode == "RGB" else smaller.convert("RGB")
            plain.save(out, "JPEG", quality=_QUALITY)
        if out.tell() <= order.most_bytes:
            break
    return kind, out.getvalue(), smaller.size


def _confine(order: Order) -> None:
    """Let what is read next take no more than it may."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CPU, (order.seconds, order.seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (order.memory, order.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    PngImagePlugin.MAX_TEXT_MEMORY = _TEXT_MEMORY
    Image.MAX_IMAGE_PIXELS = None  # who starts us has looked


def main() -> None:
    """Convert the image on standard input."""
    order = Order(*json.loads(sys.argv[1]))
    _confine(order)
    outcome, data = convert(order, sys.stdin.buffer.read())
    sys.stdout.buffer.write(json.dumps(outcome).encode() + b"\n" + data)


if __name__ == "__main__":
    main()
