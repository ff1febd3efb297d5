"""Streams that say why the model stopped, and then neither end nor go on."""

import asyncio
from collections.abc import Awaitable

from majordomo.chain.timing import RearmableTimeout
from majordomo.codec.base import StreamDecoder
from majordomo.transport.base import Response

LAST_WORDS = 2.0
"""Seconds in which something must follow: what counts the tokens, an error, the end."""


class UntilParked:
    """The bytes of one streamed answer as they come, for `decoder` to read.

    They end with the body, or when the answer is finished and for a while nothing has
    followed but what keeps the connection up; then it is `parked`.
    """

    def __init__(self, response: Response, decoder: StreamDecoder) -> None:
        self.parked = False
        self._chunks = aiter(response)
        self._decoder = decoder
        self._end = 0.0

    def __aiter__(self) -> "UntilParked":
        return self

    def __anext__(self) -> Awaitable[bytes]:
        return self._last() if self._decoder.finished else anext(self._chunks)

    async def _last(self) -> bytes:
        if self._decoder.heard:
            self._end = asyncio.get_running_loop().time() + LAST_WORDS
        timer = RearmableTimeout()
        try:
            with timer.until(self._end):
                return await anext(self._chunks)
        except TimeoutError:
            self.parked = True
            raise StopAsyncIteration from None
        finally:
            timer.end()
