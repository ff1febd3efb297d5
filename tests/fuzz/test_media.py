"""Images and URLs of every kind, bent: fitted, or refused with their field."""

import asyncio
import random
from contextlib import suppress
from io import BytesIO

import httpx
import pytest
from PIL import Image

from majordomo.chain.failure import Failure
from majordomo.media.convert import convert
from majordomo.media.images import ImageLimits, fit_images
from majordomo.media.order import Order
from majordomo.media.references import MediaHosts
from majordomo.media.size import size
from majordomo.v1.attempt_pb2 import FAILURE_REASON_UNSUPPORTED
from majordomo.v1.content_pb2 import ROLE_USER, Blob, MediaReference, Message, Part
from majordomo.v1.generation_service_pb2 import Prompt
from tests.fuzz.mutations import SECONDS, hammer, mutations

KINDS = ("PNG", "JPEG", "GIF", "WEBP")
STRANGERS = ("BMP", "EPS", "ICO", "PCX", "PPM", "SGI", "TGA", "TIFF", "DDS", "JPEG2000")
ORDER = Order("image/png", ["image/png", "image/jpeg"], 20, 4000, 10, 1 << 30)
LIMITS = ImageLimits(frozenset({"image/png", "image/jpeg"}), 20, 4000)
PATH = "prompt.messages[0].parts[0]"


def image(kind: str, mode: str = "RGB", **save: object) -> bytes:
    out = BytesIO()
    picture = Image.linear_gradient("L").resize((40, 30)).convert(mode)
    picture.save(out, kind, **save)
    return out.getvalue()


def moving(kind: str) -> bytes:
    out = BytesIO()
    frames = [Image.new("RGB", (40, 30), color) for color in ("red", "blue")]
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    return out.getvalue()


def images() -> list[bytes]:
    """Each format in many of its forms, with what may stand beside the pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    made = [image(kind, exif=exif.tobytes()) for kind in ("PNG", "JPEG", "WEBP")]
    made += [image("PNG", mode) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")]
    made += [image("JPEG", mode, progressive=True) for mode in ("L", "CMYK")]
    made += [image("WEBP", "RGBA", lossless=True), image("GIF", "P")]
    made += [image("PNG", icc_profile=b"p" * 300), image("JPEG", icc_profile=b"p" * 99)]
    made += [moving(kind) for kind in ("PNG", "GIF", "WEBP")]
    return made + [image(kind) for kind in (*KINDS, *STRANGERS)]


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")  # the process ignores them too
def test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image within the limits, or a problem; whatever it is, in bounded memory."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)

    def attempt(data: bytes, dice: random.Random) -> None:
        edges = size(data)
        assert edges is None or min(edges) >= 0
        outcome, made = convert(
            ORDER._replace(longest_edge=dice.choice([20, 99])), data
        )
        assert bool(made) != bool(outcome.problem)
        if made:
            assert len(made) <= ORDER.most_bytes
            assert outcome.media_type in ORDER.formats
            with Image.open(BytesIO(made), formats=["PNG", "JPEG"]) as read:
                read.load()
                assert max(read.size) <= 99

    assert hammer(images(), attempt) > 10


@pytest.mark.timeout(300)
async def test_images_in_their_process() -> None:
    """Through the process that makes them: fitted, or UNSUPPORTED with the field."""
    dice = random.Random(2026 if SECONDS <= 1 else None)
    end = asyncio.get_running_loop().time() + SECONDS
    for data in mutations(images(), dice):
        part = Part(blob=Blob(media_type=f"image/{dice.choice(['png', 'gif', 'x'])}"))
        part.blob.data = data
        asked = Prompt(messages=[Message(role=ROLE_USER, parts=[part])])
        try:
            made, _ = await fit_images(asked, LIMITS)
        except Failure as failure:
            reported = failure
        else:
            blob = made.messages[0].parts[0].blob
            assert blob.media_type in LIMITS.formats
            assert len(blob.data) <= LIMITS.most_bytes
            continue
        assert reported.message.startswith(f"{PATH}: ")
        assert FAILURE_REASON_UNSUPPORTED == reported.reason
        if asyncio.get_running_loop().time() > end:
            break


@pytest.mark.timeout(300)
def test_urls() -> None:
    """What goes on is at the host that is named, as others read URLs too."""
    seeds = [
        b"https://example.com/a.png?b=c#d",
        b"https://user:pass@example.com:8443/",
        b"https://[::ffff:10.0.0.1]/x",
        b"https://10.0.0.1/",
        b"https://cdn.example.com\\@evil.example/",
        b"http://EXAMPLE.com%2eevil.example/",
    ]
    named = MediaHosts(frozenset({"example.com"}), others=False)

    def attempt(data: bytes, dice: random.Random) -> None:
        url = data.decode(errors="replace")
        parts = [(PATH, Part(media_reference=MediaReference(uri=url)))]
        with suppress(Failure):
            MediaHosts().check(parts)
        try:
            named.check(parts)
        except Failure:
            return
        host = httpx.URL(url).host.rstrip(".")
        assert host == "example.com" or host.endswith(".example.com")

    assert hammer(seeds, attempt) > 10
