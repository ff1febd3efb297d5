"""What must not be disclosed: keys, what looks like one, and where things are in here.

Logs leave out what `redact` finds, by value and by sure signs. Words of providers,
which may quote anything, go through `scrub` on their way to a caller.
"""

import json
import re
from collections.abc import Iterable

MASK = "***"

_KEY = re.compile(
    r"""
      \b[Bb](?:earer|asic)\s+[\w.~+/-]{7,}[\w+/]=*
    | \b(?:sk-|pk-|rk-|gsk_|xai-|hf_|r8_|nvapi-|pplx-|csk-)[\w-]{16,}
    | \bAIza[\w-]{16,} | \bya29\.[\w-]{16,}
    | \beyJ[\w-]{8,}\.[\w.-]*\w
    | (?<=://)[^\s/@"']+(?=@)
    """,
    re.VERBOSE,
)
"""What is a key wherever it stands, and who signs in by a URL."""

_MARKS = (
    "earer", "asic", "sk-", "pk-", "rk-", "gsk_", "xai-", "hf_", "r8_", "nvapi-",
    "pplx-", "AIza", "ya29.", "eyJ", "://",
)  # fmt: skip
"""One of them is in all that the pattern finds: to look for them is far faster than
the pattern is to find nothing."""

_WORD = re.compile(
    r"""
      \b(?:Bearer|Basic)\s+[^\s"',;]*[\w=]
    | \b(?:sk|pk|rk|ak|gsk|xai|hf|r8|nvapi|pplx|csk|key|tok)[-_][\w*.-]*[\w*]
    | \beyJ[\w.-]*\w
    | \bAIza[\w-]+
    | \bdata:[\w/+.-]+;base64,[\w+/=]*
    | (?<=key\ provided:\ )[^\s"']*[^\s"'.,]
    | (?<=api_key=)[^\s"'&]+ | (?<=\bkey=)[^\s"'&]+ | (?<=\btoken=)[^\s"'&]+
    | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b
    | (?<![\w+])(?=[A-Za-z_+]*[0-9])[\w+]{24,}={0,2}
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What may be a key, or quote one, in words that nobody here wrote."""

_INNER = re.compile(
    r"""
      \b(?:10|127)(?:\.\d{1,3}){3}\b
    | \b(?:192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2}\b
    | (?<![\w:])(?:fe80|f[cd][0-9a-f]{2}):[0-9a-f:]*[0-9a-f]
    | \b[\w-]+(?:\.[\w-]+)*\.(?:internal|local|localdomain|lan|corp|intranet|svc)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Addresses and names that mean something in a network of one's own alone."""

_NOTHING = re.compile(r"(?!)")
_SHORTEST_KEY = 4

_keys: tuple[str, ...] = ()
"""As they are and as JSON writes them, the longest first: one may hold another."""

_hosts: frozenset[str] = frozenset()
_host = _NOTHING


def hide(keys: Iterable[str], hosts: Iterable[str] = ()) -> None:
    """Let none of these be reported, from now on: `keys` at all, `hosts` to callers.

    Calls may still run under those that were hidden before.
    """
    global _keys, _hosts, _host
    known = {key for key in keys if len(key) >= _SHORTEST_KEY}
    known |= {json.dumps(key)[1:-1] for key in known} | {*_keys}
    _keys = tuple(sorted(known, key=len, reverse=True))
    _hosts |= {host.lower() for host in hosts}
    if _hosts:
        _host = re.compile("|".join(map(_reported, sorted(_hosts))), re.IGNORECASE)


def _reported(host: str) -> str:
    """How to find `host`: one that may be a plain word only where it is an address."""
    name = re.escape(host)
    if "." in host or ":" in host:
        return rf"(?<![\w.-]){name}(?![\w-])"
    return rf"(?<=//){name}(?![\w.-])|(?<![\w.-]){name}(?=:\d)"


def redact(text: str, foreign: str | None = None) -> str:
    """`text` without keys, by value and by sure signs.

    `foreign` is all in it that others have chosen, where that is known: a short text
    is soon looked through.
    """
    for key in _keys:
        text = text.replace(key, MASK)
    searched = text if foreign is None else foreign
    if any(mark in searched for mark in _MARKS):
        text = _KEY.sub(MASK, text)
    return text


def scrub(text: str) -> str:
    """Words of a provider's without what may be a key, or tells of our network."""
    text = _WORD.sub(MASK, redact(text))
    return _INNER.sub(MASK, _host.sub(MASK, text))


def where(error: BaseException) -> str:
    """The type of `error` and the places that it passed, innermost last.

    Its text is left out: it may quote what must not be disclosed.
    """
    places = [type(error).__name__]
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append(f"{code.co_filename}:{traceback.tb_lineno} in {code.co_name}")
        traceback = traceback.tb_next
    return " | ".join(places)
