import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from majordomo.v1 import attempt_pb2 as _attempt_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HealthSnapshotRequest(_message.Message):
    __slots__ = ("chain",)
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    chain: str
    def __init__(self, chain: _Optional[str] = ...) -> None: ...

class HealthSnapshotResponse(_message.Message):
    __slots__ = ("instance_id", "snapshot_time", "targets")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_TIME_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    snapshot_time: _timestamp_pb2.Timestamp
    targets: _containers.RepeatedCompositeFieldContainer[TargetHealth]
    def __init__(self, instance_id: _Optional[str] = ..., snapshot_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., targets: _Optional[_Iterable[_Union[TargetHealth, _Mapping]]] = ...) -> None: ...

class WatchHealthRequest(_message.Message):
    __slots__ = ("chain", "heartbeat_interval")
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    chain: str
    heartbeat_interval: _duration_pb2.Duration
    def __init__(self, chain: _Optional[str] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WatchHealthResponse(_message.Message):
    __slots__ = ("snapshot", "change", "heartbeat")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    snapshot: HealthSnapshotResponse
    change: HealthChange
    heartbeat: Heartbeat
    def __init__(self, snapshot: _Optional[_Union[HealthSnapshotResponse, _Mapping]] = ..., change: _Optional[_Union[HealthChange, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class HealthChange(_message.Message):
    __slots__ = ("change_time", "cause", "target")
    class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CAUSE_UNSPECIFIED: _ClassVar[HealthChange.Cause]
        CAUSE_FAILURES: _ClassVar[HealthChange.Cause]
        CAUSE_EXPIRED: _ClassVar[HealthChange.Cause]
        CAUSE_PROBE_STARTED: _ClassVar[HealthChange.Cause]
        CAUSE_PROBE_SUCCEEDED: _ClassVar[HealthChange.Cause]
        CAUSE_PROBE_INCONCLUSIVE: _ClassVar[HealthChange.Cause]
        CAUSE_OPERATOR_BENCH: _ClassVar[HealthChange.Cause]
        CAUSE_OPERATOR_UNBENCH: _ClassVar[HealthChange.Cause]
        CAUSE_LAST_RESORT_SUCCEEDED: _ClassVar[HealthChange.Cause]
    CAUSE_UNSPECIFIED: HealthChange.Cause
    CAUSE_FAILURES: HealthChange.Cause
    CAUSE_EXPIRED: HealthChange.Cause
    CAUSE_PROBE_STARTED: HealthChange.Cause
    CAUSE_PROBE_SUCCEEDED: HealthChange.Cause
    CAUSE_PROBE_INCONCLUSIVE: HealthChange.Cause
    CAUSE_OPERATOR_BENCH: HealthChange.Cause
    CAUSE_OPERATOR_UNBENCH: HealthChange.Cause
    CAUSE_LAST_RESORT_SUCCEEDED: HealthChange.Cause
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    change_time: _timestamp_pb2.Timestamp
    cause: HealthChange.Cause
    target: TargetHealth
    def __init__(self, change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cause: _Optional[_Union[HealthChange.Cause, str]] = ..., target: _Optional[_Union[TargetHealth, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("time",)
    TIME_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BenchRequest(_message.Message):
    __slots__ = ("target", "duration", "reason")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    target: str
    duration: _duration_pb2.Duration
    reason: str
    def __init__(self, target: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class BenchResponse(_message.Message):
    __slots__ = ("targets",)
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[TargetHealth]
    def __init__(self, targets: _Optional[_Iterable[_Union[TargetHealth, _Mapping]]] = ...) -> None: ...

class UnbenchRequest(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: str
    def __init__(self, target: _Optional[str] = ...) -> None: ...

class UnbenchResponse(_message.Message):
    __slots__ = ("targets",)
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[TargetHealth]
    def __init__(self, targets: _Optional[_Iterable[_Union[TargetHealth, _Mapping]]] = ...) -> None: ...

class TargetHealth(_message.Message):
    __slots__ = ("target", "state", "bench", "consecutive_failures", "active_attempts", "total_attempts", "total_failures", "last_success_time", "last_failure")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[TargetHealth.State]
        STATE_ACTIVE: _ClassVar[TargetHealth.State]
        STATE_BENCHED: _ClassVar[TargetHealth.State]
        STATE_PROBING: _ClassVar[TargetHealth.State]
    STATE_UNSPECIFIED: TargetHealth.State
    STATE_ACTIVE: TargetHealth.State
    STATE_BENCHED: TargetHealth.State
    STATE_PROBING: TargetHealth.State
    TARGET_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BENCH_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_FAILURES_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FAILURES_FIELD_NUMBER: _ClassVar[int]
    LAST_SUCCESS_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_FAILURE_FIELD_NUMBER: _ClassVar[int]
    target: str
    state: TargetHealth.State
    bench: _attempt_pb2.BenchRecord
    consecutive_failures: int
    active_attempts: int
    total_attempts: int
    total_failures: int
    last_success_time: _timestamp_pb2.Timestamp
    last_failure: _attempt_pb2.Attempt
    def __init__(self, target: _Optional[str] = ..., state: _Optional[_Union[TargetHealth.State, str]] = ..., bench: _Optional[_Union[_attempt_pb2.BenchRecord, _Mapping]] = ..., consecutive_failures: _Optional[int] = ..., active_attempts: _Optional[int] = ..., total_attempts: _Optional[int] = ..., total_failures: _Optional[int] = ..., last_success_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_failure: _Optional[_Union[_attempt_pb2.Attempt, _Mapping]] = ...) -> None: ...
