"""Callers whose HTTP/2 no library would send: frames made by hand (RFC 9113, 7541)."""

import asyncio
import struct

import pytest

from testkit.servers import generate, running
from testkit.upstream import PATIENCE
from tests.faults.matrix import fault
from tests.faults.scene import ask

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS = 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        struct.pack(">I", len(payload))[1:]
        + struct.pack(">BBI", kind, flags, stream)
        + payload
    )


def packed(fields: list[tuple[bytes, bytes]]) -> bytes:
    """Header fields as literals that nothing is remembered of."""
    return b"".join(
        b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
        for name, value in fields
    )


def call(more: list[tuple[bytes, bytes]]) -> bytes:
    """A connection's bytes with a Generate call, its header fields and `more`."""
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/majordomo.v1.GenerationService/Generate"),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *more,
    ]
    message = generate("acme/echo").SerializeToString()
    body = struct.pack(">BI", 0, len(message)) + message
    return (
        PREFACE
        + frame(SETTINGS, 0, 0, b"")
        + frame(HEADERS, END_HEADERS, 1, packed(fields))
        + frame(DATA, END_STREAM, 1, body)
    )


async def outcome(address: str, data: bytes) -> str:
    """Send `data`; how the server ended the call: a status, a reset, or the end."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(data)
            while True:
                head = await reader.readexactly(9)
                kind, flags = head[3], head[4]
                await reader.readexactly(int.from_bytes(head[:3]))
                if kind == HEADERS and flags & END_STREAM:
                    return "status"
                if kind == RESET:
                    return "reset"
                if kind == GOAWAY:
                    return "end"
    except (asyncio.IncompleteReadError, ConnectionError):
        return "end"
    finally:
        writer.close()


@fault(61)
@pytest.mark.parametrize(
    "more",
    [
        pytest.param([], id="nothing odd"),
        pytest.param([(b"x-odd", b"\xff\xfe\xc3\x28")], id="invalid UTF-8"),
        pytest.param([(b"traceparent", b"\xff\x00")] * 2, id="odd traceparents"),
        pytest.param([(b"authorization", b"Bearer canary\xff")], id="odd token"),
        pytest.param([(b"x-odd-bin", b"!! no base64 !!")], id="no base64"),
        pytest.param([(b"grpc-timeout", b"99999999999H")], id="endless timeout"),
        pytest.param([(b"grpc-timeout", b"soon")], id="no timeout"),
        pytest.param([(b"grpc-encoding", b"rot13")], id="unknown encoding"),
        pytest.param([(b"UPPER", b"case")], id="upper case"),
        pytest.param([(b"x-odd", b"x" * 120)] * 400, id="too many"),
    ],
)
async def test_odd_header_fields(
    more: list[tuple[bytes, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    """Each call ends, none is a bug of ours, and the next one is answered."""
    async with running() as it:
        ended = await outcome(it.server.address, call(more))
        seen = await ask(it, chain="acme/echo")

    assert ended in (("status",) if not more else ("status", "reset", "end"))
    assert "hello" == seen.text
    assert [] == [record.getMessage() for record in caplog.records]


@fault(61)
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", id="HTTP/1.1"),
        pytest.param(b"\x16\x03\x01\x02\x00" + b"\x01" * 200, id="TLS"),
        pytest.param(PREFACE + b"\xff" * 200, id="garbage"),
        pytest.param(
            PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, 5, 1, b"\x80\xff"),
            id="no HPACK",
        ),
    ],
)
async def test_connections_that_are_no_http2(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """They are refused; everybody else is served."""
    async with running() as it:
        ended = await outcome(it.server.address, data)
        seen = await ask(it, chain="acme/echo")

    assert ended in ("status", "end")
    assert "hello" == seen.text
    assert [] == [record.getMessage() for record in caplog.records]
