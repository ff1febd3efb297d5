import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from majordomo.v1 import attempt_pb2 as _attempt_pb2
from majordomo.v1 import content_pb2 as _content_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_STOP: _ClassVar[FinishReason]
    FINISH_REASON_LENGTH: _ClassVar[FinishReason]
    FINISH_REASON_TOOL_CALLS: _ClassVar[FinishReason]
    FINISH_REASON_CONTENT_FILTER: _ClassVar[FinishReason]
    FINISH_REASON_OTHER: _ClassVar[FinishReason]

class InterruptionPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INTERRUPTION_POLICY_UNSPECIFIED: _ClassVar[InterruptionPolicy]
    INTERRUPTION_POLICY_FAIL: _ClassVar[InterruptionPolicy]
    INTERRUPTION_POLICY_RESTART: _ClassVar[InterruptionPolicy]

class AllBenchedPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALL_BENCHED_POLICY_UNSPECIFIED: _ClassVar[AllBenchedPolicy]
    ALL_BENCHED_POLICY_FAIL: _ClassVar[AllBenchedPolicy]
    ALL_BENCHED_POLICY_TRY_SOONEST: _ClassVar[AllBenchedPolicy]
    ALL_BENCHED_POLICY_WAIT: _ClassVar[AllBenchedPolicy]
    ALL_BENCHED_POLICY_LAST_RESORT: _ClassVar[AllBenchedPolicy]
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_STOP: FinishReason
FINISH_REASON_LENGTH: FinishReason
FINISH_REASON_TOOL_CALLS: FinishReason
FINISH_REASON_CONTENT_FILTER: FinishReason
FINISH_REASON_OTHER: FinishReason
INTERRUPTION_POLICY_UNSPECIFIED: InterruptionPolicy
INTERRUPTION_POLICY_FAIL: InterruptionPolicy
INTERRUPTION_POLICY_RESTART: InterruptionPolicy
ALL_BENCHED_POLICY_UNSPECIFIED: AllBenchedPolicy
ALL_BENCHED_POLICY_FAIL: AllBenchedPolicy
ALL_BENCHED_POLICY_TRY_SOONEST: AllBenchedPolicy
ALL_BENCHED_POLICY_WAIT: AllBenchedPolicy
ALL_BENCHED_POLICY_LAST_RESORT: AllBenchedPolicy

class GenerateRequest(_message.Message):
    __slots__ = ("chain", "prompt", "options", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    chain: str
    prompt: Prompt
    options: ChainOptions
    labels: _containers.ScalarMap[str, str]
    def __init__(self, chain: _Optional[str] = ..., prompt: _Optional[_Union[Prompt, _Mapping]] = ..., options: _Optional[_Union[ChainOptions, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("message", "completion")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_FIELD_NUMBER: _ClassVar[int]
    message: _content_pb2.Message
    completion: Completion
    def __init__(self, message: _Optional[_Union[_content_pb2.Message, _Mapping]] = ..., completion: _Optional[_Union[Completion, _Mapping]] = ...) -> None: ...

class StreamRequest(_message.Message):
    __slots__ = ("chain", "prompt", "options", "labels", "include_attempts")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    chain: str
    prompt: Prompt
    options: ChainOptions
    labels: _containers.ScalarMap[str, str]
    include_attempts: bool
    def __init__(self, chain: _Optional[str] = ..., prompt: _Optional[_Union[Prompt, _Mapping]] = ..., options: _Optional[_Union[ChainOptions, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., include_attempts: _Optional[bool] = ...) -> None: ...

class StreamResponse(_message.Message):
    __slots__ = ("part_delta", "attempt_ended", "restart", "completion")
    PART_DELTA_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_ENDED_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_FIELD_NUMBER: _ClassVar[int]
    part_delta: PartDelta
    attempt_ended: _attempt_pb2.Attempt
    restart: Restart
    completion: Completion
    def __init__(self, part_delta: _Optional[_Union[PartDelta, _Mapping]] = ..., attempt_ended: _Optional[_Union[_attempt_pb2.Attempt, _Mapping]] = ..., restart: _Optional[_Union[Restart, _Mapping]] = ..., completion: _Optional[_Union[Completion, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("chain", "prompt", "options", "stream")
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    chain: str
    prompt: Prompt
    options: ChainOptions
    stream: bool
    def __init__(self, chain: _Optional[str] = ..., prompt: _Optional[_Union[Prompt, _Mapping]] = ..., options: _Optional[_Union[ChainOptions, _Mapping]] = ..., stream: _Optional[bool] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("targets",)
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[TargetPlan]
    def __init__(self, targets: _Optional[_Iterable[_Union[TargetPlan, _Mapping]]] = ...) -> None: ...

class TargetPlan(_message.Message):
    __slots__ = ("target", "action", "reason", "message", "bench", "probe", "first_content_timeout", "stall_timeout", "attempt_timeout", "adaptations", "last_resort")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[TargetPlan.Action]
        ACTION_TRY: _ClassVar[TargetPlan.Action]
        ACTION_SKIP: _ClassVar[TargetPlan.Action]
        ACTION_REFUSE: _ClassVar[TargetPlan.Action]
    ACTION_UNSPECIFIED: TargetPlan.Action
    ACTION_TRY: TargetPlan.Action
    ACTION_SKIP: TargetPlan.Action
    ACTION_REFUSE: TargetPlan.Action
    TARGET_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BENCH_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    FIRST_CONTENT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    STALL_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ADAPTATIONS_FIELD_NUMBER: _ClassVar[int]
    LAST_RESORT_FIELD_NUMBER: _ClassVar[int]
    target: str
    action: TargetPlan.Action
    reason: _attempt_pb2.FailureReason
    message: str
    bench: _attempt_pb2.BenchRecord
    probe: bool
    first_content_timeout: _duration_pb2.Duration
    stall_timeout: _duration_pb2.Duration
    attempt_timeout: _duration_pb2.Duration
    adaptations: _containers.RepeatedCompositeFieldContainer[Adaptation]
    last_resort: bool
    def __init__(self, target: _Optional[str] = ..., action: _Optional[_Union[TargetPlan.Action, str]] = ..., reason: _Optional[_Union[_attempt_pb2.FailureReason, str]] = ..., message: _Optional[str] = ..., bench: _Optional[_Union[_attempt_pb2.BenchRecord, _Mapping]] = ..., probe: _Optional[bool] = ..., first_content_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., stall_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., attempt_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., adaptations: _Optional[_Iterable[_Union[Adaptation, _Mapping]]] = ..., last_resort: _Optional[bool] = ...) -> None: ...

class Prompt(_message.Message):
    __slots__ = ("system_instruction", "messages", "tools", "tool_choice", "config", "response_schema_json", "cache_policy")
    SYSTEM_INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    TOOL_CHOICE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    CACHE_POLICY_FIELD_NUMBER: _ClassVar[int]
    system_instruction: str
    messages: _containers.RepeatedCompositeFieldContainer[_content_pb2.Message]
    tools: _containers.RepeatedCompositeFieldContainer[_content_pb2.Tool]
    tool_choice: _content_pb2.ToolChoice
    config: GenerationConfig
    response_schema_json: str
    cache_policy: CachePolicy
    def __init__(self, system_instruction: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_content_pb2.Message, _Mapping]]] = ..., tools: _Optional[_Iterable[_Union[_content_pb2.Tool, _Mapping]]] = ..., tool_choice: _Optional[_Union[_content_pb2.ToolChoice, _Mapping]] = ..., config: _Optional[_Union[GenerationConfig, _Mapping]] = ..., response_schema_json: _Optional[str] = ..., cache_policy: _Optional[_Union[CachePolicy, _Mapping]] = ...) -> None: ...

class GenerationConfig(_message.Message):
    __slots__ = ("max_output_tokens", "temperature", "top_p", "top_k", "stop_sequences", "seed", "reasoning", "provider_options_json")
    class ProviderOptionsJsonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    STOP_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_OPTIONS_JSON_FIELD_NUMBER: _ClassVar[int]
    max_output_tokens: int
    temperature: float
    top_p: float
    top_k: int
    stop_sequences: _containers.RepeatedScalarFieldContainer[str]
    seed: int
    reasoning: ReasoningConfig
    provider_options_json: _containers.ScalarMap[str, str]
    def __init__(self, max_output_tokens: _Optional[int] = ..., temperature: _Optional[float] = ..., top_p: _Optional[float] = ..., top_k: _Optional[int] = ..., stop_sequences: _Optional[_Iterable[str]] = ..., seed: _Optional[int] = ..., reasoning: _Optional[_Union[ReasoningConfig, _Mapping]] = ..., provider_options_json: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ReasoningConfig(_message.Message):
    __slots__ = ("effort", "budget_tokens", "include_text")
    class Effort(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EFFORT_UNSPECIFIED: _ClassVar[ReasoningConfig.Effort]
        EFFORT_NONE: _ClassVar[ReasoningConfig.Effort]
        EFFORT_MINIMAL: _ClassVar[ReasoningConfig.Effort]
        EFFORT_LOW: _ClassVar[ReasoningConfig.Effort]
        EFFORT_MEDIUM: _ClassVar[ReasoningConfig.Effort]
        EFFORT_HIGH: _ClassVar[ReasoningConfig.Effort]
        EFFORT_MAX: _ClassVar[ReasoningConfig.Effort]
    EFFORT_UNSPECIFIED: ReasoningConfig.Effort
    EFFORT_NONE: ReasoningConfig.Effort
    EFFORT_MINIMAL: ReasoningConfig.Effort
    EFFORT_LOW: ReasoningConfig.Effort
    EFFORT_MEDIUM: ReasoningConfig.Effort
    EFFORT_HIGH: ReasoningConfig.Effort
    EFFORT_MAX: ReasoningConfig.Effort
    EFFORT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_TOKENS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_TEXT_FIELD_NUMBER: _ClassVar[int]
    effort: ReasoningConfig.Effort
    budget_tokens: int
    include_text: bool
    def __init__(self, effort: _Optional[_Union[ReasoningConfig.Effort, str]] = ..., budget_tokens: _Optional[int] = ..., include_text: _Optional[bool] = ...) -> None: ...

class ChainOptions(_message.Message):
    __slots__ = ("transient_retries", "advance_on_permanent", "attempt_timeout", "first_content_timeout", "stall_timeout", "all_benched_policy", "interruption_policy", "advance_on")
    TRANSIENT_RETRIES_FIELD_NUMBER: _ClassVar[int]
    ADVANCE_ON_PERMANENT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    FIRST_CONTENT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    STALL_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ALL_BENCHED_POLICY_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTION_POLICY_FIELD_NUMBER: _ClassVar[int]
    ADVANCE_ON_FIELD_NUMBER: _ClassVar[int]
    transient_retries: int
    advance_on_permanent: bool
    attempt_timeout: _duration_pb2.Duration
    first_content_timeout: _duration_pb2.Duration
    stall_timeout: _duration_pb2.Duration
    all_benched_policy: AllBenchedPolicy
    interruption_policy: InterruptionPolicy
    advance_on: _containers.RepeatedScalarFieldContainer[_attempt_pb2.FailureReason]
    def __init__(self, transient_retries: _Optional[int] = ..., advance_on_permanent: _Optional[bool] = ..., attempt_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., first_content_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., stall_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., all_benched_policy: _Optional[_Union[AllBenchedPolicy, str]] = ..., interruption_policy: _Optional[_Union[InterruptionPolicy, str]] = ..., advance_on: _Optional[_Iterable[_Union[_attempt_pb2.FailureReason, str]]] = ...) -> None: ...

class Completion(_message.Message):
    __slots__ = ("generation_id", "target", "provider_model", "finish_reason", "provider_finish_reason", "usage", "attempts", "adaptations", "provider_response_id", "trace_id")
    GENERATION_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_MODEL_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ADAPTATIONS_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    generation_id: str
    target: str
    provider_model: str
    finish_reason: FinishReason
    provider_finish_reason: str
    usage: _attempt_pb2.Usage
    attempts: _containers.RepeatedCompositeFieldContainer[_attempt_pb2.Attempt]
    adaptations: _containers.RepeatedCompositeFieldContainer[Adaptation]
    provider_response_id: str
    trace_id: str
    def __init__(self, generation_id: _Optional[str] = ..., target: _Optional[str] = ..., provider_model: _Optional[str] = ..., finish_reason: _Optional[_Union[FinishReason, str]] = ..., provider_finish_reason: _Optional[str] = ..., usage: _Optional[_Union[_attempt_pb2.Usage, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[_attempt_pb2.Attempt, _Mapping]]] = ..., adaptations: _Optional[_Iterable[_Union[Adaptation, _Mapping]]] = ..., provider_response_id: _Optional[str] = ..., trace_id: _Optional[str] = ...) -> None: ...

class Adaptation(_message.Message):
    __slots__ = ("field", "description")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    field: str
    description: str
    def __init__(self, field: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class PartDelta(_message.Message):
    __slots__ = ("part_index", "text", "reasoning", "tool_call", "blob", "provider_state")
    PART_INDEX_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_STATE_FIELD_NUMBER: _ClassVar[int]
    part_index: int
    text: str
    reasoning: str
    tool_call: ToolCallDelta
    blob: _content_pb2.Blob
    provider_state: bytes
    def __init__(self, part_index: _Optional[int] = ..., text: _Optional[str] = ..., reasoning: _Optional[str] = ..., tool_call: _Optional[_Union[ToolCallDelta, _Mapping]] = ..., blob: _Optional[_Union[_content_pb2.Blob, _Mapping]] = ..., provider_state: _Optional[bytes] = ...) -> None: ...

class ToolCallDelta(_message.Message):
    __slots__ = ("id", "name", "arguments_json_fragment")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FRAGMENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    arguments_json_fragment: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., arguments_json_fragment: _Optional[str] = ...) -> None: ...

class Restart(_message.Message):
    __slots__ = ("interrupted", "target")
    INTERRUPTED_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    interrupted: _attempt_pb2.Attempt
    target: str
    def __init__(self, interrupted: _Optional[_Union[_attempt_pb2.Attempt, _Mapping]] = ..., target: _Optional[str] = ...) -> None: ...

class CachePolicy(_message.Message):
    __slots__ = ("cache_instructions", "cache_conversation")
    CACHE_INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    CACHE_CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    cache_instructions: bool
    cache_conversation: bool
    def __init__(self, cache_instructions: _Optional[bool] = ..., cache_conversation: _Optional[bool] = ...) -> None: ...
