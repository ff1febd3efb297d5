"""HTTP: the one module that talks to providers.

A codec says what to send and what the answer means; this module moves the bytes. Its
seam is httpx's `AsyncBaseTransport`, called directly.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
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
from majordomo.providers.transport import ERRORS, PooledTransport, failure
from majordomo.v1.attempt_pb2 import FAILURE_REASON_MALFORMED_RESPONSE, Usage
from majordomo.v1.generation_service_pb2 import Adaptation, Prompt

LONGEST_BODY = 64 << 20
"""Bytes of an answer."""

LONGEST_ERROR_BODY = 64 << 10
"""Bytes of a failed answer that are read: enough for its words."""

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
        transport: httpx.AsyncBaseTransport | None = None,
        token: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self.codec = codec
        self._base_url = base_url.rstrip("/")
        self.headers = httpx.Headers(
            {
                "host": httpx.URL(base_url).netloc.decode(),
                "content-type": "application/json",
                "accept-encoding": "identity",  # what is not packed cannot be a bomb
                **headers,
            }
        )
        timeout = {"connect": connect_timeout, "pool": connect_timeout}
        self._extensions = {"timeout": timeout}
        self._transport = transport or PooledTransport()
        self._token = token
        self._urls: dict[str, httpx.URL] = {}

    async def fit(self, model: str, prompt: Prompt, *, stream: bool) -> Exchange:
        """Encode `prompt` for `model`; Failure (UNSUPPORTED) if it has no form."""
        fitted, adaptations = await fit_images(prompt, self.codec.images)
        encoded = self.codec.encode(model, fitted, stream=stream)
        adaptations += encoded.adaptations
        return _HttpExchange(self, prompt, encoded, adaptations, stream=stream)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def send(self, encoded: Encoded) -> httpx.Response:
        """Post it; the response's body is still to be read, and to be closed."""
        request = self._request(encoded)
        if self._token is not None:
            request.headers["authorization"] = f"Bearer {await self._token()}"
        return await self._transport.handle_async_request(request)

    def _request(self, encoded: Encoded) -> httpx.Request:
        url = self._urls.get(encoded.path)
        if url is None:
            url = httpx.URL(self._base_url + encoded.path)
            if len(self._urls) < 1024:
                self._urls[encoded.path] = url
        headers = self.headers
        if encoded.headers or self._token is not None:
            headers = httpx.Headers(headers)
            headers.update(encoded.headers)
        # As a stream, for which httpx works nothing out that is known.
        request = httpx.Request(
            "POST",
            url,
            headers=headers,
            stream=httpx.ByteStream(encoded.body),
            extensions=self._extensions,
        )
        request.headers["content-length"] = str(len(encoded.body))
        return request


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
            body = response.stream
            if not isinstance(body, httpx.AsyncByteStream):
                raise TypeError("an asynchronous transport gave a synchronous body")
            chunks = aiter(body)
            try:
                headers = {name.lower(): value for name, value in response.headers.raw}
                self._note(response.status_code, headers)
                if not response.is_success:
                    raise await self._refused(response, chunks)
                if headers.get(b"content-encoding", b"identity") != b"identity":
                    raise _malformed("packed, though that was not asked for")
                if not self._stream:
                    whole = await _read(chunks, LONGEST_BODY)
                    yield self._provider.codec.decode(self._prompt, whole)
                    return
                async with aclosing(self._streamed(chunks)) as pieces:
                    async for piece in pieces:
                        yield piece
            finally:
                if isinstance(chunks, AsyncGenerator):
                    # Left to the garbage collector it would be a task of its own.
                    await chunks.aclose()
                await body.aclose()
        except ERRORS as error:
            raise failure(error) from None

    async def _streamed(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[Piece]:
        decoder = self._decoder = self._provider.codec.decoder(self._prompt)
        received = 0
        async for data in chunks:
            received += len(data)
            if received > LONGEST_BODY:
                raise _malformed(f"longer than {LONGEST_BODY} bytes")
            deltas = decoder.feed(data)
            if deltas:
                yield deltas
            if decoder.complete:
                answer = decoder.finish()
                await _to_the_end(chunks)
                break
        else:
            deltas = decoder.close()
            if deltas:
                yield deltas
            answer = decoder.finish()
        yield answer

    async def _refused(
        self, response: httpx.Response, chunks: AsyncIterator[bytes]
    ) -> Failure:
        """The failure in a response that is no success; its body is read first.

        A connection whose answer was read to its end can serve again.
        """
        try:
            async with asyncio.timeout(_LAST_WORDS):
                words = await _read(chunks, LONGEST_ERROR_BODY, cut=True)
        except ERRORS:
            words = b""  # the status says enough
        headers = dict(response.headers.items())
        return self._provider.codec.failure(response.status_code, headers, words)

    def _note(self, status_code: int, headers: Mapping[bytes, bytes]) -> None:
        self.http_status_code = status_code
        for name in _REQUEST_IDS:
            if value := headers.get(name):
                self.provider_request_id = value.decode("latin-1")[:128]
                break


async def _read(
    chunks: AsyncIterator[bytes], limit: int, *, cut: bool = False
) -> bytes:
    """The whole body; beyond `limit` bytes it is cut, or else malformed."""
    pieces = []
    size = 0
    async for data in chunks:
        pieces.append(data)
        size += len(data)
        if size > limit:
            if cut:
                break
            raise _malformed(f"longer than {limit} bytes")
    return b"".join(pieces)


async def _to_the_end(chunks: AsyncIterator[bytes]) -> None:
    """Read what is left of a body, so that its connection can serve again.

    The answer is complete already: what comes late or broken costs the connection
    and nothing else.
    """
    try:
        async with asyncio.timeout(_LAST_BYTES):
            async for _ in chunks:
                pass
    except ERRORS:
        return


def _malformed(problem: str) -> Failure:
    return Failure(FAILURE_REASON_MALFORMED_RESPONSE, f"the answer is {problem}")
