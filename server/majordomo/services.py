"""The names of our services, as gRPC writes them."""

from majordomo.v1 import generation_service_pb2, operator_service_pb2

_GENERATION = generation_service_pb2.DESCRIPTOR.services_by_name["GenerationService"]
_OPERATOR = operator_service_pb2.DESCRIPTOR.services_by_name["OperatorService"]

GENERATION: str = _GENERATION.full_name
OPERATOR: str = _OPERATOR.full_name
SERVICES = (GENERATION, OPERATOR)
