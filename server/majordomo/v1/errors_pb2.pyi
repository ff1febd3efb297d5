from majordomo.v1 import attempt_pb2 as _attempt_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_REQUEST: _ClassVar[ErrorReason]
    ERROR_REASON_UNKNOWN_TIER: _ClassVar[ErrorReason]
    ERROR_REASON_UNKNOWN_PROVIDER: _ClassVar[ErrorReason]
    ERROR_REASON_CHAIN_EXHAUSTED: _ClassVar[ErrorReason]
    ERROR_REASON_ALL_BENCHED: _ClassVar[ErrorReason]
    ERROR_REASON_CHAIN_RATE_LIMITED: _ClassVar[ErrorReason]
    ERROR_REASON_MODEL_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_REQUEST_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_REQUEST_UNSUPPORTED: _ClassVar[ErrorReason]
    ERROR_REASON_CONTENT_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_CREDENTIALS: _ClassVar[ErrorReason]
    ERROR_REASON_STREAM_INTERRUPTED: _ClassVar[ErrorReason]
    ERROR_REASON_DEADLINE_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_SERVER_OVERLOADED: _ClassVar[ErrorReason]
    ERROR_REASON_SERVER_DRAINING: _ClassVar[ErrorReason]
    ERROR_REASON_UNAUTHENTICATED: _ClassVar[ErrorReason]
    ERROR_REASON_PERMISSION_DENIED: _ClassVar[ErrorReason]
    ERROR_REASON_BENCHED_BY_PROVIDER: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_RESOLVER_FAILED: _ClassVar[ErrorReason]
    ERROR_REASON_ANSWER_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_REQUEST_COMPRESSED: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_REQUEST: ErrorReason
ERROR_REASON_UNKNOWN_TIER: ErrorReason
ERROR_REASON_UNKNOWN_PROVIDER: ErrorReason
ERROR_REASON_CHAIN_EXHAUSTED: ErrorReason
ERROR_REASON_ALL_BENCHED: ErrorReason
ERROR_REASON_CHAIN_RATE_LIMITED: ErrorReason
ERROR_REASON_MODEL_NOT_FOUND: ErrorReason
ERROR_REASON_REQUEST_REFUSED: ErrorReason
ERROR_REASON_REQUEST_UNSUPPORTED: ErrorReason
ERROR_REASON_CONTENT_REFUSED: ErrorReason
ERROR_REASON_PROVIDER_CREDENTIALS: ErrorReason
ERROR_REASON_STREAM_INTERRUPTED: ErrorReason
ERROR_REASON_DEADLINE_EXCEEDED: ErrorReason
ERROR_REASON_SERVER_OVERLOADED: ErrorReason
ERROR_REASON_SERVER_DRAINING: ErrorReason
ERROR_REASON_UNAUTHENTICATED: ErrorReason
ERROR_REASON_PERMISSION_DENIED: ErrorReason
ERROR_REASON_BENCHED_BY_PROVIDER: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
ERROR_REASON_RESOLVER_FAILED: ErrorReason
ERROR_REASON_ANSWER_TOO_LARGE: ErrorReason
ERROR_REASON_REQUEST_COMPRESSED: ErrorReason

class CallFailure(_message.Message):
    __slots__ = ("generation_id", "attempts", "omitted_attempts")
    GENERATION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    OMITTED_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    generation_id: str
    attempts: _containers.RepeatedCompositeFieldContainer[_attempt_pb2.Attempt]
    omitted_attempts: int
    def __init__(self, generation_id: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[_attempt_pb2.Attempt, _Mapping]]] = ..., omitted_attempts: _Optional[int] = ...) -> None: ...
