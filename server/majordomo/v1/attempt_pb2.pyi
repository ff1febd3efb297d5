import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttemptOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_OUTCOME_UNSPECIFIED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_SUCCEEDED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_FAILED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_INTERRUPTED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_SKIPPED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_CANCELLED: _ClassVar[AttemptOutcome]

class FailureClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_CLASS_UNSPECIFIED: _ClassVar[FailureClass]
    FAILURE_CLASS_TRANSIENT: _ClassVar[FailureClass]
    FAILURE_CLASS_PERMANENT: _ClassVar[FailureClass]

class FailureReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_REASON_UNSPECIFIED: _ClassVar[FailureReason]
    FAILURE_REASON_CONNECTION: _ClassVar[FailureReason]
    FAILURE_REASON_TIMEOUT: _ClassVar[FailureReason]
    FAILURE_REASON_RATE_LIMITED: _ClassVar[FailureReason]
    FAILURE_REASON_QUOTA_EXHAUSTED: _ClassVar[FailureReason]
    FAILURE_REASON_OVERLOADED: _ClassVar[FailureReason]
    FAILURE_REASON_PROVIDER_ERROR: _ClassVar[FailureReason]
    FAILURE_REASON_MALFORMED_RESPONSE: _ClassVar[FailureReason]
    FAILURE_REASON_CREDENTIALS: _ClassVar[FailureReason]
    FAILURE_REASON_MODEL_NOT_FOUND: _ClassVar[FailureReason]
    FAILURE_REASON_UNSUPPORTED: _ClassVar[FailureReason]
    FAILURE_REASON_CONTEXT_TOO_LONG: _ClassVar[FailureReason]
    FAILURE_REASON_INVALID_REQUEST: _ClassVar[FailureReason]
    FAILURE_REASON_CONTENT_REFUSED: _ClassVar[FailureReason]
    FAILURE_REASON_BENCHED: _ClassVar[FailureReason]
    FAILURE_REASON_DEADLINE: _ClassVar[FailureReason]
    FAILURE_REASON_CONCURRENCY_LIMIT: _ClassVar[FailureReason]
    FAILURE_REASON_CANCELLED: _ClassVar[FailureReason]
    FAILURE_REASON_NOT_REACHED: _ClassVar[FailureReason]

class AnswerFault(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANSWER_FAULT_UNSPECIFIED: _ClassVar[AnswerFault]
    ANSWER_FAULT_EMPTY: _ClassVar[AnswerFault]
    ANSWER_FAULT_LENGTH: _ClassVar[AnswerFault]
    ANSWER_FAULT_REFUSED: _ClassVar[AnswerFault]
    ANSWER_FAULT_NOT_JSON: _ClassVar[AnswerFault]
    ANSWER_FAULT_SCHEMA: _ClassVar[AnswerFault]
ATTEMPT_OUTCOME_UNSPECIFIED: AttemptOutcome
ATTEMPT_OUTCOME_SUCCEEDED: AttemptOutcome
ATTEMPT_OUTCOME_FAILED: AttemptOutcome
ATTEMPT_OUTCOME_INTERRUPTED: AttemptOutcome
ATTEMPT_OUTCOME_SKIPPED: AttemptOutcome
ATTEMPT_OUTCOME_CANCELLED: AttemptOutcome
FAILURE_CLASS_UNSPECIFIED: FailureClass
FAILURE_CLASS_TRANSIENT: FailureClass
FAILURE_CLASS_PERMANENT: FailureClass
FAILURE_REASON_UNSPECIFIED: FailureReason
FAILURE_REASON_CONNECTION: FailureReason
FAILURE_REASON_TIMEOUT: FailureReason
FAILURE_REASON_RATE_LIMITED: FailureReason
FAILURE_REASON_QUOTA_EXHAUSTED: FailureReason
FAILURE_REASON_OVERLOADED: FailureReason
FAILURE_REASON_PROVIDER_ERROR: FailureReason
FAILURE_REASON_MALFORMED_RESPONSE: FailureReason
FAILURE_REASON_CREDENTIALS: FailureReason
FAILURE_REASON_MODEL_NOT_FOUND: FailureReason
FAILURE_REASON_UNSUPPORTED: FailureReason
FAILURE_REASON_CONTEXT_TOO_LONG: FailureReason
FAILURE_REASON_INVALID_REQUEST: FailureReason
FAILURE_REASON_CONTENT_REFUSED: FailureReason
FAILURE_REASON_BENCHED: FailureReason
FAILURE_REASON_DEADLINE: FailureReason
FAILURE_REASON_CONCURRENCY_LIMIT: FailureReason
FAILURE_REASON_CANCELLED: FailureReason
FAILURE_REASON_NOT_REACHED: FailureReason
ANSWER_FAULT_UNSPECIFIED: AnswerFault
ANSWER_FAULT_EMPTY: AnswerFault
ANSWER_FAULT_LENGTH: AnswerFault
ANSWER_FAULT_REFUSED: AnswerFault
ANSWER_FAULT_NOT_JSON: AnswerFault
ANSWER_FAULT_SCHEMA: AnswerFault

class Attempt(_message.Message):
    __slots__ = ("number", "target", "outcome", "failure_class", "failure_reason", "http_status_code", "message", "start_time", "duration", "first_content_latency", "retry_delay", "benched", "usage", "provider_request_id", "bench", "probe", "provider_error_code", "last_resort", "resent", "time_limit", "answer_fault")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_CLASS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_REASON_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    FIRST_CONTENT_LATENCY_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    BENCHED_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    BENCH_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    LAST_RESORT_FIELD_NUMBER: _ClassVar[int]
    RESENT_FIELD_NUMBER: _ClassVar[int]
    TIME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FAULT_FIELD_NUMBER: _ClassVar[int]
    number: int
    target: str
    outcome: AttemptOutcome
    failure_class: FailureClass
    failure_reason: FailureReason
    http_status_code: int
    message: str
    start_time: _timestamp_pb2.Timestamp
    duration: _duration_pb2.Duration
    first_content_latency: _duration_pb2.Duration
    retry_delay: _duration_pb2.Duration
    benched: bool
    usage: Usage
    provider_request_id: str
    bench: BenchRecord
    probe: bool
    provider_error_code: str
    last_resort: bool
    resent: bool
    time_limit: TimeLimit
    answer_fault: AnswerFault
    def __init__(self, number: _Optional[int] = ..., target: _Optional[str] = ..., outcome: _Optional[_Union[AttemptOutcome, str]] = ..., failure_class: _Optional[_Union[FailureClass, str]] = ..., failure_reason: _Optional[_Union[FailureReason, str]] = ..., http_status_code: _Optional[int] = ..., message: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., first_content_latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., benched: _Optional[bool] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., provider_request_id: _Optional[str] = ..., bench: _Optional[_Union[BenchRecord, _Mapping]] = ..., probe: _Optional[bool] = ..., provider_error_code: _Optional[str] = ..., last_resort: _Optional[bool] = ..., resent: _Optional[bool] = ..., time_limit: _Optional[_Union[TimeLimit, _Mapping]] = ..., answer_fault: _Optional[_Union[AnswerFault, str]] = ...) -> None: ...

class TimeLimit(_message.Message):
    __slots__ = ("kind", "length", "source", "remaining", "reserve")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[TimeLimit.Kind]
        KIND_FIRST_CONTENT: _ClassVar[TimeLimit.Kind]
        KIND_STALL: _ClassVar[TimeLimit.Kind]
        KIND_ATTEMPT: _ClassVar[TimeLimit.Kind]
    KIND_UNSPECIFIED: TimeLimit.Kind
    KIND_FIRST_CONTENT: TimeLimit.Kind
    KIND_STALL: TimeLimit.Kind
    KIND_ATTEMPT: TimeLimit.Kind
    class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SOURCE_UNSPECIFIED: _ClassVar[TimeLimit.Source]
        SOURCE_DEFAULT: _ClassVar[TimeLimit.Source]
        SOURCE_CHAIN: _ClassVar[TimeLimit.Source]
        SOURCE_PROVIDER: _ClassVar[TimeLimit.Source]
        SOURCE_MODEL: _ClassVar[TimeLimit.Source]
        SOURCE_OPTIONS: _ClassVar[TimeLimit.Source]
        SOURCE_DEADLINE: _ClassVar[TimeLimit.Source]
    SOURCE_UNSPECIFIED: TimeLimit.Source
    SOURCE_DEFAULT: TimeLimit.Source
    SOURCE_CHAIN: TimeLimit.Source
    SOURCE_PROVIDER: TimeLimit.Source
    SOURCE_MODEL: TimeLimit.Source
    SOURCE_OPTIONS: TimeLimit.Source
    SOURCE_DEADLINE: TimeLimit.Source
    KIND_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    RESERVE_FIELD_NUMBER: _ClassVar[int]
    kind: TimeLimit.Kind
    length: _duration_pb2.Duration
    source: TimeLimit.Source
    remaining: _duration_pb2.Duration
    reserve: _duration_pb2.Duration
    def __init__(self, kind: _Optional[_Union[TimeLimit.Kind, str]] = ..., length: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., source: _Optional[_Union[TimeLimit.Source, str]] = ..., remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reserve: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class BenchRecord(_message.Message):
    __slots__ = ("origin", "reason", "failure_reason", "start_time", "expire_time", "consecutive_benches", "extent", "operator_name")
    class Origin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ORIGIN_UNSPECIFIED: _ClassVar[BenchRecord.Origin]
        ORIGIN_AUTOMATIC: _ClassVar[BenchRecord.Origin]
        ORIGIN_OPERATOR: _ClassVar[BenchRecord.Origin]
    ORIGIN_UNSPECIFIED: BenchRecord.Origin
    ORIGIN_AUTOMATIC: BenchRecord.Origin
    ORIGIN_OPERATOR: BenchRecord.Origin
    class Extent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EXTENT_UNSPECIFIED: _ClassVar[BenchRecord.Extent]
        EXTENT_PROCESS: _ClassVar[BenchRecord.Extent]
        EXTENT_FLEET: _ClassVar[BenchRecord.Extent]
    EXTENT_UNSPECIFIED: BenchRecord.Extent
    EXTENT_PROCESS: BenchRecord.Extent
    EXTENT_FLEET: BenchRecord.Extent
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FAILURE_REASON_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_BENCHES_FIELD_NUMBER: _ClassVar[int]
    EXTENT_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_NAME_FIELD_NUMBER: _ClassVar[int]
    origin: BenchRecord.Origin
    reason: str
    failure_reason: FailureReason
    start_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    consecutive_benches: int
    extent: BenchRecord.Extent
    operator_name: str
    def __init__(self, origin: _Optional[_Union[BenchRecord.Origin, str]] = ..., reason: _Optional[str] = ..., failure_reason: _Optional[_Union[FailureReason, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., consecutive_benches: _Optional[int] = ..., extent: _Optional[_Union[BenchRecord.Extent, str]] = ..., operator_name: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "web_searches", "url_reads", "code_executions")
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    WEB_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    URL_READS_FIELD_NUMBER: _ClassVar[int]
    CODE_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    web_searches: int
    url_reads: int
    code_executions: int
    def __init__(self, input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., cache_read_tokens: _Optional[int] = ..., cache_write_tokens: _Optional[int] = ..., reasoning_tokens: _Optional[int] = ..., web_searches: _Optional[int] = ..., url_reads: _Optional[int] = ..., code_executions: _Optional[int] = ...) -> None: ...
