"""A model on this machine: llama.cpp in a child process (Linux and macOS).

The provider serves one model, so that what it needs of memory is known: the one that
majordomo brings, as `local/smollm2`, or the GGUF file that `model_path` names, under
the file's name without `.gguf`. Any other model id is MODEL_NOT_FOUND.

The child listens on a Unix socket in a folder that only this user may enter.
"""

import logging
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx

from majordomo.chain.clock import Clock
from majordomo.chain.failure import Failure
from majordomo.chain.target import Exchange
from majordomo.distribution import installing, is_installed
from majordomo.media.references import MediaHosts
from majordomo.providers.local import llama_server, model_file
from majordomo.providers.local.child import Child
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.profiles import PROFILES
from majordomo.transport.base import Head, Response, never
from majordomo.transport.httpx_transport import HttpxTransport
from majordomo.transport.provider import HttpProvider
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_MODEL_NOT_FOUND,
    FAILURE_REASON_UNSUPPORTED,
)
from majordomo.v1.content_pb2 import ToolChoice
from majordomo.v1.generation_service_pb2 import Prompt

_log = logging.getLogger(__name__)

CONTEXT = 2048
"""Tokens. SmolLM2 was trained with 8192, but one thread reads about 80 a second: this
is what it reads within the usual limit for the first content. A slot takes 47 MB."""

SLOTS = 2
"""Calls that are answered at once; more of them wait within llama.cpp."""

NICE = 10
"""What the child yields to the server: see default_threads()."""

_DEATH_SEEN = 1.0
"""Seconds within which a death is seen after a connection broke off."""


def default_threads() -> int:
    """One thread fewer than there are processors for us, at least one.

    llama.cpp's threads wait for each other busily. Where they have to share the last
    processor with the event loop both suffer: on two processors with the loop half
    busy, two threads gave 43 tokens/s and made the loop 6 ms late at the median, one
    thread gave 60 tokens/s and 0.1 ms. A lower priority alone fixes the loop only.
    """
    if sys.platform == "linux":
        return max(1, len(os.sched_getaffinity(0)) - 1)
    return max(1, (os.cpu_count() or 1) - 1)


def _temporary() -> Path:
    """Where sockets go; where nothing can be written, the child says so later."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path("/tmp")  # noqa: S108 - the folder within it has a secret name


class Local:
    """The provider; implements chain.target.Provider.

    `context` is the longest prompt and answer together, in tokens. The child starts
    with the first call, or with start(); calls wait for it. `start_timeout` bounds
    that in seconds.
    """

    def __init__(
        self,
        model_path: Path | None = None,
        *,
        threads: int | None = None,
        context: int | None = None,
        start_timeout: float = 120.0,
        clock: Clock = Clock(),
    ) -> None:
        self._model_path = model_path
        self._threads = threads or default_threads()
        self._context = context or CONTEXT
        self.model = model_file.MODEL if model_path is None else model_path.stem
        """The one model id that is served."""

        name = f"majordomo-{secrets.token_hex(8)}"
        self.socket = _temporary() / name / "llama.sock"
        """Where the child listens; the folder is made again for each."""

        self.child = Child(self._command, start_timeout=start_timeout, clock=clock)
        self._http = HttpProvider(
            OpenAICompatible("local", profile=PROFILES["llama.cpp"]),
            "http://localhost/v1",
            media_hosts=MediaHosts(others=False),
            transport=_ChildTransport(self.child, self.socket),
        )

    def start(self) -> None:
        """Begin to load the model now. What is missing is logged: calls say it too."""
        try:
            self._require_files()
            self.child.start()
        except Failure as failure:
            _log.warning("the local model cannot start: %s", failure.message)

    async def prepare(
        self, model: str, prompt: Prompt, *, stream: bool | None, **shared: Any
    ) -> Exchange:
        """An exchange with the child, which starts when the exchange runs.

        Raises Failure: MODEL_NOT_FOUND for another model or a file that is not here,
        UNSUPPORTED for what the model cannot do, or without llama.cpp.
        """
        if model != self.model:
            raise Failure(
                FAILURE_REASON_MODEL_NOT_FOUND, f"the local model is {self.model!r}"
            )
        if not self.child.alive:
            self._require_files()
        if (
            self._model_path is None
            and prompt.tools
            and prompt.tool_choice.mode != ToolChoice.MODE_NONE
        ):
            # llama.cpp would leave them out without a word: its template has none.
            raise Failure(FAILURE_REASON_UNSUPPORTED, "SmolLM2 cannot call tools")
        # Unasked it does not stream: its death is seen, and calls wait for their turn.
        return await self._http.prepare(model, prompt, stream=bool(stream), **shared)

    async def aclose(self) -> None:
        """End the child, and with it all answers in the making."""
        await self._http.aclose()
        await self.child.aclose()
        shutil.rmtree(self.socket.parent, ignore_errors=True)

    def _require_files(self) -> None:
        if not is_installed("local"):
            raise Failure(
                FAILURE_REASON_UNSUPPORTED,
                f"llama.cpp is not installed: {installing('local')}",
            )
        try:
            here = os.path.isfile(self._file())
        except model_file.ModelFileError as error:
            raise Failure(FAILURE_REASON_MODEL_NOT_FOUND, str(error)) from None
        if not here:
            repair = (
                "run `majordomo model fetch`"
                if self._model_path is None
                else "check model_path"
            )
            raise Failure(
                FAILURE_REASON_MODEL_NOT_FOUND, f"the model file is not here: {repair}"
            )

    def _file(self) -> Path:
        return self._model_path or model_file.path()

    def _command(self) -> list[str]:
        """What the child runs, in a fresh folder for its socket."""
        shutil.rmtree(self.socket.parent, ignore_errors=True)
        self.socket.parent.mkdir(mode=0o700)
        options: dict[str, object] = {
            "model": self._file().absolute(),
            "alias": self.model,
            "socket": self.socket,
            "threads": self._threads,
            "context": self._context,
            "slots": SLOTS,
            "nice": NICE,
        }
        # -P: what lies in the working directory is not ours to import.
        command = [sys.executable, "-P", "-m", llama_server.__name__]
        return command + [f"--{name}={value}" for name, value in options.items()]


class _ChildTransport:
    """Sends requests to the child, once it is ready."""

    def __init__(self, child: Child, socket: Path) -> None:
        self._child = child
        # Kept connections would hold the child's few HTTP threads.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._inner = HttpxTransport(
            httpx.AsyncHTTPTransport(uds=str(socket), limits=limits)
        )

    async def post(
        self, head: Head, body: bytes, resend: Callable[[], bool] = never
    ) -> Response:
        await self._child.ready()
        try:
            response = await self._inner.post(head, body, resend)
        except httpx.TransportError as error:
            died = await self._child.ended(_DEATH_SEEN)
            if not died or not isinstance(error, httpx.ConnectError):
                raise
            # It was dead already: nothing was sent, and the next one may have it.
            await self._child.ready()
            response = await self._inner.post(head, body, resend)
        return _ChildResponse(self._child, response)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _ChildResponse:
    """When its bytes break off, the death is seen before the error.

    So the next call starts a new child, and does not go to the one that dies.
    """

    def __init__(self, child: Child, response: Response) -> None:
        self.status = response.status
        self.headers = response.headers
        self._child = child
        self._response = response
        self._chunks = aiter(response)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except httpx.TransportError:
            await self._child.ended(_DEATH_SEEN)
            raise

    def batch(self, seconds: float) -> None:
        self._response.batch(seconds)

    async def aclose(self) -> None:
        await self._response.aclose()
