"""The call in hand: what the interceptors and servicers around and in it know of it."""

from contextvars import ContextVar
from dataclasses import dataclass, field

from majordomo.rpc.memory import Account
from majordomo.rpc.terms import Caller
from majordomo.telemetry.record import CallRecord


@dataclass(slots=True)
class CallScope:
    """What is known of one call; each interceptor adds its part."""

    record: CallRecord | None = None
    """Of the contract's methods; None for health checks and reflection."""

    generation_id: str = ""
    """Once it has one."""

    caller: Caller = field(init=False)
    """Once it is let in."""

    account: Account = field(init=False)
    """Once it is admitted."""


current: ContextVar[CallScope] = ContextVar("call")
"""That of the task that handles the call."""


def current_record() -> CallRecord | None:
    """The record of the call that this runs for, if it is one of ours."""
    scope = current.get(None)
    return None if scope is None else scope.record
