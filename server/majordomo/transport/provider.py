"""HTTP: the one module that talks to providers.

A codec says what to send and what the answer means, a transport moves the bytes; this
module brings them together. What either makes of somebody else's bytes, it ends in a
Failure: a bug that they find costs one attempt.
"""

import asyncio
import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Hashable,
    Mapping,
)
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import httpx

from majordomo.chain.failure import Failure
from majordomo.chain.target import Exchange, Piece
from majordomo.codec.base import Codec, Encoded, StreamDecoder
from majordomo.codec.errors.stream_refusals import (
    STATUSES,
    Refused,
    StreamRefusals,
    refused,
)
from majordomo.codec.event_stream import EVENT_STREAM, decode_whole
from majordomo.codec.names import name_tools
from majordomo.codec.request_json import unsupported
from majordomo.codec.restoring import restored, restoring
from majordomo.media.images import fit_images, named_rightly
from majordomo.media.parts import media_parts
from majordomo.media.references import ANYWHERE_PUBLIC, MediaHosts
from majordomo.schemas.fitted import LargeSchemas, allow
from majordomo.secrets import redact, where
from majordomo.threads import in_own_thread
from majordomo.transport.base import ERRORS, Head, Response, Transport, failure
from majordomo.transport.connections import connections
from majordomo.transport.egress import Egress
from majordomo.transport.parked import UntilParked
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_UNSUPPORTED,
    Usage,
)
from majordomo.v1.generation_service_pb2 import Adaptation, Prompt

_log = logging.getLogger("majordomo")

LONGEST_BODY = 64 << 20
"""Bytes of an answer."""

LONGEST_ERROR_BODY = 64 << 10
"""Bytes of a failed answer that are read: enough for its words."""

_INLINE = 32 << 10
"""Characters of schemas that are made to fit at once: about 20 ms of work."""

_MOST_SCHEMAS = 4 << 20
"""Characters of schemas that are made to fit for one request."""

_MOST_HEADS = 1024
"""Of requests that are alike; all are made again beyond it."""

_GLANCE = 0.25
"""Seconds for which reasoning that is not shown is gathered."""

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
    `egress` leads there, by default directly; `transport` replaces both, for a provider
    with another way to connect. `token`
    gives the bearer token of the moment, where it is none that lasts. `media_hosts`
    shows which URLs of media go on to it.
    """

    def __init__(
        self,
        codec: Codec,
        base_url: str,
        headers: Mapping[str, str] = {},
        *,
        connect_timeout: float = 5.0,
        egress: Egress | None = None,
        transport: Transport | None = None,
        token: Callable[[], Awaitable[str]] | None = None,
        media_hosts: MediaHosts = ANYWHERE_PUBLIC,
    ) -> None:
        self.codec = codec
        self._base_url = base_url.rstrip("/")
        self.headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",  # what is not packed cannot be a bomb
            **{name.lower(): value for name, value in headers.items()},
        }
        self._transport = transport or connections(
            egress or Egress.direct(), self._base_url, connect_timeout
        )
        self._token = token
        self._media_hosts = media_hosts
        self.refusals = StreamRefusals()
        self._heads: dict[tuple[object, ...], Head] = {}
        self._large = asyncio.Semaphore()
        """One request at a time with large schemas: they hold the interpreter."""

    async def prepare(
        self,
        model: str,
        prompt: Prompt,
        *,
        stream: bool | None,
        caller: str = "",
        kept: dict[Hashable, Any] | None = None,
    ) -> Exchange:
        """Encode `prompt` for `model`; Failure (UNSUPPORTED) if it has no form."""
        part = self.refusals.of(model)
        try:
            fitted: Prompt = prompt
            adaptations: list[Adaptation] = []
            if media := [*media_parts(prompt)]:
                self._media_hosts.check(media)
                named, adaptations = named_rightly(prompt)
                images = self.codec.images
                fitted, made = await fit_images(named, images, caller, kept)
                adaptations += made
            try:
                allow(_INLINE)
                encoded, spared = self._encode(part, model, fitted, stream)
            except LargeSchemas:
                async with self._large:
                    encoded, spared = await in_own_thread(
                        self._encode_large, part, model, fitted, stream
                    )
            finally:
                allow(None)
        except Failure:
            raise
        except Exception as error:
            _report(error, "encoding a request")
            problem = "prompt: cannot be written in this target's form"
            raise Failure(FAILURE_REASON_UNSUPPORTED, problem) from None
        adaptations += encoded.adaptations
        if spared:
            reported = f"{spared}: the target has refused it"
            adaptations.append(Adaptation(field=part, description=reported))
        return _HttpExchange(
            self,
            model,
            prompt,
            encoded,
            adaptations,
            optional=stream is None,
            spared=bool(spared),
        )

    def _encode(
        self, part: Refused | None, model: str, prompt: Prompt, stream: bool | None
    ) -> tuple[Encoded, str]:
        if part is None:
            return self.codec.encode(model, prompt, stream=stream), ""
        return self._without(part, model, prompt, stream)

    def _encode_large(
        self, part: Refused | None, model: str, prompt: Prompt, stream: bool | None
    ) -> tuple[Encoded, str]:
        allow(_MOST_SCHEMAS)
        try:
            return self._encode(part, model, prompt, stream)
        except LargeSchemas:
            raise unsupported("prompt", "its schemas are over 4 MiB in all") from None

    def _without(
        self, part: Refused, model: str, prompt: Prompt, stream: bool | None
    ) -> tuple[Encoded, str]:
        """A request without `part`, which `model` refuses, and what became of that."""
        if stream is None:
            whole = self.codec.encode(model, prompt, stream=False)
            return whole, "asked for whole" if whole.long else ""
        bare = self.codec.bare
        if stream and part == "stream_options" and bare is not None:
            return bare.encode(model, prompt, stream=True), "left out"
        return self.codec.encode(model, prompt, stream=stream), ""

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def send(self, encoded: Encoded, resend: Callable[[], bool]) -> Response:
        """Post it; the response's body is still to be read, and to be closed."""
        token = None if self._token is None else await self._token()
        head = self._head(encoded, token)
        return await self._transport.post(head, encoded.body, resend)

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
        model: str,
        prompt: Prompt,
        encoded: Encoded,
        adaptations: list[Adaptation],
        *,
        optional: bool,
        spared: bool,
    ) -> None:
        super().__init__(adaptations, streamed=encoded.streamed)
        self._provider = provider
        self._model = model
        self._prompt = prompt
        self._encoded = encoded
        self._optional = optional  # the answer may as well be whole
        self._spared = spared  # without what the model has refused
        self._decoder: StreamDecoder | None = None

    @property
    def usage(self) -> Usage | None:
        """Of a stream what its decoder has read by now, counted when asked for."""
        try:
            return None if self._decoder is None else self._decoder.usage
        except Exception as error:
            _report(error, "counting an answer's tokens")
            return None

    async def run(self) -> AsyncGenerator[Piece]:
        try:
            response = await self._provider.send(self._encoded, self.resend)
            try:
                headers = {name.lower(): value for name, value in response.headers}
                self._note(response.status, headers)
                if not 200 <= response.status < 300:
                    raise await self._refused(response)
                if headers.get(b"content-encoding", b"identity") != b"identity":
                    raise _malformed("packed, though that was not asked for")
                if self._spared:
                    self._provider.refusals.settle(self._model, taken=True)
                media_type = headers.get(b"content-type", b"")
                if not self.streamed and not media_type.startswith(EVENT_STREAM):
                    whole = await _read(response, LONGEST_BODY)
                    answer = decode_whole(self._provider.codec, self._prompt, whole)
                    yield self._named(restored(answer, self._encoded.absent))
                    return
                async with aclosing(self._streamed(response)) as pieces:
                    async for piece in pieces:
                        yield self._named(piece)
            except (Failure, *ERRORS):
                raise
            except Exception as error:
                _report(error, "reading an answer")
                raise _malformed("none that this server can read") from None
            finally:
                await response.aclose()
        except Failure as failed:
            failed.settle(datetime.now(UTC))
            raise
        except ERRORS as error:
            raise failure(error) from None

    def _named(self, piece: Piece) -> Piece:
        """`piece`, its tools called as the caller calls them."""
        if renamed := self._encoded.renamed:
            name_tools(piece, renamed)
        return piece

    async def _streamed(self, response: Response) -> AsyncGenerator[Piece]:
        decoder = self._decoder = restoring(
            self._provider.codec.decoder(self._prompt), self._encoded.absent
        )
        received = 0
        shown = glanced = False
        chunks = UntilParked(response, decoder)
        async for data in chunks:
            received += len(data)
            if received > LONGEST_BODY:
                raise _malformed(f"longer than {LONGEST_BODY} bytes")
            deltas = decoder.feed(data)
            if deltas:
                if not shown:
                    shown = True
                    response.batch(self.batch)
                yield deltas
            if decoder.life is not None:
                if not (shown or glanced):
                    glanced = True
                    # Not for long: a limit must not pass while content lies unread.
                    response.batch(min(self.batch, _GLANCE))
                yield decoder.life
            if decoder.finished:
                response.batch(0)
            if decoder.complete:
                answer = decoder.finish()
                response.batch(0)
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
        reported: dict[str, str] = {}
        for key, value in response.headers:
            name, text = key.lower().decode("latin-1"), value.decode("latin-1")
            reported[name] = f"{reported[name]}, {text}" if name in reported else text
        failure = self._provider.codec.failure(response.status, reported, words)
        refusals = self._provider.refusals
        if self._spared and not failure.transient:
            refusals.settle(self._model, taken=False)
        elif self.streamed and response.status in STATUSES and (part := refused(words)):
            refusals.note(self._model, part)
            self.refit = self._optional or part == "stream_options"
            return Failure(
                FAILURE_REASON_UNSUPPORTED, failure.message, code=failure.code
            )
        return failure

    def _note(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.http_status_code = status
        for name in _REQUEST_IDS:
            if value := headers.get(name):
                self.provider_request_id = redact(value.decode("latin-1")[:128])
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


def _report(error: Exception, doing: str) -> None:
    """Log a bug that somebody else's bytes have found: its place and not its text."""
    _log.error("a bug in %s: %s", doing, where(error))


def _malformed(problem: str) -> Failure:
    return Failure(FAILURE_REASON_MALFORMED_RESPONSE, f"the answer is {problem}")
