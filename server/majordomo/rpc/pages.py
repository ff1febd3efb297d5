"""Lists in pages, by name (AIP-158)."""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Sequence

from majordomo.errors import InvalidRequest, Violation
from majordomo.v1.generation_service_pb2 import ListTiersRequest
from majordomo.v1.operator_service_pb2 import HealthSnapshotRequest

PAGE_SIZE = 500
"""Entries of a page where the caller does not say, and of a piece of a snapshot."""

LARGEST_PAGE = 1000
"""More would not fit into the 4 MiB that gRPC's clients take."""

_NO_TOKEN = Violation("page_token", "must be the next_page_token of the page before")


def page_of(
    names: Sequence[str],
    request: ListTiersRequest | HealthSnapshotRequest,
    *,
    by_name: bool = True,
) -> tuple[Sequence[str], str]:
    """Those of `names` that `request` asks for, and the token of the next page.

    `by_name`: they are in order of name. Then names may come and go between two pages:
    the next one begins after the last name of the one before. Raises InvalidRequest.
    """
    if request.page_size < 0:
        raise InvalidRequest([Violation("page_size", "must not be negative")])
    size = min(request.page_size or PAGE_SIZE, LARGEST_PAGE)
    start = _start(names, request.page_token, by_name) if request.page_token else 0
    end = start + size
    return names[start:end], _token(names[end - 1]) if end < len(names) else ""


def _start(names: Sequence[str], token: str, by_name: bool) -> int:
    last = _name(token)
    if by_name:
        return bisect_right(names, last)
    if last not in names:
        raise InvalidRequest([_NO_TOKEN])
    return names.index(last) + 1


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def _name(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidRequest([_NO_TOKEN]) from None
