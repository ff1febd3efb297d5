"""Part.provider_state: what a provider needs to read its own turn again.

A small versioned record of the provider's strings, verbatim: signatures, item ids,
encrypted reasoning. It comes back by way of the caller and is read as untrusted data:
what is not a record of this version and wire is as if it were not there.
"""

import msgspec

_VERSION = 1
_LONGEST = 16 << 20


class _Record(msgspec.Struct):
    v: int
    wire: str
    strings: dict[str, str]


def pack(wire: str, **strings: str) -> bytes:
    """The state of a part, for the wire that wrote it."""
    return msgspec.json.encode(_Record(_VERSION, wire, strings))


def unpack(wire: str, state: bytes) -> dict[str, str]:
    """The strings that `wire` has packed; empty for anything else."""
    if not state or len(state) > _LONGEST:
        return {}
    try:
        record = _decoder.decode(state)
    except (ValueError, RecursionError):
        return {}
    return record.strings if (record.v, record.wire) == (_VERSION, wire) else {}


_decoder = msgspec.json.Decoder(_Record)
