"""The size of an image, reported from its first bytes."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from majordomo.media.size import size


def image(
    kind: str, edges: tuple[int, int], mode: str = "RGB", **save: object
) -> bytes:
    out = BytesIO()
    Image.new(mode, edges, 1).save(out, kind, **save)
    return out.getvalue()


KINDS: list[tuple[str, str, dict[str, Any]]] = [
    ("PNG", "RGB", {}),
    ("PNG", "RGBA", {"interlace": 1}),
    ("GIF", "P", {}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGB", {"lossless": True}),
    ("WEBP", "RGBA", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}),
    ("JPEG", "RGB", {}),
    ("JPEG", "L", {"progressive": True, "comment": b"c" * 60_000}),
    ("JPEG", "RGB", {"icc_profile": b"p" * 300_000}),
]
EDGES = [(1, 1), (1, 300), (16383, 1), (640, 480)]
IMAGES = [
    (edges, image(kind, edges, mode, **save))
    for edges in EDGES
    for kind, mode, save in KINDS
]


def test_it_is_what_pillow_reads() -> None:
    """Of each format in each of its forms, upright or not."""
    for edges, data in IMAGES:
        assert edges == size(data), data[:40]
        assert Image.open(BytesIO(data)).size == edges


def test_filling_between_segments() -> None:
    """Any number of FF may stand before a marker."""
    data = image("JPEG", (30, 20))

    assert (30, 20) == size(data[:2] + b"\xff" * 9 + data[2:])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        b"\xff\xd8\xff",
        b"\xff\xd8" + b"\xff" * 1000,
        b"\xff\xd8" + b"\xff\xe0\0\0" * 100_000,
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"RIFF\0\0\0\0WEBPVP8L" + bytes(20),
        image("TIFF", (3, 3)),
    ],
    ids=range(8),
)
def test_what_is_none(data: bytes) -> None:
    """Another format, or one that ends before it has reported; whatever it is, at
    once."""
    assert size(data) is None


def test_of_what_is_cut_it_is_known_or_not() -> None:
    """Never something else, and nothing is raised."""
    for edges, data in IMAGES:
        reported = {size(data[:length]) for length in range(min(len(data), 2000))}

        assert reported <= {None, edges}
