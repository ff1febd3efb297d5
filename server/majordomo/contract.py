"""How the contract's services, values and errors are called."""

import re
from functools import cache
from typing import Any

from majordomo.v1 import generation_service_pb2, operator_service_pb2

_GENERATION = generation_service_pb2.DESCRIPTOR.services_by_name["GenerationService"]
_OPERATOR = operator_service_pb2.DESCRIPTOR.services_by_name["OperatorService"]

GENERATION: str = _GENERATION.full_name
OPERATOR: str = _OPERATOR.full_name
SERVICES = (GENERATION, OPERATOR)
"""Their full names, as gRPC writes them."""

ERROR_DOMAIN = "majordomo-grpc.github.io"
"""google.rpc.ErrorInfo.domain: whose reasons these are, unique in the world (AIP-193).
It is part of the contract: clients in every language compare it."""


def label(enumeration: Any, value: int) -> str:
    """The name of `value` without its enumeration's prefix: OVERLOADED.

    The number as text where it has no name: a newer server may have sent it.
    """
    return _labels(enumeration).get(value, str(value))


@cache
def _labels(enumeration: Any) -> dict[int, str]:
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", enumeration.DESCRIPTOR.name)
    prefix = f"{words.upper()}_"
    return {value: name.removeprefix(prefix) for name, value in enumeration.items()}
