"""How both clients speak gRPC: the options of their channels."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from majordomo.contract import GENERATION, OPERATOR
from majordomo.loopback import host_of, on_this_machine

Options = Sequence[tuple[str, Any]]

SERVING = 1
"""What grpc.health.v1 answers for a server that takes calls."""

_MESSAGE_LIMIT = 32 << 20

_RETRY = {
    "maxAttempts": 3,
    "initialBackoff": "0.2s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
"""For a server that cannot take the call. One that is full says by its pushback when to
try again; where a chain has failed the pushback forbids it, and a stream that has begun
is never begun again (gRFC A6)."""

_SERVICE_CONFIG = {
    # Behind a name with several addresses, every replica gets its share of calls.
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [
                {"service": GENERATION},
                {"service": OPERATOR, "method": "HealthSnapshot"},
            ],
            "retryPolicy": _RETRY,
        }
    ],
}

_OPTIONS = {
    "grpc.service_config": json.dumps(_SERVICE_CONFIG),
    "grpc.enable_retries": 1,
    # A request over this is not tried again; its default is 256 KiB, less than images.
    "grpc.per_rpc_retry_buffer_size": _MESSAGE_LIMIT,
    "grpc.max_send_message_length": _MESSAGE_LIMIT,
    "grpc.max_receive_message_length": _MESSAGE_LIMIT,
    # A server that vanished is noticed through the long silence of a model that
    # reasons.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.http2.max_pings_without_data": 0,
}


def channel_options(address: str, overrides: Iterable[tuple[str, Any]] = ()) -> Options:
    """The options of a channel to `address`, with `overrides` by name.

    By the environment's proxy (grpc_proxy, https_proxy, http_proxy) another machine
    may be reached, and never this one.
    """
    name = address.rpartition("/")[2].removeprefix("ipv4:").removeprefix("ipv6:")
    near = {"grpc.enable_http_proxy": 0} if on_this_machine(host_of(name)) else {}
    return list({**_OPTIONS, **near, **dict(overrides)}.items())


def health_check(channel: Any, service: str) -> tuple[Any, Any]:
    """The method of grpc.health.v1 on a channel, sync or async, and its request.

    Both messages are one field with the number 1, a text and an enum: they are the
    bytes of two well-known types, so that no package of their own is needed.
    """
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=StringValue.SerializeToString,
        response_deserializer=Int32Value.FromString,
    )
    return check, StringValue(value=service)
