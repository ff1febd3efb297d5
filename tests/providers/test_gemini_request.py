"""Requests of generateContent: what is sent, what is changed, what is refused."""

import json
from base64 import b64encode
from itertools import pairwise
from typing import Any

import pytest
from google.genai import types
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel

from majordomo.chain.failure import Failure
from majordomo.codec.capabilities import Capabilities
from majordomo.codec.request_json import SCHEMA_PATH
from majordomo.codec.state import pack
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.gemini.request import UNSIGNED
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_INVALID_REQUEST,
    FAILURE_REASON_UNSUPPORTED,
)
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Blob,
    FunctionTool,
    MediaReference,
    Message,
    Part,
    Role,
    Tool,
    ToolCall,
    ToolChoice,
)
from majordomo.v1.generation_service_pb2 import (
    CachePolicy,
    GenerationConfig,
    JsonSchemaFormat,
    Prompt,
    ReasoningConfig,
    ResponseFormat,
)
from tests.providers.prompts import (
    CLOSED,
    NO_JSON,
    SCHEMA,
    call,
    prompts,
    reasoning,
    result,
    turn,
    user,
)

NEWER, OLDER = "gemini-3-pro", "gemini-2.5-flash"
TARGET = f"gemini/{NEWER}"
SIGNED = pack("gemini", signature="c2ln")
STATES = (
    SIGNED,
    pack("gemini", signature="c2ln", id="id1"),
    pack("gemini", signature="c2ln", thought="hm"),
    pack("gemini", signature="not base64!"),
    pack("anthropic", signature="c2ln"),
)
IMAGE = Part(blob=Blob(media_type="image/png", data=b"\x89PNG"))
IMAGE_SENT = {
    "inlineData": {"mimeType": "image/png", "data": b64encode(b"\x89PNG").decode()}
}
Json = dict[str, Any]
HI = user("hi")


def link(uri: str, media_type: str = "") -> Part:
    return Part(media_reference=MediaReference(uri=uri, media_type=media_type))


def encoded(
    prompt: Prompt, model: str = NEWER, *options: str
) -> tuple[Json, list[tuple[str, str]]]:
    """The request's body and the adaptations."""
    codec = Gemini("gemini", frozenset(options))
    request = codec.encode(model, prompt, stream=False)
    adaptations = [(a.field, a.description) for a in request.adaptations]
    return json.loads(request.body), adaptations


def contents(*turns: Message, model: str = NEWER) -> list[Json]:
    """The turns of a request; one of the user's comes first, and is left out."""
    prompt = Prompt(messages=[HI, *turns] if turns[0].role != ROLE_USER else turns)
    sent: list[Json] = encoded(prompt, model)[0]["contents"]
    return sent[len(prompt.messages) - len(turns) :]


def refused(prompt: Prompt, model: str = NEWER, *options: str) -> Failure:
    """The failure of a prompt that cannot be sent."""
    with pytest.raises(Failure) as caught:
        encoded(prompt, model, *options)
    return caught.value


SHAPES: dict[str, type[BaseModel]] = {
    "contents": types.Content,
    "systemInstruction": types.Content,
    "tools": types.Tool,
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
}


def check_shape(body: Json) -> None:
    """The official client's types, which forbid keys that they do not have."""
    for key, value in body.items():
        for entry in value if isinstance(value, list) else [value]:
            SHAPES[key].model_validate(entry)


MEDIA = ("image/png", "application/pdf", "audio/wav", "text/plain", "video/mp4")


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(prompt=prompts(MEDIA, MEDIA, STATES, TARGET))
@pytest.mark.parametrize(
    "model", [NEWER, OLDER, "gemini-2.0-flash", "gemini-flash-latest", "some-model"]
)
def test_what_is_sent_has_the_official_shape(model: str, prompt: Prompt) -> None:
    """Whatever is asked for: the official client knows every key and its type."""
    before = prompt.SerializeToString(deterministic=True)
    try:
        body, _ = encoded(prompt, model)
    except Failure as failure:
        # Older models take no schema beside tools.
        assert "beside tools" in failure.message  # noqa: PT017
        return

    check_shape(body)
    assert before == prompt.SerializeToString(deterministic=True)
    roles = [content["role"] for content in body["contents"]]
    assert all(one != next_ for one, next_ in pairwise(roles))
    assert all(content["parts"] for content in body["contents"])


def test_the_simplest_request() -> None:
    """Nothing is sent that was not asked for."""
    body, adaptations = encoded(Prompt(messages=[user("hi")]))

    assert {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]} == body
    assert [] == adaptations


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        (NEWER, False, "/models/gemini-3-pro:generateContent"),
        (NEWER, True, "/models/gemini-3-pro:streamGenerateContent?alt=sse"),
        ("models/gemini-3-pro", False, "/models/gemini-3-pro:generateContent"),
        ("a/b:c", False, "/models/a%2Fb%3Ac:generateContent"),
        ("~a#b", False, "/models/~a%23b:generateContent"),
    ],
)
def test_the_path(model: str, stream: bool, path: str) -> None:
    """Model and method are in it; a model's name cannot lead elsewhere."""
    prompt = Prompt(messages=[user("hi")])

    assert path == Gemini("gemini").encode(model, prompt, stream=stream).path


def test_conversation() -> None:
    """Instructions, texts, media, calls and all results of a turn together."""
    prompt = Prompt(
        system_instruction=[Part(text="Be brief.")],
        messages=[
            user("What is", IMAGE, link("https://x/y.PDF?z")),
            turn(ROLE_ASSISTANT, "See:", call("c1", '{"b": 1, "a": 2}'), call("c2")),
            turn(ROLE_TOOL, result("c1", "one", "two")),
            turn(ROLE_TOOL, result("c2", "three")),
            user("So?"),
        ],
    )
    body, adaptations = encoded(prompt, OLDER)
    pdf = {"mimeType": "application/pdf", "fileUri": "https://x/y.PDF?z"}

    def answer(text: str) -> Json:
        return {"functionResponse": {"name": "f", "response": {"output": text}}}

    assert {"parts": [{"text": "Be brief."}]} == body["systemInstruction"]
    assert [
        {
            "role": "user",
            "parts": [{"text": "What is"}, IMAGE_SENT, {"fileData": pdf}],
        },
        {
            "role": "model",
            "parts": [
                {"text": "See:"},
                {"functionCall": {"name": "f", "args": {"b": 1, "a": 2}}},
                {"functionCall": {"name": "f", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [answer("one\ntwo"), answer("three"), {"text": "So?"}],
        },
    ] == body["contents"]
    assert [] == adaptations


@pytest.mark.parametrize(
    ("said", "sent", "adapted"),
    [
        ("", {}, False),
        ("null", {}, False),
        (' {"a":[1]} ', {"a": [1]}, False),
        ("[1]", {"arguments": [1]}, True),
        ('"x"', {"arguments": "x"}, True),
        ('{"a": "cut', {"arguments": '{"a": "cut'}, True),
        (r'{"a":"\ud83d"}', {"arguments": r'{"a":"\ud83d"}'}, True),
        (r'{"a":"\ud83d\ude00"}', {"a": "😀"}, False),
    ],
)
def test_arguments_are_an_object(said: str, sent: Json, adapted: bool) -> None:
    """The wire takes no other; what is none is put into one."""
    body, adaptations = encoded(
        Prompt(
            messages=[
                HI,
                turn(ROLE_ASSISTANT, call("c", said)),
                turn(ROLE_TOOL, result("c", "1")),
            ]
        ),
        OLDER,
    )

    [part] = body["contents"][1]["parts"]
    assert sent == part["functionCall"]["args"]
    path = "prompt.messages[1].parts[0]"
    expected = [(path, "arguments put into an object")] if adapted else []
    assert expected == adaptations


# State and signatures.


def own_turn(origin: str) -> Message:
    """Reasoning, text and two calls with what the target reported beside them."""
    return turn(
        ROLE_ASSISTANT,
        reasoning("hm", pack("gemini", signature="dGhvdWdodA==")),
        reasoning("", pack("gemini", signature="aGlkZGVu", thought="secret")),
        reasoning("shown, unsigned"),
        Part(text="Well.", provider_state=pack("gemini", signature="dGV4dA==")),
        call("id1", state=pack("gemini", signature="Y2FsbA==", id="id1")),
        call("call_made_up"),
        Part(text="", provider_state=pack("gemini", signature="ZW5k")),
        origin=origin,
    )


def test_its_own_turn_goes_back_verbatim() -> None:
    """Each signature in its own part, an empty text's too; ids as they were given."""
    results = turn(ROLE_TOOL, result("call_made_up", "b"), result("id1", "a"))
    body, adaptations = encoded(Prompt(messages=[HI, own_turn(TARGET), results]))

    call_sent = {"name": "f", "args": {}}
    assert [
        {"text": "hm", "thought": True, "thoughtSignature": "dGhvdWdodA=="},
        {"text": "secret", "thought": True, "thoughtSignature": "aGlkZGVu"},
        {"text": "Well.", "thoughtSignature": "dGV4dA=="},
        {"functionCall": {**call_sent, "id": "id1"}, "thoughtSignature": "Y2FsbA=="},
        {"functionCall": call_sent},
        {"text": "", "thoughtSignature": "ZW5k"},
    ] == body["contents"][1]["parts"]
    # Without ids they are known by their order: that of the calls.
    assert [
        {
            "functionResponse": {
                "name": "f",
                "id": "id1",
                "response": {"output": "a"},
            }
        },
        {"functionResponse": {"name": "f", "response": {"output": "b"}}},
    ] == body["contents"][2]["parts"]
    leftover = (
        "prompt.messages[1].parts[2]",
        "left out: reasoning that this target cannot use",
    )
    assert [leftover] == adaptations


@pytest.mark.parametrize("origin", ["", "other/gemini-3-pro", "gemini/gemini-3-pro-x"])
def test_nothing_of_another_target_goes_out(origin: str) -> None:
    """Its reasoning is left out and stated so once; the first call has a stand-in."""
    results = turn(ROLE_TOOL, result("id1", "1"), result("call_made_up", "2"))
    said = [own_turn(origin), results]
    body, adaptations = encoded(Prompt(messages=[HI, *said, HI, *said]))

    call_sent = {"functionCall": {"name": "f", "args": {}}}
    turn_sent = [
        {"text": "Well."},
        {**call_sent, "thoughtSignature": UNSIGNED},
        call_sent,
    ]
    assert turn_sent == body["contents"][1]["parts"] == body["contents"][3]["parts"]
    path = "prompt.messages[1].parts[0]"
    expected = [(path, "left out: reasoning that this target cannot use")]
    assert expected == adaptations


@pytest.mark.parametrize(
    ("model", "signed"),
    [
        ("gemini-3-flash-preview", True),
        ("gemini-3.1-pro-preview", True),
        ("gemini-10-pro", True),
        ("gemini-flash-latest", True),
        ("gemini-flash-lite-latest", True),
        ("gemini-2.5-pro", False),
        ("gemini-2.0-flash", False),
        ("some-model", False),
    ],
)
def test_models_that_want_calls_signed(model: str, signed: bool) -> None:
    """From the third generation on; the names that move are of those by now."""
    sent = contents(turn(ROLE_ASSISTANT, call("c")), model=model)[0]

    assert signed == ("thoughtSignature" in sent["parts"][0])


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{",
        b"\xff",
        pack("anthropic", signature="c2ln"),
        pack("gemini", signature="no base64: é"),
        b'{"v":1,"wire":"gemini","strings":{"signature":3}}',
    ],
)
def test_state_that_is_none(state: bytes) -> None:
    """It is read as untrusted data: as if it were not there."""
    forged = turn(
        ROLE_ASSISTANT,
        reasoning("hm", state),
        Part(text="a", provider_state=state),
        call("c", state=state),
        origin=TARGET,
    )

    call_sent = {"functionCall": {"name": "f", "args": {}}}
    assert [
        {"text": "a"},
        {**call_sent, "thoughtSignature": UNSIGNED},
    ] == contents(forged)[0]["parts"]


def test_an_id_that_is_used_again() -> None:
    """A result belongs to the last call of that id, its name and its own id."""
    again = ToolCall(id="c", name="g", arguments_json="{}")
    turns = (
        turn(ROLE_ASSISTANT, call("c", state=STATES[1]), origin=TARGET),
        turn(ROLE_TOOL, result("c", "1")),
        turn(ROLE_ASSISTANT, Part(tool_call=again)),
        turn(ROLE_TOOL, result("c", "2")),
    )

    [_, first, _, second] = contents(*turns)
    assert [{"name": "f", "id": "id1", "response": {"output": "1"}}] == [
        part["functionResponse"] for part in first["parts"]
    ]
    assert [{"name": "g", "response": {"output": "2"}}] == [
        part["functionResponse"] for part in second["parts"]
    ]


# Results and media.


@pytest.mark.parametrize(("failed", "key"), [(True, "error"), (False, "output")])
def test_a_failed_tool(failed: bool, key: str) -> None:
    """The wire has a place for it."""
    turns = (
        turn(ROLE_ASSISTANT, call("c")),
        turn(ROLE_TOOL, result("c", "no file", is_error=failed)),
    )

    [_, sent] = contents(*turns)
    assert {key: "no file"} == sent["parts"][0]["functionResponse"]["response"]


@pytest.mark.parametrize(
    ("model", "media", "within"),
    [
        (NEWER, IMAGE, True),
        (NEWER, Part(blob=Blob(media_type="application/pdf", data=b"%")), True),
        (NEWER, Part(blob=Blob(media_type="audio/wav", data=b"RIFF")), False),
        (NEWER, link("https://x/y.png"), False),
        (OLDER, IMAGE, False),
    ],
)
def test_media_in_a_result(model: str, media: Part, within: bool) -> None:
    """Where it is not taken it follows all the results of the turn."""
    calls = turn(ROLE_ASSISTANT, call("c1"), call("c2"))
    results = turn(ROLE_TOOL, result("c1", "see", media), result("c2", "and"))
    prompt = Prompt(messages=[HI, calls, results])
    body, adaptations = encoded(prompt, model)

    first, second, *beside = body["contents"][2]["parts"]
    assert {"output": "see"} == first["functionResponse"]["response"]
    assert {"output": "and"} == second["functionResponse"]["response"]
    assert within == ("parts" in first["functionResponse"]) == (beside == [])
    path = "prompt.messages[2].parts[0].tool_result"
    expected = [] if within else [(path, "media moved beside the result")]
    assert expected == adaptations


@pytest.mark.parametrize(
    ("model", "sent"),
    [(NEWER, [{"parts": [IMAGE_SENT]}]), (OLDER, [{}, IMAGE_SENT])],
)
def test_media_of_a_failed_tool(model: str, sent: list[Json]) -> None:
    """They go the same way as those of a result."""
    turns = (
        user("hi"),
        turn(ROLE_ASSISTANT, call("c")),
        turn(ROLE_TOOL, result("c", "no", IMAGE, is_error=True)),
    )

    failed = {"name": "f", "response": {"error": "no"}}
    expected = [{"functionResponse": {**failed, **sent[0]}}, *sent[1:]]
    assert expected == contents(*turns, model=model)[2]["parts"]


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (
            Part(blob=Blob(media_type="audio/mpeg", data=b"ID3")),
            {"inlineData": {"mimeType": "audio/mpeg", "data": "SUQz"}},
        ),
        (
            link("https://x/y", "audio/wav"),
            {"fileData": {"mimeType": "audio/wav", "fileUri": "https://x/y"}},
        ),
        (link("https://youtu.be/z"), {"fileData": {"fileUri": "https://youtu.be/z"}}),
        (
            link("gs://b/c", "audio/wav"),
            {"fileData": {"mimeType": "audio/wav", "fileUri": "gs://b/c"}},
        ),
        (
            link("https://x/clip.MP4#t=3"),
            {
                "fileData": {
                    "mimeType": "video/mp4",
                    "fileUri": "https://x/clip.MP4#t=3",
                }
            },
        ),
    ],
)
def test_media(part: Part, sent: Json) -> None:
    """By bytes and by URL; what a link leads to is known by its ending, or not."""
    assert [sent] == contents(user(part))[0]["parts"]


@pytest.mark.rule("2.2")
@pytest.mark.parametrize(
    ("part", "role"),
    [
        (IMAGE, ROLE_USER),
        (link("https://x/y.jpg"), ROLE_USER),
        (Part(), ROLE_USER),
        (result("c", IMAGE), ROLE_TOOL),
    ],
)
def test_media_that_a_model_does_not_take(part: Part, role: Role) -> None:
    """The target is passed over, and the failure says where."""
    codec = Gemini("gemini", known=lambda _: Capabilities(media=frozenset({"pdf"})))
    prompt = Prompt(messages=[user("a"), turn(role, part)])

    with pytest.raises(Failure) as caught:
        codec.encode("m", prompt, stream=False)
    assert FAILURE_REASON_UNSUPPORTED == caught.value.reason
    assert caught.value.message.startswith("prompt.messages[1].parts[0]")


# Tools.

PARAMETERS = '{"properties": {"z": {}, "a": {}}, "type": "object"}'
TOOLS = [
    Tool(
        function=FunctionTool(
            name="f", description="Does f.", parameters_schema_json=PARAMETERS
        )
    ),
    Tool(function=FunctionTool(name="g")),
]


def test_tools() -> None:
    """Schemas are sent as they were written, under the key that takes any."""
    prompt = Prompt(messages=[user("a")], tools=TOOLS)
    request = Gemini("gemini").encode(NEWER, prompt, stream=False)

    declared = [
        {
            "name": "f",
            "description": "Does f.",
            "parametersJsonSchema": json.loads(PARAMETERS),
        },
        {"name": "g"},
    ]
    assert [{"functionDeclarations": declared}] == json.loads(request.body)["tools"]
    assert f'"parametersJsonSchema":{PARAMETERS}'.encode() in request.body


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice(), None),
        (ToolChoice(mode=ToolChoice.MODE_AUTO), {"mode": "AUTO"}),
        (ToolChoice(mode=ToolChoice.MODE_NONE), {"mode": "NONE"}),
        (ToolChoice(mode=ToolChoice.MODE_REQUIRED), {"mode": "ANY"}),
        (
            ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed_names=["g", "f"]),
            {"mode": "ANY", "allowedFunctionNames": ["g", "f"]},
        ),
    ],
)
def test_tool_choice(choice: ToolChoice, sent: Json | None) -> None:
    """Each choice has its form; without tools there is none."""
    body, adaptations = encoded(Prompt(tools=TOOLS, tool_choice=choice))

    config = {"functionCallingConfig": sent} if sent else None
    assert config == body.get("toolConfig")
    assert [] == adaptations
    assert "toolConfig" not in encoded(Prompt(tool_choice=choice))[0]


def test_one_call_at_a_time() -> None:
    """That cannot be asked for."""
    path = "prompt.tool_choice.parallel_calls"
    left_out = [(path, "left out: not in this wire")]
    for parallel, adapted in ((True, []), (False, left_out)):
        choice = ToolChoice(parallel_calls=parallel)

        assert adapted == encoded(Prompt(tools=TOOLS, tool_choice=choice))[1]


@pytest.mark.parametrize("name", ["3d", "-f"])
def test_a_name_that_the_wire_refuses(name: str) -> None:
    """Another stands for it, also where it was called before."""
    named = Part(tool_call=ToolCall(id="c", name=name, arguments_json="{}"))
    prompt = Prompt(
        messages=[HI, turn(ROLE_ASSISTANT, named), turn(ROLE_TOOL, result("c", "1"))],
        tools=[TOOLS[0], Tool(function=FunctionTool(name=name))],
        tool_choice=ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed_names=[name]),
    )
    request = Gemini("gemini").encode(NEWER, prompt, stream=False)
    body = json.loads(request.body)

    [(sent, said)] = request.renamed.items()
    assert name == said
    _, asked, reported = body["contents"]
    config = body["toolConfig"]["functionCallingConfig"]
    assert {sent} == {
        body["tools"][0]["functionDeclarations"][1]["name"],
        asked["parts"][0]["functionCall"]["name"],
        reported["parts"][0]["functionResponse"]["name"],
        *config["allowedFunctionNames"],
    }
    path = "prompt.messages[1].parts[0].tool_call.name"
    assert [(path, f"sent as {sent}")] == [
        (a.field, a.description) for a in request.adaptations
    ]


# Reasoning.

NONE, MINIMAL, LOW, MEDIUM, HIGH, MAX = (
    ReasoningConfig.EFFORT_NONE,
    ReasoningConfig.EFFORT_MINIMAL,
    ReasoningConfig.EFFORT_LOW,
    ReasoningConfig.EFFORT_MEDIUM,
    ReasoningConfig.EFFORT_HIGH,
    ReasoningConfig.EFFORT_MAX,
)


def thinking(model: str, **asked: Any) -> tuple[Json | None, list[tuple[str, str]]]:
    """The thinkingConfig and the adaptations."""
    config = GenerationConfig(reasoning=ReasoningConfig(**asked))
    body, adaptations = encoded(Prompt(config=config), model)
    return body.get("generationConfig", {}).get("thinkingConfig"), adaptations


@pytest.mark.parametrize(
    ("model", "effort", "level", "adapted"),
    [
        (NEWER, LOW, "low", False),
        (NEWER, MAX, "high", True),
        (NEWER, NONE, "low", True),
        (NEWER, MINIMAL, "low", True),
        ("gemini-3-flash-preview", MINIMAL, "minimal", False),
        ("gemini-3-flash-preview", NONE, "minimal", True),
        ("gemini-3.7-flash", MINIMAL, "low", True),
        ("gemini-pro-latest", MEDIUM, "medium", False),
        ("some-model", HIGH, "high", False),
        ("deepseek-v4", MAX, "high", True),
        ("deepseek-v4", NONE, "low", True),
    ],
)
def test_effort_by_level(
    model: str, effort: ReasoningConfig.Effort, level: str, adapted: bool
) -> None:
    """The nearest that the model knows, of those that the wire has."""
    path = "prompt.config.reasoning.effort"

    assert (
        {"thinkingLevel": level},
        [(path, f"sent as {level}")] if adapted else [],
    ) == thinking(model, effort=effort)


@pytest.mark.parametrize(
    ("model", "asked", "budget", "adapted"),
    [
        ("gemini-2.5-flash", {"effort": NONE}, 0, None),
        ("gemini-2.5-flash", {"effort": MEDIUM}, 8192, None),
        ("gemini-2.5-flash", {"effort": HIGH}, 16384, None),
        ("gemini-2.5-flash", {"budget_tokens": 2000}, 2000, None),
        ("gemini-2.5-flash", {"budget_tokens": 0}, 0, None),
        ("gemini-2.5-flash", {"budget_tokens": 99_999}, 24576, "lowered to 24576"),
        ("gemini-2.5-flash-lite", {"budget_tokens": 9}, 512, "raised to 512"),
        ("gemini-2.5-flash-lite", {"effort": NONE}, 0, None),
        ("gemini-2.5-pro", {"effort": NONE}, 128, "raised to 128"),
        ("gemini-2.5-pro", {"budget_tokens": 0}, 128, "raised to 128"),
        ("gemini-2.5-pro", {"budget_tokens": 30_000}, 30_000, None),
        ("some-model", {"budget_tokens": 7}, 7, None),
    ],
)
def test_budget(model: str, asked: Json, budget: int, adapted: str | None) -> None:
    """Tokens for the models that count them, within what each takes."""
    sent, adaptations = thinking(model, **asked)

    assert {"thinkingBudget": budget} == sent
    path = f"prompt.config.reasoning.{next(iter(asked))}"
    assert ([path] if adapted else []) == [field for field, _ in adaptations]
    assert all(words.startswith(adapted or "") for _, words in adaptations)


def test_reasoning_that_a_model_does_not_take() -> None:
    """A budget where there are levels, anything where there is no reasoning."""
    path = "prompt.config.reasoning"

    left = [(f"{path}.budget_tokens", "left to the model: it takes none")]
    assert (None, left) == thinking(NEWER, budget_tokens=100)
    left = [(path, "left out: the model does not reason")]
    older = "gemini-2.0-flash"
    assert (None, left) == thinking(older, effort=LOW, include_text=True)
    assert (None, []) == thinking(older, effort=NONE)


@pytest.mark.parametrize("model", [NEWER, OLDER, "some-model"])
def test_thoughts_that_are_to_be_seen(model: str) -> None:
    """They come only if they are asked for."""
    assert ({"includeThoughts": True}, []) == thinking(model, include_text=True)
    assert (None, []) == thinking(model)


# Sampling, length, schema.

SAMPLED = GenerationConfig(
    max_output_tokens=100,
    temperature=0.0,
    top_p=0.5,
    top_k=7,
    seed=42,
    stop_sequences=["a", "b"],
)


def test_config() -> None:
    """Each setting under its name, a zero too."""
    body, adaptations = encoded(Prompt(config=SAMPLED))

    assert {
        "maxOutputTokens": 100,
        "temperature": 0.0,
        "topP": 0.5,
        "topK": 7,
        "seed": 42,
        "stopSequences": ["a", "b"],
    } == body["generationConfig"]
    assert [] == adaptations


def test_what_is_configured_of_a_model() -> None:
    """Sampling that it refuses is left out, its length kept, its schema reported."""
    known = Capabilities(sampling=False, schema=False, max_output_tokens=50)
    prompt = Prompt(
        config=SAMPLED,
        response_format=ResponseFormat(
            json_schema=JsonSchemaFormat(schema_json=CLOSED)
        ),
    )
    codec = Gemini("gemini", known=lambda _: known)
    request = codec.encode("m", prompt, stream=False)
    body = json.loads(request.body)

    config = {"maxOutputTokens": 50, "seed": 42, "stopSequences": ["a", "b"]}
    assert config == body["generationConfig"]
    assert body["systemInstruction"]["parts"][0]["text"].endswith(CLOSED)
    refused_words = "left out: the model refuses it"
    assert [
        ("prompt.config.temperature", refused_words),
        ("prompt.config.top_p", refused_words),
        ("prompt.config.top_k", refused_words),
        ("prompt.config.max_output_tokens", "lowered to 50, the most of the model"),
        (
            "prompt.response_format.json_schema.schema_json",
            "not enforced: asked for in the instructions",
        ),
    ] == [(a.field, a.description) for a in request.adaptations]


def test_config_schema_and_tools() -> None:
    """Each by the wire's own name; caching needs nothing."""
    prompt = Prompt(
        messages=[user("hi")],
        config=SAMPLED,
        response_format=ResponseFormat(
            json_schema=JsonSchemaFormat(schema_json=CLOSED)
        ),
        tools=[
            Tool(
                function=FunctionTool(
                    name="f", description="d", parameters_schema_json=PARAMETERS
                )
            )
        ],
        tool_choice=ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed_names=["f"]),
        cache_policy=CachePolicy(cache_instructions=True, cache_conversation=True),
    )
    body, adaptations = encoded(prompt)
    del body["contents"]

    assert {
        "generationConfig": {
            "maxOutputTokens": 100,
            "temperature": 0.0,
            "topP": 0.5,
            "topK": 7,
            "seed": 42,
            "stopSequences": ["a", "b"],
            "responseMimeType": "application/json",
            "responseJsonSchema": json.loads(CLOSED),
        },
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "f",
                        "description": "d",
                        "parametersJsonSchema": json.loads(PARAMETERS),
                    }
                ]
            }
        ],
        "toolConfig": {
            "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}
        },
    } == body
    assert [] == adaptations


def test_a_schema_beside_tools() -> None:
    """Older models refuse it, and are passed over; either alone they take."""
    failure = refused(
        Prompt(
            tools=TOOLS,
            response_format=ResponseFormat(
                json_schema=JsonSchemaFormat(schema_json=SCHEMA)
            ),
        ),
        OLDER,
    )

    assert FAILURE_REASON_UNSUPPORTED == failure.reason
    words = f"{SCHEMA_PATH}: the model takes no schema beside tools"
    assert words == failure.message
    body = encoded(
        Prompt(
            response_format=ResponseFormat(
                json_schema=JsonSchemaFormat(schema_json=SCHEMA)
            )
        ),
        OLDER,
    )[0]
    assert json.loads(SCHEMA) == body["generationConfig"]["responseJsonSchema"]


def test_what_is_understood_of_a_schema() -> None:
    """The rest is stated in words; names are no keywords, order is kept."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "definitions": {"pattern": {"const": "x", "default": "x"}},
        "properties": {
            "not": {"type": "string", "pattern": "a+", "minLength": 2},
            "b": {"$ref": "#/definitions/pattern", "description": "a b"},
            "a": {"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, True]},
            "c": {"type": "array", "items": {"const": None}, "maxItems": 3},
        },
        "additionalProperties": {"type": "string", "format": "date"},
    }
    body, adaptations = encoded(
        Prompt(
            response_format=ResponseFormat(
                json_schema=JsonSchemaFormat(schema_json=json.dumps(schema))
            )
        )
    )

    sent = body["generationConfig"]["responseJsonSchema"]
    assert {
        "type": "object",
        "$defs": {"pattern": {"enum": ["x"]}},
        "properties": {
            "not": {"type": "string", "description": '(pattern: "a+", minLength: 2)'},
            "b": {"description": "a b", "anyOf": [{"$ref": "#/$defs/pattern"}]},
            "a": {
                "anyOf": [
                    {"type": "integer", "description": "(exclusiveMinimum: 0)"},
                    True,
                ]
            },
            "c": {
                "type": "array",
                "items": {"description": "(const: null)"},
                "maxItems": 3,
            },
        },
        "additionalProperties": {"type": "string", "format": "date"},
    } == sent
    assert ["not", "b", "a", "c"] == list(sent["properties"])
    words = "not enforced: const, exclusiveMinimum, minLength, pattern"
    assert [("prompt.response_format.json_schema.schema_json", words)] == adaptations


# What callers bring.


@pytest.mark.parametrize(
    "key",
    [
        "unlisted",
        "contents",
        "generationConfig",
        "generation_config",
        "system_instruction",
        "tools",
    ],
)
def test_provider_options(key: str) -> None:
    """Keys that are listed, but none that the server writes itself."""
    config = GenerationConfig()
    options = config.provider_options_json
    reserved = ("contents", "tools", "generationConfig", "generation_config")
    listed = ("safetySettings", "system_instruction", *reserved)
    options["gemini"] = '{"safetySettings": [1]}'
    assert [1] == encoded(Prompt(config=config), "m", *listed)[0]["safetySettings"]

    assert "may not set 'safetySettings'" in refused(Prompt(config=config), "m").message

    options["gemini"] = json.dumps({key: 1})
    failure = refused(Prompt(config=config), "m", *listed)
    assert FAILURE_REASON_UNSUPPORTED == failure.reason
    assert repr(key) in failure.message


@pytest.mark.parametrize(
    "prompt",
    [
        *NO_JSON,
        Prompt(
            response_format=ResponseFormat(
                json_schema=JsonSchemaFormat(schema_json='{"properties": 3}')
            )
        ),
        Prompt(
            response_format=ResponseFormat(
                json_schema=JsonSchemaFormat(
                    schema_json='{"items":' * 5000 + "1" + "}" * 5000
                )
            )
        ),
    ],
)
def test_texts_that_are_no_json(prompt: Prompt) -> None:
    """They are not spliced into a request."""
    assert FAILURE_REASON_INVALID_REQUEST == refused(prompt).reason
