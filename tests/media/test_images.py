"""Images made to fit, and left alone where they do."""

import asyncio
import os
import signal
import struct
import zlib
from asyncio.subprocess import Process
from collections.abc import Hashable
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from majordomo.chain.failure import Failure
from majordomo.media import images
from majordomo.media.convert import convert
from majordomo.media.images import ImageLimits, fit_images
from majordomo.media.order import Order
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONCURRENCY_LIMIT,
    FAILURE_REASON_UNSUPPORTED,
)
from majordomo.v1.content_pb2 import (
    ROLE_TOOL,
    ROLE_USER,
    Blob,
    Message,
    Part,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import Adaptation, Prompt

LIMITS = ImageLimits(longest_edge=100, most_bytes=40_000)
PATH = "prompt.messages[0].parts[0]"


def image(
    width: int, height: int, kind: str = "PNG", mode: str = "RGB", **save: object
) -> bytes:
    out = BytesIO()
    Image.new(mode, (width, height), 128).save(out, kind, **save)
    return out.getvalue()


def noise(edge: int) -> bytes:
    """A PNG that does not compress."""
    out = BytesIO()
    Image.frombytes("RGB", (edge, edge), os.urandom(edge * edge * 3)).save(out, "PNG")
    return out.getvalue()


def prompt(data: bytes, media_type: str = "image/png") -> Prompt:
    part = Part(blob=Blob(media_type=media_type, data=data))
    return Prompt(messages=[Message(role=ROLE_USER, parts=[part])])


async def fitted(data: bytes, media_type: str = "image/png") -> tuple[Blob, str]:
    """The image afterwards, and what was reported of it."""
    asked = prompt(data, media_type)
    before = asked.SerializeToString()
    made, adaptations = await fit_images(asked, LIMITS)
    assert before == asked.SerializeToString(), "the caller's own was changed"
    assert [PATH] == [adaptation.field for adaptation in adaptations]
    return made.messages[0].parts[0].blob, adaptations[0].description


async def test_what_fits_is_not_touched() -> None:
    """The very prompt is passed on."""
    asked = prompt(image(100, 50))

    made, adaptations = await fit_images(asked, LIMITS)

    assert asked is made
    assert [] == adaptations


async def test_a_large_image_is_scaled_down() -> None:
    """Its sides keep their proportion."""
    blob, reported = await fitted(image(400, 200))

    assert "downscaled 400x200 to 100x50, image/png as image/jpeg" == reported
    with Image.open(BytesIO(blob.data)) as made:
        assert ((100, 50), "JPEG") == (made.size, made.format)


async def test_transparency_stays() -> None:
    """As PNG, not on black."""
    blob, reported = await fitted(image(400, 400, mode="RGBA"))

    assert ("image/png", "downscaled 400x400 to 100x100") == (blob.media_type, reported)
    with Image.open(BytesIO(blob.data)) as made:
        assert made.has_transparency_data


async def test_a_photograph_stays_upright() -> None:
    """What the camera noted beside the pixels is done to them."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    blob, reported = await fitted(image(400, 200, "JPEG", exif=exif), "image/jpeg")

    assert "downscaled 400x200 to 50x100" == reported
    with Image.open(BytesIO(blob.data)) as made:
        assert (50, 100) == made.size


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
async def test_a_format_that_is_not_taken_is_rewritten(kind: str) -> None:
    """And named."""
    limits = ImageLimits(formats=frozenset({"image/jpeg"}))
    asked = prompt(image(10, 10, kind), f"image/{kind.lower()}")

    made, (adaptation,) = await fit_images(asked, limits)

    assert f"image/{kind.lower()} as image/jpeg" == adaptation.description
    blob = made.messages[0].parts[0].blob
    assert "image/jpeg" == blob.media_type
    with Image.open(BytesIO(blob.data)) as written:
        assert ("JPEG", (10, 10)) == (written.format, written.size)


async def test_of_moving_images_the_first_is_taken() -> None:
    """And that is reported."""
    out = BytesIO()
    frames = [Image.new("RGB", (200, 200), color) for color in ("red", "blue")]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])

    _, reported = await fitted(out.getvalue(), "image/gif")

    assert reported.endswith("the first of 2 frames")


async def test_too_many_bytes_are_written_anew() -> None:
    """Without scaling where that will do."""
    blob, _ = await fitted(noise(120))

    assert len(blob.data) <= LIMITS.most_bytes


async def test_images_in_tool_results_are_fitted_too() -> None:
    """With their own path."""
    inner = Part(blob=Blob(media_type="image/png", data=image(200, 200)))
    result = Part(tool_result=ToolResult(tool_call_id="1", parts=[inner]))
    asked = Prompt(messages=[Message(role=ROLE_TOOL, parts=[result])])

    made, adaptations = await fit_images(asked, LIMITS)

    assert [
        Adaptation(
            field=f"{PATH}.tool_result.parts[0]",
            description="downscaled 200x200 to 100x100, image/png as image/jpeg",
        )
    ] == adaptations
    fitted = made.messages[0].parts[0].tool_result.parts[0].blob
    assert "image/jpeg" == fitted.media_type


async def refused(data: bytes, media_type: str = "image/png", **limits: Any) -> str:
    """Why an image cannot be made to fit, without the field that it is in."""
    with pytest.raises(Failure) as caught:
        await fit_images(prompt(data, media_type), replace(LIMITS, **limits))
    assert FAILURE_REASON_UNSUPPORTED == caught.value.reason
    assert caught.value.message.startswith(f"{PATH}: ")
    return caught.value.message.removeprefix(f"{PATH}: ")


@pytest.mark.rule("6.6")
async def test_a_bomb_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the size that it claims; no process is started for it."""
    monkeypatch.setattr(images, "_converted", None)
    bomb = bytearray(image(1, 1))
    bomb[16:24] = (30_000).to_bytes(4, "big") * 2
    webp = bytearray(image(1, 1, "WEBP", lossless=True))
    webp[21:25] = (5000 | 5000 << 14).to_bytes(4, "little")

    reported = await refused(bytes(bomb))
    told_of_webp = await refused(bytes(webp), "image/webp")

    assert "an image of 30000x30000, more than 50 million pixels" == reported
    assert "an image of 5001x5001, more than 16 million pixels" == told_of_webp


@pytest.mark.rule("6.6")
async def test_what_no_provider_takes_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """EPS would run Ghostscript, PSD and the others their own bugs."""
    monkeypatch.setattr(images, "_converted", None)
    for kind in ("BMP", "EPS", "ICO", "PCX", "PPM", "SGI", "TGA", "TIFF"):
        data = image(10, 10, kind)
        name = f"image/{kind.lower()}"

        formats = "image/gif, image/jpeg, image/png, image/webp"
        assert f"{name}; it takes {formats}" == await refused(data, name)
        reported = await refused(data, formats=frozenset({"image/jpeg"}))
        assert "image/png that cannot be read" == reported


def test_pillow_is_told_what_it_may_take_an_image_for() -> None:
    """The four formats, and no other that it knows."""
    order = Order("image/png", ["image/png"], 100, 10_000, 1, 1)
    for kind in ("BMP", "EPS", "PPM", "TIFF"):
        outcome, data = convert(order, image(200, 10, kind))

        assert ("image/png that cannot be read", b"") == (outcome.problem, data)
    for kind in ("PNG", "GIF", "JPEG", "WEBP"):
        assert "" == convert(order, image(200, 10, kind))[0].problem


async def test_what_cannot_be_read() -> None:
    """In a format that the target takes it is the target's to judge."""
    asked = prompt(b"no image")

    made, adaptations = await fit_images(asked, LIMITS)

    assert (asked, []) == (made, adaptations)
    assert "image/png that cannot be read" == await refused(b"no" * 30_000)
    cut = image(400, 400, "JPEG")[:-100]
    assert "image/jpeg that cannot be read" == await refused(cut, "image/jpeg")


@pytest.mark.rule("6.6")
async def test_texts_in_a_png_are_bounded() -> None:
    """However small they are packed; what is sent on untouched is not looked into."""
    data = with_texts(400)

    reported = await refused(data, longest_edge=10)
    asked = prompt(data)

    assert "image/png that cannot be read" == reported
    assert (asked, []) == await fit_images(asked, replace(LIMITS, most_bytes=1 << 20))


def with_texts(count: int) -> bytes:
    """A PNG with so many texts of a megabyte each, packed to a kilobyte."""
    data = b"key\0\0" + zlib.compress(bytes(1 << 20), 9)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + data))
    plain = image(100, 100)
    return plain[:33] + count * chunk + plain[33:]


@pytest.mark.rule("6.6")
async def test_what_takes_too_much_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory, or the processor's time; a process that dies of it is no bug of ours."""
    large = image(4000, 4000, mode="RGBA")

    with monkeypatch.context() as patch:
        patch.setattr(images, "MOST_MEMORY", 64 << 20)
        too_large = await refused(large)
    with monkeypatch.context() as patch:
        patch.setattr(images, "MOST_SECONDS", 0)
        too_long = await refused(large)

    assert "an image that takes too much memory" == too_large
    assert "an image that takes too long" == too_long
    assert [] == caplog.records


async def test_the_process_knows_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads images of strangers has nothing to tell them."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.setenv("PYTHONHASHSEED", "7")

    assert "sk-canary" not in str(images._environment())
    assert "7" == images._environment()["PYTHONHASHSEED"]


@pytest.mark.rule("6.6")
async def test_an_image_is_made_once_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all targets that take the same; a refusal is kept as well."""
    orders: list[ImageLimits] = []
    convert = images._converted

    async def counted(blob: Blob, limits: ImageLimits) -> Any:
        orders.append(limits)
        return await convert(blob, limits)

    monkeypatch.setattr(images, "_converted", counted)
    other = replace(LIMITS, longest_edge=50)
    good, bad = prompt(image(200, 200)), prompt(image(200, 200)[:60])
    kept: dict[Hashable, Any] = {}
    kept_bad: dict[Hashable, Any] = {}

    made = [await fit_images(good, limits, "c", kept) for limits in [LIMITS, other] * 2]
    for _ in range(3):
        with pytest.raises(Failure):
            await fit_images(bad, LIMITS, "c", kept_bad)
    await fit_images(good, LIMITS)

    assert [LIMITS, other, LIMITS, LIMITS] == orders
    assert made[:2] == made[2:]
    assert made[0] != made[1]


async def test_images_that_wait_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is passed over, for a reason that may pass."""
    monkeypatch.setattr(images, "_PATIENCE", 0.05)
    asked = prompt(image(200, 200))
    async with images._turns.turn("the same"):
        with pytest.raises(Failure, match="too much to do") as caught:
            await fit_images(asked, LIMITS, "the same")
    monkeypatch.undo()

    assert FAILURE_REASON_CONCURRENCY_LIMIT == caught.value.reason
    assert PATH in caught.value.message
    assert 1 == len((await fit_images(asked, LIMITS, "the same"))[1])


async def test_a_call_that_ends_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing goes on for nobody."""
    started: asyncio.Queue[Process] = asyncio.Queue()
    start = asyncio.create_subprocess_exec

    async def watched(*arguments: Any, **named: Any) -> Process:
        process = await start(*arguments, **named)
        started.put_nowait(process)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)
    asked = prompt(image(4000, 4000, mode="RGBA"))
    fitting = asyncio.ensure_future(fit_images(asked, LIMITS, "gone"))
    process = await started.get()
    fitting.cancel()
    await asyncio.wait({fitting})

    assert fitting.cancelled()
    assert -signal.SIGKILL == process.returncode
    assert 1 == len((await fit_images(asked, LIMITS, "gone"))[1])
