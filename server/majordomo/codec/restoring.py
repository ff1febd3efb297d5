"""What a target's form of the answer schema has put into the answer, taken out again.

A strict mode has null where the caller's schema lets a key be absent
(majordomo.schemas.absence). Each text of the answer is read as JSON of that schema as
it comes in; one that is none passes as it is.
"""

from majordomo.chain.target import Answer, Life
from majordomo.codec.base import StreamDecoder
from majordomo.schemas.absence import AbsentKeys, Place
from majordomo.v1.attempt_pb2 import Usage
from majordomo.v1.generation_service_pb2 import PartDelta


def restored(answer: Answer, absent: Place | None) -> Answer:
    """A whole answer without the nulls that stand for absent keys."""
    if absent is None or answer.message is None:
        return answer
    for part in answer.message.parts:
        if part.HasField("text"):
            keys = AbsentKeys(absent)
            part.text = keys.feed(part.text) + keys.end()
    return answer


def restoring(decoder: StreamDecoder, absent: Place | None) -> StreamDecoder:
    """`decoder`, its content without the nulls that stand for absent keys."""
    return decoder if absent is None else _Restoring(decoder, absent)


class _Restoring:
    """Implements codec.StreamDecoder."""

    def __init__(self, decoder: StreamDecoder, absent: Place) -> None:
        self._decoder = decoder
        self._absent = absent
        self._texts: dict[int, AbsentKeys] = {}

    @property
    def complete(self) -> bool:
        return self._decoder.complete

    @property
    def heard(self) -> bool:
        return self._decoder.heard

    @property
    def life(self) -> Life | None:
        return self._decoder.life

    @property
    def finished(self) -> bool:
        return self._decoder.finished

    @property
    def usage(self) -> Usage | None:
        return self._decoder.usage

    def feed(self, data: bytes) -> list[PartDelta]:
        deltas = self._restored(self._decoder.feed(data))
        return deltas + self._held() if self._decoder.complete else deltas

    def close(self) -> list[PartDelta]:
        return self._restored(self._decoder.close()) + self._held()

    def settle(self) -> list[PartDelta]:
        return self._restored(self._decoder.settle()) + self._held()

    def finish(self) -> Answer:
        return self._decoder.finish()

    def _restored(self, deltas: list[PartDelta]) -> list[PartDelta]:
        kept = []
        for delta in deltas:
            if delta.HasField("text"):
                keys = self._texts.get(delta.part_index)
                if keys is None:
                    keys = self._texts[delta.part_index] = AbsentKeys(self._absent)
                text, delta.text = delta.text, keys.feed(delta.text)
                if text and not delta.text and not delta.provider_state:
                    continue
            kept.append(delta)
        return kept

    def _held(self) -> list[PartDelta]:
        """What of broken JSON is held when the answer ends."""
        return [
            PartDelta(part_index=index, text=text)
            for index, keys in self._texts.items()
            if (text := keys.end())
        ]
