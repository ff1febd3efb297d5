"""Images made to fit, and left alone where they do."""

import os
from io import BytesIO

import pytest
from PIL import Image

from majordomo.chain.failure import Failure
from majordomo.media.images import MOST_PIXELS, ImageLimits, fit_images
from majordomo.v1.attempt_pb2 import FAILURE_REASON_UNSUPPORTED
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
    """The image afterwards, and what was said of it."""
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
    blob, told = await fitted(image(400, 200))

    assert "downscaled 400x200 to 100x50, image/png as image/jpeg" == told
    with Image.open(BytesIO(blob.data)) as made:
        assert ((100, 50), "JPEG") == (made.size, made.format)


async def test_transparency_stays() -> None:
    """As PNG, not on black."""
    blob, told = await fitted(image(400, 400, mode="RGBA"))

    assert ("image/png", "downscaled 400x400 to 100x100") == (blob.media_type, told)
    with Image.open(BytesIO(blob.data)) as made:
        assert made.has_transparency_data


async def test_a_photograph_stays_upright() -> None:
    """What the camera noted beside the pixels is done to them."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    blob, told = await fitted(image(400, 200, "JPEG", exif=exif), "image/jpeg")

    assert "downscaled 400x200 to 50x100" == told
    with Image.open(BytesIO(blob.data)) as made:
        assert (50, 100) == made.size


async def test_a_format_that_is_not_taken_is_rewritten() -> None:
    """And named."""
    blob, told = await fitted(image(10, 10, "BMP"), "image/bmp")

    assert ("image/jpeg", "image/bmp as image/jpeg") == (blob.media_type, told)


async def test_of_moving_images_the_first_is_taken() -> None:
    """And that is told."""
    out = BytesIO()
    frames = [Image.new("RGB", (200, 200), color) for color in ("red", "blue")]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])

    _, told = await fitted(out.getvalue(), "image/gif")

    assert told.endswith("the first of 2 frames")


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


async def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    """By the size that it claims."""
    bomb = bytearray(image(1, 1, "BMP"))
    bomb[18:26] = (30_000).to_bytes(4, "little") * 2

    with pytest.raises(Failure, match="30000x30000, more than 50 million") as refused:
        await fit_images(prompt(bytes(bomb), "image/bmp"), LIMITS)

    assert MOST_PIXELS < 30_000**2
    assert FAILURE_REASON_UNSUPPORTED == refused.value.reason


async def test_what_cannot_be_read() -> None:
    """In a format that the target takes it is the target's to judge."""
    asked = prompt(b"no image")

    made, adaptations = await fit_images(asked, LIMITS)

    assert (asked, []) == (made, adaptations)
    with pytest.raises(Failure, match="image/tiff that cannot be read"):
        await fit_images(prompt(b"no image", "image/tiff"), LIMITS)
