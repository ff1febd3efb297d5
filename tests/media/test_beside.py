"""A healthy caller beside one whose images are made to harm."""

import asyncio
import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from majordomo.v1.content_pb2 import ROLE_USER, Blob, Message, Part
from majordomo.v1.generation_service_pb2 import Call, GenerateRequest, Prompt
from testkit.servers import generate, running
from testkit.upstream import Upstream, completion, serve

CALLS = 2
IMAGES = 2
GOOD = 20
"""Calls that are answered at least beside the attack."""


def webp() -> bytes:
    """A hundred bytes that hold the interpreter for as long as they are unpacked."""
    out = BytesIO()
    image = Image.new("RGBA", (8100, 400), (1, 2, 3, 4))
    image.save(out, "WEBP", lossless=True, method=0)
    return out.getvalue()


def texts() -> bytes:
    """A PNG of 260 KB that would unpack to 250 MB of texts."""
    out = BytesIO()
    Image.new("RGB", (8100, 1)).save(out, "PNG")
    plain = out.getvalue()
    data = b"key\0\0" + zlib.compress(bytes(1 << 20), 9)
    check = zlib.crc32(b"zTXt" + data)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", check)
    return plain[:33] + 250 * chunk + plain[33:]


@pytest.mark.rule("6.6")
@pytest.mark.parametrize(
    ("media_type", "data", "code"),
    [
        ("image/webp", webp(), "OK"),
        ("image/png", texts(), "INVALID_ARGUMENT"),
    ],
    ids=["webp", "texts"],
)
async def test_others_are_answered_meanwhile(
    media_type: str, data: bytes, code: str
) -> None:
    """While images are in the making, or are refused."""
    part = Part(blob=Blob(media_type=media_type, data=data))
    message = Message(role=ROLE_USER, parts=[part] * IMAGES)
    attack = GenerateRequest(
        call=Call(chain="acme/m", prompt=Prompt(messages=[message]))
    )
    async with Upstream(serve(completion("here"))) as upstream:
        config = f"""
        [providers.acme]
        kind = "openai-compatible"
        base_url = "{upstream.url}"
        """
        async with running(config) as it:
            attacks = {
                asyncio.ensure_future(it.generation.Generate(attack).code())
                for _ in range(CALLS)
            }
            good = 0
            while not all(call.done() for call in attacks):
                await it.generation.Generate(generate("acme/m"))
                good += 1
            codes = [call.result().name for call in attacks]

    assert [code] * CALLS == codes
    assert good >= GOOD
