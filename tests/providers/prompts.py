"""Prompts of every combination of features, for tests of what is sent for them."""

import json

from hypothesis import strategies as st

from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Blob,
    FunctionTool,
    MediaReference,
    Message,
    OpaquePart,
    Part,
    Reasoning,
    Role,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import (
    CachePolicy,
    GenerationConfig,
    JsonFormat,
    JsonSchemaFormat,
    Prompt,
    ReasoningConfig,
    ResponseFormat,
    TextFormat,
)

TEXTS = st.text(min_size=1, max_size=8)
IDS = st.sampled_from(["call_1", "toolu_01ABC", "x" * 70, "with space", "a|b", "é"])
NAMES = ["f", "g_2", "h-3"]
MODES = [
    ToolChoice.MODE_UNSPECIFIED,
    ToolChoice.MODE_AUTO,
    ToolChoice.MODE_NONE,
    ToolChoice.MODE_REQUIRED,
]
EFFORTS = [
    ReasoningConfig.EFFORT_NONE,
    ReasoningConfig.EFFORT_MINIMAL,
    ReasoningConfig.EFFORT_LOW,
    ReasoningConfig.EFFORT_MEDIUM,
    ReasoningConfig.EFFORT_HIGH,
    ReasoningConfig.EFFORT_MAX,
]
SCHEMA = '{"type":"object","required":["b"],"properties":{"b":{},"a":{"type":"null"}}}'
CLOSED = (
    '{"type":"object","additionalProperties":false,"required":["a"],'
    '"properties":{"a":{"type":"integer"}}}'
)


NO_JSON = [
    Prompt(
        tools=[
            Tool(
                function=FunctionTool(
                    name="f", parameters_schema_json='{"a":1},"model":"x"'
                )
            )
        ]
    ),
    *(
        Prompt(
            response_format=ResponseFormat(
                json_schema=JsonSchemaFormat(schema_json=text)
            )
        )
        for text in ("nope", "3", "[" * 100_000)
    ),
]
"""Prompts whose texts are not the JSON, or not the schemas, that they should be."""
_FORMATS = [
    None,
    ResponseFormat(json_schema=JsonSchemaFormat(schema_json=SCHEMA)),
    ResponseFormat(json_schema=JsonSchemaFormat(schema_json=CLOSED, name="form")),
    ResponseFormat(json=JsonFormat()),
    ResponseFormat(text=TextFormat()),
]


def prompts(
    blobs: tuple[str, ...],
    links: tuple[str, ...],
    states: tuple[bytes, ...] = (),
    origin: str = "",
) -> st.SearchStrategy[Prompt]:
    """Prompts with media of these types, and turns from `origin` with such states."""
    media = _media(blobs, links)
    return st.builds(
        Prompt,
        system_instruction=st.lists(
            st.builds(Part, text=st.sampled_from(["", "Be brief."])), max_size=2
        ),
        messages=st.lists(_turns(media, states, origin), min_size=1, max_size=3).map(
            lambda turns: [message for turn in turns for message in turn]
        ),
        tools=st.lists(_tools(), max_size=3, unique_by=lambda tool: tool.function.name),
        tool_choice=_tool_choices(),
        config=_configs(),
        response_format=st.sampled_from(_FORMATS),
        cache_policy=st.builds(
            CachePolicy,
            cache_instructions=st.booleans(),
            cache_conversation=st.booleans(),
        ),
    )


def _texts() -> st.SearchStrategy[Part]:
    return TEXTS.map(lambda text: Part(text=text))


def _media(blobs: tuple[str, ...], links: tuple[str, ...]) -> st.SearchStrategy[Part]:
    return st.sampled_from(
        [Part(blob=Blob(media_type=kind, data=b"\x89PNG")) for kind in blobs]
        + [
            Part(media_reference=MediaReference(media_type=kind, uri="https://x.y/z"))
            for kind in links
        ]
    )


def _said(media: st.SearchStrategy[Part]) -> st.SearchStrategy[list[Part]]:
    """Texts and media, as users and tools say them."""
    return st.lists(_texts() | media, min_size=1, max_size=3)


@st.composite
def _turns(
    draw: st.DrawFn,
    media: st.SearchStrategy[Part],
    states: tuple[bytes, ...],
    origin: str,
) -> list[Message]:
    """A user's turn and the model's, with the results of the tools that it called."""
    state = st.sampled_from([b"", b"nonsense", *states])
    user = Message(role=ROLE_USER, parts=draw(_said(media)))
    model = Message(
        role=ROLE_ASSISTANT, origin=draw(st.sampled_from(["", "other/model", origin]))
    )
    if draw(st.booleans()):
        reasoning = Reasoning(text=draw(st.sampled_from(["", "hm"])))
        model.parts.append(Part(reasoning=reasoning, provider_state=draw(state)))
    for text in draw(st.lists(TEXTS, max_size=2)):
        model.parts.append(Part(text=text, provider_state=draw(state)))
    if draw(st.booleans()):
        opaque = OpaquePart(type="web_search_call")
        model.parts.append(Part(opaque=opaque, provider_state=draw(state)))
    ids = draw(st.lists(IDS, max_size=2, unique=True))
    for id_ in ids:
        arguments = json.dumps(draw(st.dictionaries(TEXTS, st.integers(), max_size=1)))
        call = ToolCall(id=id_, name=draw(st.sampled_from(NAMES)))
        call.arguments_json = draw(st.sampled_from(["", arguments]))
        model.parts.append(Part(tool_call=call, provider_state=draw(state)))
    turns = [user]
    if model.parts:
        turns.append(model)
    if ids:
        tool = Message(role=ROLE_TOOL)
        for id_ in ids:
            result = ToolResult(tool_call_id=id_, is_error=draw(st.booleans()))
            result.parts.extend(draw(st.just([]) | _said(media)))
            tool.parts.append(Part(tool_result=result))
        turns.append(tool)
    return turns


def _tools() -> st.SearchStrategy[Tool]:
    function = st.builds(
        FunctionTool,
        name=st.sampled_from(NAMES),
        description=st.sampled_from(["", "Does it."]),
        parameters_schema_json=st.sampled_from(["", SCHEMA, CLOSED]),
    )
    return st.builds(Tool, function=function)


@st.composite
def _tool_choices(draw: st.DrawFn) -> ToolChoice:
    choice = ToolChoice(mode=draw(st.sampled_from(MODES)))
    if choice.mode == ToolChoice.MODE_REQUIRED:
        names = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
        choice.allowed_names.extend(names)
    if draw(st.booleans()):
        choice.parallel_calls = draw(st.booleans())
    return choice


@st.composite
def _configs(draw: st.DrawFn) -> GenerationConfig:
    config = GenerationConfig(
        max_output_tokens=draw(st.sampled_from([None, 100])),
        temperature=draw(st.sampled_from([None, 0.5])),
        top_p=draw(st.sampled_from([None, 0.9])),
        top_k=draw(st.sampled_from([None, 7])),
        seed=draw(st.sampled_from([None, 42])),
        stop_sequences=draw(st.sampled_from([[], ["a"], ["a", "b"]])),
    )
    reasoning = ReasoningConfig(include_text=draw(st.booleans()))
    if draw(st.booleans()):
        reasoning.effort = draw(st.sampled_from(EFFORTS))
    elif draw(st.booleans()):
        reasoning.budget_tokens = 2000
    config.reasoning.CopyFrom(reasoning)
    return config


def turn(role: Role, *parts: Part | str, origin: str = "") -> Message:
    """A turn of texts and other parts."""
    said = [Part(text=p) if isinstance(p, str) else p for p in parts]
    return Message(role=role, parts=said, origin=origin)


def user(*parts: Part | str) -> Message:
    return turn(ROLE_USER, *parts)


def call(id_: str, arguments: str = "{}", state: bytes = b"") -> Part:
    """A call of the tool "f"."""
    tool_call = ToolCall(id=id_, name="f", arguments_json=arguments)
    return Part(tool_call=tool_call, provider_state=state)


def result(id_: str, *parts: Part | str, is_error: bool = False) -> Part:
    """The answer to a call."""
    said = [Part(text=p) if isinstance(p, str) else p for p in parts]
    return Part(tool_result=ToolResult(tool_call_id=id_, parts=said, is_error=is_error))


def reasoning(text: str, state: bytes = b"") -> Part:
    """What the model thought."""
    return Part(reasoning=Reasoning(text=text), provider_state=state)
