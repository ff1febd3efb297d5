"""HTTP: the one module that talks to providers.

A codec says what to send and what the answer means, a transport moves the bytes; this
module brings them together.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Mapping,
)
from contextlib import aclosing

import httpx

from majordomo.chain.failure import Failure
from majordomo.chain.target import Exchange, Piece
from majordomo.media.images import fit_images
from majordomo.providers.codec import Codec, Encoded, StreamDecoder
from majordomo.providers.event_stream import EVENT_STREAM, decode_whole
from majordomo.providers.parked import UntilParked
from majordomo.providers.pool import PooledTransport
from majordomo.providers.transport import ERRORS, Head, Response, Transport, failure
from majordomo.v1.attempt_pb2 import FAILURE_REASON_MALFORMED_RESPONSE, Usage
from majordomo.v1.generation_service_pb2 import Adaptation, Prompt

LONGEST_BODY = 64 << 20
"""Bytes of an answer."""

LONGEST_ERROR_BODY = 64 << 10
"""Bytes of a failed answer that are read: enough for its words."""

_MOST_HEADS = 1024
"""Of requests that are alike; all are made anew beyond it."""

_LAST_BYTES = 0.05
"""Seconds that the end of a body may come after the answer in it is complete."""

_LAST_WORDS = 2.0
"""Seconds that a refusal's body may take: its status and headers are known already."""

_REQUEST_IDS = (
    b"x-request-id",
    b"request-id",
    b"x-amzn-requestid",
    b"apim-request-id",
    b"cf-ray",
)
"""Headers that name a request at its provider, the most telling first."""


class HttpProvider:
    """A provider over HTTP; implements chain.target.Provider.

    `headers` carry the authorization. `connect_timeout`, in seconds, bounds the time
    until a connection stands: name, TCP and TLS. Other limits are the walk's.
    `transport` replaces the pool, for a provider with another way to connect. `token`
    gives the bearer token of the moment, where it is none that lasts.
    """

    def __init__(
        self,
        codec: Codec,
        base_url: str,
        headers: Mapping[str, str] = {},
        *,
        connect_timeout: float = 5.0,
        transport: Transport | None = None,
        token: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self.codec = codec
        self._base_url = base_url.rstrip("/")
        self.headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",  # what is not packed cannot be a bomb
            **{name.lower(): value for name, value in headers.items()},
        }
        self._transport = transport or PooledTransport(connect_timeout)
        self._token = token
        self._heads: dict[tuple[object, ...], Head] = {}

    async def fit(self, model: str, prompt: Prompt, *, stream: bool) -> Exchange:
        """Encode `prompt` for `model`; Failure (UNSUPPORTED) if it has no form."""
        fitted, adaptations = await fit_images(prompt, self.codec.images)
        encoded = self.codec.encode(model, fitted, stream=stream)
        adaptations += encoded.adaptations
        return _HttpExchange(self, prompt, encoded, adaptations, stream=stream)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def send(self, encoded: Encoded) -> Response:
        """Post it; the response's body is still to be read, and to be closed."""
        token = None if self._token is None else await self._token()
        return await self._transport.post(self._head(encoded, token), encoded.body)

    def _head(self, encoded: Encoded, token: str | None) -> Head:
        key = (encoded.path, encoded.headers, token)
        head = self._heads.get(key)
        if head is None:
            headers = {**self.headers, **dict(encoded.headers)}
            if token is not None:
                headers["authorization"] = f"Bearer {token}"
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            head = Head(httpx.URL(self._base_url + encoded.path), headers)
            self._heads[key] = head
        return head


class _HttpExchange(Exchange):
    def __init__(
        self,
        provider: HttpProvider,
        prompt: Prompt,
        encoded: Encoded,
        adaptations: list[Adaptation],
        *,
        stream: bool,
    ) -> None:
        super().__init__(adaptations)
        self._provider = provider
        self._prompt = prompt
        self._encoded = encoded
        self._stream = stream
        self._decoder: StreamDecoder | None = None

    @property
    def usage(self) -> Usage | None:
        """Of a stream what its decoder has read by now, counted when asked for."""
        return None if self._decoder is None else self._decoder.usage

    async def run(self) -> AsyncGenerator[Piece]:
        try:
            response = await self._provider.send(self._encoded)
            try:
                headers = {name.lower(): value for name, value in response.headers}
                self._note(response.status, headers)
                if not 200 <= response.status < 300:
                    raise await self._refused(response)
                if headers.get(b"content-encoding", b"identity") != b"identity":
                    raise _malformed("packed, though that was not asked for")
                media_type = headers.get(b"content-type", b"")
                if not self._stream and not media_type.startswith(EVENT_STREAM):
                    whole = await _read(response, LONGEST_BODY)
                    yield decode_whole(self._provider.codec, self._prompt, whole)
                    return
                async with aclosing(self._streamed(response)) as pieces:
                    async for piece in pieces:
                        yield piece
            finally:
                await response.aclose()
        except ERRORS as error:
            raise failure(error) from None

    async def _streamed(self, response: Response) -> AsyncGenerator[Piece]:
        decoder = self._decoder = self._provider.codec.decoder(self._prompt)
        received = 0
        chunks = UntilParked(response, decoder)
        async for data in chunks:
            received += len(data)
            if received > LONGEST_BODY:
                raise _malformed(f"longer than {LONGEST_BODY} bytes")
            deltas = decoder.feed(data)
            if deltas:
                yield deltas
            if decoder.life is not None:
                yield decoder.life
            if decoder.complete:
                answer = decoder.finish()
                await _to_the_end(response)
                break
        else:
            deltas = decoder.settle() if chunks.parked else decoder.close()
            if deltas:
                yield deltas
            answer = decoder.finish()
        yield answer

    async def _refused(self, response: Response) -> Failure:
        """The failure in a response that is no success; its body is read first.

        A connection whose answer was read to its end can serve again.
        """
        try:
            async with asyncio.timeout(_LAST_WORDS):
                words = await _read(response, LONGEST_ERROR_BODY, cut=True)
        except ERRORS:
            words = b""  # the status says enough
        told: dict[str, str] = {}
        for key, value in response.headers:
            name, text = key.lower().decode("latin-1"), value.decode("latin-1")
            told[name] = f"{told[name]}, {text}" if name in told else text
        return self._provider.codec.failure(response.status, told, words)

    def _note(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.http_status_code = status
        for name in _REQUEST_IDS:
            if value := headers.get(name):
                self.provider_request_id = value.decode("latin-1")[:128]
                break


async def _read(response: Response, limit: int, *, cut: bool = False) -> bytes:
    """The whole body; beyond `limit` bytes it is cut, or else malformed."""
    pieces = []
    size = 0
    async for data in response:
        pieces.append(data)
        size += len(data)
        if size > limit:
            if cut:
                break
            raise _malformed(f"longer than {limit} bytes")
    return b"".join(pieces)


async def _to_the_end(response: Response) -> None:
    """Read what is left of a body, so that its connection can serve again.

    The answer is complete already: what comes late or broken costs the connection
    and nothing else.
    """
    try:
        async with asyncio.timeout(_LAST_BYTES):
            async for _ in response:
                pass
    except ERRORS:
        return


def _malformed(problem: str) -> Failure:
    return Failure(FAILURE_REASON_MALFORMED_RESPONSE, f"the answer is {problem}")
