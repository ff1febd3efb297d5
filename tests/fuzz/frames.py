"""What a client says in HTTP/2, byte by byte. Source: RFC 9113 and RFC 7541."""

import struct
from collections.abc import Iterable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes([kind, flags])
        + (struct.pack(">I", stream) + payload)
    )


def fields(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Header fields as literals that nobody is to remember."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in pairs)


def _text(data: bytes) -> bytes:
    if len(data) < 127:
        return bytes([len(data)]) + data
    left, out = len(data) - 127, bytearray([127])
    while left >= 128:
        out.append(left % 128 | 128)
        left //= 128
    return bytes(out) + bytes([left]) + data


def request(
    stream: int, path: bytes, message: bytes, *more: tuple[bytes, bytes]
) -> bytes:
    """A gRPC call with one message."""
    head = fields(
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path),
            (b":authority", b"localhost"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            *more,
        ]
    )
    body = b"\0" + struct.pack(">I", len(message)) + message
    return frame(HEADERS, END_HEADERS, stream, head) + frame(
        DATA, END_STREAM, stream, body
    )


def conversations(path: bytes, message: bytes) -> list[bytes]:
    """Whole conversations of a client, from the preface on."""
    settings = frame(SETTINGS, 0, 0, struct.pack(">HIHI", 3, 100, 4, 65_535))
    begin = PREFACE + settings + frame(SETTINGS, 1, 0, b"")
    head = request(1, path, message)[:-1]
    split = fields([(b":method", b"POST"), (b":path", path)])
    return [
        begin + request(1, path, message) + request(3, path, message),
        begin
        + request(1, path, message, (b"grpc-timeout", b"1S"), (b"x-bin", b"AAAA"))
        + frame(RST_STREAM, 0, 1, struct.pack(">I", 8)),
        begin
        + frame(HEADERS, 0, 1, split[:20])
        + frame(CONTINUATION, END_HEADERS, 1, split[20:]),
        begin + head + frame(DATA, END_STREAM | PADDED, 1, b"\x04ab\0\0\0\0"),
        begin + frame(PING, 0, 0, b"12345678") + frame(GOAWAY, 0, 0, bytes(8)),
        begin
        + frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")
        + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 20))
        + frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + split),
        begin + request(1, path, message, (b"grpc-encoding", b"gzip")),
    ]
