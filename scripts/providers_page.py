"""Write docs/providers.md: what each provider's form of a request can say.

Nothing in its tables is written by hand: every cell is what a codec does with a prompt
that has that one feature.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from majordomo.chain.failure import Failure
from majordomo.codec.base import Codec
from majordomo.codec.errors.families import FAMILIES
from majordomo.contract import label
from majordomo.providers.kinds import KINDS
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.profiles import COMMON, PROFILES
from majordomo.providers.settings import HttpSettings, ProviderSettings
from majordomo.schemas.dialects import DIALECTS
from majordomo.schemas.keywords import ASSERTIONS
from majordomo.v1.attempt_pb2 import FailureReason
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Blob,
    CodeExecutionTool,
    FunctionTool,
    MediaReference,
    Message,
    OpaquePart,
    Part,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    UrlReadingTool,
    UserLocation,
    WebSearchTool,
)
from majordomo.v1.generation_service_pb2 import (
    CachePolicy,
    GenerationConfig,
    Prompt,
    ReasoningConfig,
)
from scripts import answers_table

PAGE = Path(__file__).parent.parent / "docs" / "providers.md"

HEAD = """\
# Providers

| kind | what it is | variable of its key |
| --- | --- | --- |
{kinds}

Every key of each is in [`configuration.md`](configuration.md). This page is written by
`make reference`: each cell below is what majordomo does with a request that has that
feature, for a model of which nothing is known.

- **yes**: it is sent in the wire's own form.
- **no**: the target is passed over as `UNSUPPORTED`, and the next one is tried.
- **automatic**: the provider does it by itself; nothing is sent.
- Anything else: what is changed or left out, reported in `Completion.adaptations`.

Of known models more is known ([`capabilities.py`](../server/majordomo/codec/capabilities.py)):
what a model refuses (sampling while it reasons, efforts that it has not, media) is
changed or left out and reported, never a reason to fail over. The configuration has the last word, by
`[providers.NAME.models."ID"]`. Images larger than a provider takes are scaled and encoded
again. URLs of media go to providers that fetch them; majordomo fetches nothing.

What a model needs to go on from its own turn (signatures of thinking, encrypted reasoning,
ids) comes back in `Part.provider_state`, goes to the same target again, verbatim, and to no
other. Reasoning text is shown where `ReasoningConfig.include_text` asks for it.

Tools that a provider runs itself (`Tool.web_search`, `code_execution`, `url_reading`) are
sent as its API calls them now. OpenAI's Chat Completions has web search for its search
models alone, such as `gpt-5-search-api`; Perplexity's models always search, within the
limits of the tool; xAI runs its tools in the Responses API: use `kind = "openai"` with
`base_url = "https://api.x.ai/v1"`. A vendor's other tools, such as image generation or
MCP servers, are added by `provider_options_json`, `{"tools": [...]}`, where the
provider's `provider_options` list `tools`.
"""  # noqa: E501 - tables

_PNG = b"\x89PNG"


def _part(part: Part) -> Callable[[Prompt], object]:
    return lambda prompt: prompt.messages[0].parts.append(part)


def _blob(media_type: str) -> Callable[[Prompt], object]:
    return _part(Part(blob=Blob(media_type=media_type, data=_PNG)))


def _link(media_type: str) -> Callable[[Prompt], object]:
    link = MediaReference(media_type=media_type, uri="https://example.org/x")
    return _part(Part(media_reference=link))


def _choice(**choice: object) -> Callable[[Prompt], object]:
    def choose(prompt: Prompt) -> None:
        prompt.tools.add(function=FunctionTool(name="f", description="Does it."))
        prompt.tool_choice.CopyFrom(ToolChoice(**choice))  # type: ignore[arg-type]

    return choose


def _result(*parts: Part, is_error: bool = False) -> Callable[[Prompt], object]:
    def call(prompt: Prompt) -> None:
        prompt.tools.append(Tool(function=FunctionTool(name="f")))
        asked = Part(tool_call=ToolCall(id="c1", name="f", arguments_json="{}"))
        prompt.messages.add(role=ROLE_ASSISTANT, parts=[asked])
        reported = ToolResult(tool_call_id="c1", parts=parts, is_error=is_error)
        prompt.messages.add(role=ROLE_TOOL, parts=[Part(tool_result=reported)])

    return call


def _answered(*parts: Part) -> Callable[[Prompt], object]:
    """A turn of another target's, and another question."""

    def answer(prompt: Prompt) -> None:
        prompt.messages.add(role=ROLE_ASSISTANT, parts=parts, origin="other/model")
        prompt.messages.add(role=ROLE_USER, parts=[Part(text="And?")])

    return answer


def _hosted(**tools: Any) -> Callable[[Prompt], object]:
    return lambda p: p.tools.extend(Tool(**{kind: it}) for kind, it in tools.items())


def _config(**config: object) -> Callable[[Prompt], object]:
    made = GenerationConfig(**config)  # type: ignore[arg-type]
    return lambda prompt: prompt.config.MergeFrom(made)


def _schema(prompt: Prompt) -> None:
    prompt.response_format.json_schema.schema_json = (
        '{"type":"object","properties":{},"additionalProperties":false,"required":[]}'
    )


def _answer_of(schema: str, prompt: Prompt) -> None:
    prompt.response_format.json_schema.schema_json = (
        f'{{"type":"object","properties":{{"a":{schema}}},'
        '"required":["a"],"additionalProperties":false,'
        '"$defs":{"item":{"type":"string"}}}'
    )


def _optional_keys(prompt: Prompt) -> None:
    prompt.response_format.json_schema.schema_json = (
        '{"type":"object","properties":{"a":{"type":"string"}}}'
    )


def _length(prompt: Prompt) -> None:
    _answer_of('{"type":"string","minLength":2}', prompt)


def _described_reference(prompt: Prompt) -> None:
    _answer_of('{"$ref":"#/$defs/item","description":"d"}', prompt)


def _any_keys(prompt: Prompt) -> None:
    _answer_of('{"type":"object","additionalProperties":{"type":"string"}}', prompt)


FEATURES: dict[str, Callable[[Prompt], object]] = {
    "system instruction": lambda p: p.system_instruction.add(text="Be brief."),
    "image, bytes": _blob("image/png"),
    "image, URL": _link("image/png"),
    "PDF, bytes": _blob("application/pdf"),
    "PDF, URL": _link("application/pdf"),
    "audio, bytes": _blob("audio/wav"),
    "tools": _choice(),
    "tool required": _choice(mode=ToolChoice.MODE_REQUIRED),
    "tool named": _choice(mode=ToolChoice.MODE_REQUIRED, allowed_names=["f"]),
    "one call at a time": _choice(parallel_calls=False),
    "failed tool result": _result(Part(text="no"), is_error=True),
    "image in a tool result": _result(
        Part(blob=Blob(media_type="image/png", data=_PNG))
    ),
    "image that a model wrote": _answered(
        Part(blob=Blob(media_type="image/png", data=_PNG))
    ),
    "audio that a model spoke": _answered(
        Part(text="Hi."), Part(blob=Blob(media_type="audio/wav", data=_PNG))
    ),
    "opaque part of another target": _answered(
        Part(text="Hi."), Part(opaque=OpaquePart(type="web_search_call"))
    ),
    "web search": _hosted(web_search=WebSearchTool()),
    "web search within domains": _hosted(
        web_search=WebSearchTool(allowed_domains=["example.org"])
    ),
    "web search but for domains": _hosted(
        web_search=WebSearchTool(blocked_domains=["example.org"])
    ),
    "web search, most uses": _hosted(web_search=WebSearchTool(max_uses=3)),
    "web search, user's location": _hosted(
        web_search=WebSearchTool(user_location=UserLocation(country="CH"))
    ),
    "code execution": _hosted(code_execution=CodeExecutionTool()),
    "URL reading": _hosted(url_reading=UrlReadingTool()),
    "web search beside functions": _hosted(
        web_search=WebSearchTool(), function=FunctionTool(name="f")
    ),
    "JSON Schema": _schema,
    "JSON Schema, optional keys": _optional_keys,
    "JSON Schema, a text's length": _length,
    "JSON Schema, `$ref` with a description": _described_reference,
    "JSON Schema, keys of any name": _any_keys,
    "longest answer": _config(max_output_tokens=100),
    "temperature": _config(temperature=0.5),
    "top_p": _config(top_p=0.9),
    "top_k": _config(top_k=5),
    "stop sequences": _config(stop_sequences=["."]),
    "seed": _config(seed=7),
    "reasoning, effort": _config(
        reasoning=ReasoningConfig(effort=ReasoningConfig.EFFORT_HIGH)
    ),
    "reasoning, budget": _config(reasoning=ReasoningConfig(budget_tokens=2000)),
    "prompt caching": lambda p: p.cache_policy.CopyFrom(
        CachePolicy(cache_instructions=True, cache_conversation=True)
    ),
}
"""A prompt is given the feature."""


def cell(codec: Codec, add: Callable[[Prompt], object]) -> str:
    """What `codec` makes of the feature."""
    plain, with_it = _prompt(), _prompt()
    add(with_it)
    before = codec.encode("some-model", plain, stream=False)
    try:
        after = codec.encode("some-model", with_it, stream=False)
    except Failure:
        return "no"
    known = {adaptation.field for adaptation in before.adaptations}
    reported = [a.description for a in after.adaptations if a.field not in known]
    if reported:
        return "; ".join(dict.fromkeys(reported))
    return "automatic" if after.body == before.body else "yes"


def _prompt() -> Prompt:
    return Prompt(messages=[Message(role=ROLE_USER, parts=[Part(text="hi")])])


def codecs() -> Iterator[tuple[str, Codec]]:
    """A codec of each API format that a kind of provider has, by how it is chosen."""
    for kind in KINDS:
        if issubclass(kind, HttpSettings):
            yield kind.kind_name(), _codec(kind, {})
            for key, value in _choices(kind):
                chosen = f'{kind.kind_name()}, {key} = "{value}"'
                yield chosen, _codec(kind, {key: value})


def _choices(kind: type[HttpSettings]) -> Iterator[tuple[str, str]]:
    """The values, but for defaults, of settings of its own that are a choice."""
    for name, field in kind.model_fields.items():
        own = name not in HttpSettings.model_fields
        if own and get_origin(field.annotation) is Literal:
            values = get_args(field.annotation)
            yield from ((name, value) for value in values if value != field.default)


def _codec(kind: type[HttpSettings], values: dict[str, str]) -> Codec:
    values = {"kind": kind.kind_name(), **values}
    if kind.model_fields["base_url"].is_required():
        values["base_url"] = "https://llm.example/v1"
    return kind.model_validate(values).codec("p")


def _kind(kind: type[ProviderSettings]) -> str:
    what = " ".join((kind.__doc__ or "").split())
    key = f"`{kind.KEY_VARIABLE}`" if kind.KEY_VARIABLE else "none"
    if not kind.KEY_VARIABLE and any(kind.presets()):
        key = "by name, see [configuration](configuration.md#without-a-file)"
    return _row(f"`{kind.kind_name()}`", what, key)


def page() -> str:
    """The whole page."""
    found = dict(codecs())
    kinds = "\n".join(_kind(kind) for kind in KINDS)
    lines = [HEAD.replace("{kinds}", kinds), "## By kind", ""]
    lines.append(_row("feature", *(f"`{kind}`" for kind in found)))
    lines.append(_row(*["---"] * (len(found) + 1)))
    for feature, add in FEATURES.items():
        lines.append(_row(feature, *(cell(codec, add) for codec in found.values())))
    lines += ["", "## By profile of `openai-compatible`", ""]
    lines.append("Where they differ from a server without one:")
    lines.append("")
    lines.append(_row("profile", "hosts", "otherwise"))
    lines.append(_row(*["---"] * 3))
    plain = OpenAICompatible("p", profile=COMMON)
    common = {name: cell(plain, add) for name, add in _items()}
    for name, profile in sorted(PROFILES.items()):
        codec = OpenAICompatible("p", profile=profile)
        reported = {feature: cell(codec, add) for feature, add in _items()}
        other = [
            f"{key}: {reported[key]}"
            for key in reported
            if reported[key] != common[key]
        ]
        hosts = ", ".join(f"`{host}`" for host in profile.hosts)
        lines.append(_row(f"`{name}`", hosts or "-", "; ".join(other) or "-"))
    lines += ["", answers_table.HEAD, _row("in an answer", *(f"`{k}`" for k in found))]
    lines.append(_row(*["---"] * (len(found) + 1)))
    lines += [_row(*cells) for cells in answers_table.rows(found)]
    return "\n".join([*lines, *_schemas(), *_refusals(), ""])


SCHEMAS = """\
## What vendors take of JSON Schema

Schemas of tools and answers are made to fit ([rules 8.8 and
8.9](semantics.md#8-classification)) by what vendors say of them, as data in
[`dialects.py`](../server/majordomo/schemas/dialects.py).
"""


def _schemas() -> list[str]:
    lines = [
        "",
        SCHEMAS,
        _row("what it is for", "keywords that it understands", "page"),
    ]
    lines.append(_row(*["---"] * 3))
    for dialect in DIALECTS:
        known = ", ".join(f"`{key}`" for key in sorted(dialect.keywords))
        understood = "all" if dialect.keywords == ASSERTIONS else known
        lines.append(_row(dialect.name, understood, f"<{dialect.source}>"))
    return lines


REFUSALS = """\
## What refusals mean

The body decides first, its codes before its words, and the status second
([rules 8.1 to 8.6](semantics.md#8-classification)). These kinds are recognised at every
provider; the first that fits is taken. Their words are in
[`families.py`](../server/majordomo/codec/errors/families.py): kinds, not sentences.
What fits none is UNSUPPORTED as a 400 or 422, CREDENTIALS as a 401, and goes by its
status otherwise: it ends no call.
"""


def _refusals() -> list[str]:
    lines = ["", REFUSALS, _row("meaning", "reason", "by its code alone")]
    lines.append(_row(*["---"] * 3))
    for family in FAMILIES:
        reason = label(FailureReason, family.reason)
        codes = f"{family.codes} {family.wide_codes}".split()
        reported = ", ".join(f"`{code}`" for code in codes)
        lines.append(_row(family.what, reason, reported or "-"))
    return lines


def _items() -> list[tuple[str, Callable[[Prompt], object]]]:
    return list(FEATURES.items())


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page())
