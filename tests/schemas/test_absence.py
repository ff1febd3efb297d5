"""Nulls that stand for absent keys are taken out again, wherever an answer is cut."""

import json
from typing import Any

import pytest

from majordomo.schemas.absence import AbsentKeys, Place
from majordomo.schemas.dialects import OPENAI_STRICT
from majordomo.schemas.fitted import fitted
from majordomo.v1.generation_service_pb2 import StreamResponse
from testkit.servers import generate, rest_of, running, stream, text_of
from testkit.upstream import Upstream, completion, serve, streamed

ITEM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"type": "string"},
        "n": {"type": ["integer", "null"]},
        "list": {"type": "array", "items": {"$ref": "#"}},
        "inner": {"type": "object", "properties": {"b": {"type": "boolean"}}},
    },
}
SCHEMA = json.dumps(ITEM)
CUT = [
    ('{"a": null, "n": null, "list": null, "inner": null}', '{ "n": null}'),
    ('{"a":null,"n":1,"list":[{"a":"null","n":null},{"a":null}]}',
     '{"n":1,"list":[{"a":"null","n":null},{}]}'),
    ('{"n":1,"a":null}', '{"n":1}'),
    ('{"inner":{"b":null},"a":"x\\"},{\\"a\\":null"}',
     '{"inner":{},"a":"x\\"},{\\"a\\":null"}'),
    ('{"other":{"a":null},"\\u0061":null}', '{"other":{"a":null}}'),
    ('{"a":nul', '{"a":nul'),
    ('{"a":"x', '{"a":"x'),
    ('{"a":null', '{"a":null'),
    ("no JSON, null", "no JSON, null"),
    ("", ""),
    (' \n{"a":null} and "a":null', ' \n{} and "a":null'),
    ("[null]", "[null]"),
    ("null", "null"),
    ('{"a":null,}', "{,}"),
    ("}{", "}{"),
]  # fmt: skip
"""What a target sends, and what the caller gets."""


def place() -> Place:
    absent = fitted(SCHEMA, OPENAI_STRICT).absent
    assert absent is not None
    return absent


@pytest.mark.rule("8.9")
@pytest.mark.parametrize(("sent", "got"), CUT)
def test_a_text_in_two_pieces(sent: str, got: str) -> None:
    """The same wherever it is cut; and piece by piece as well."""
    for at in range(len(sent) + 1):
        keys = AbsentKeys(place())
        assert got == keys.feed(sent[:at]) + keys.feed(sent[at:]) + keys.end()
    keys = AbsentKeys(place())
    assert got == "".join(map(keys.feed, sent)) + keys.end()


def test_nothing_is_held_but_a_key_and_its_null() -> None:
    """A long text comes as it comes."""
    keys = AbsentKeys(place())

    pieces = [
        *map(keys.feed, ('{"a', '": ', '"so', " it", ' goes"', ', "n": n', "ull}"))
    ]

    assert ["{", "", '"a": "so', " it", ' goes"', "", ', "n": null}'] == pieces


CONFIG = """
[providers.strict]
kind = "openai-compatible"
base_url = "{url}/v1"
profile = "openai"
"""
ANSWER = '{"a": null, "n": 3, "list": [{"a": "x", "n": null, "list": null}]}'
RESTORED = '{ "n": 3, "list": [{"a": "x", "n": null}]}'


@pytest.mark.rule("8.9")
async def test_a_whole_answer() -> None:
    """The target was asked for every key; the caller's schema has them optional."""
    request = generate("strict/m")
    request.call.prompt.response_format.json_schema.schema_json = SCHEMA
    request.call.prompt.config.max_output_tokens = 100
    async with (
        Upstream(serve(completion(ANSWER))) as upstream,
        running(CONFIG.format(url=upstream.url)) as it,
    ):
        response = await it.generation.Generate(request)
        asked = json.loads(upstream.requests[0].body)["response_format"]["json_schema"]

    assert RESTORED == response.message.parts[0].text
    assert asked["strict"]
    assert ["a", "n", "list", "inner"] == asked["schema"]["required"]
    reported = [
        adaptation.description for adaptation in response.completion.adaptations
    ]
    words = "objects take no keys but those listed; null stood for absent keys"
    assert words in reported


@pytest.mark.rule("8.9")
async def test_a_streamed_answer() -> None:
    """Cut between any two characters."""
    request = stream("strict/m")
    request.call.prompt.response_format.json_schema.schema_json = SCHEMA
    async with (
        Upstream(serve(streamed(ANSWER))) as upstream,
        running(CONFIG.format(url=upstream.url)) as it,
    ):
        events: list[StreamResponse] = await rest_of(it.generation.Stream(request))

    assert RESTORED == text_of(events)
    assert all(e.part_delta.text for e in events if e.HasField("part_delta"))


async def test_an_answer_that_is_cut_short() -> None:
    """What was held comes at its end: it may be that it was no null."""
    request = stream("strict/m")
    request.call.prompt.response_format.json_schema.schema_json = SCHEMA
    async with (
        Upstream(serve(streamed(['{"n": 1', ', "a": nu']))) as upstream,
        running(CONFIG.format(url=upstream.url)) as it,
    ):
        events: list[StreamResponse] = await rest_of(it.generation.Stream(request))

    assert '{"n": 1, "a": nu' == text_of(events)


async def test_what_is_enforced_as_it_is_stays() -> None:
    """Null may be a value of the caller's own schema."""
    request = generate("strict/m")
    properties = {name: ITEM["properties"][name] for name in ("a", "n")}
    closed = {
        "type": "object",
        "properties": properties,
        "required": ["a", "n"],
        "additionalProperties": False,
    }
    text = '{"a": "x", "n": null}'
    request.call.prompt.response_format.json_schema.schema_json = json.dumps(closed)
    async with (
        Upstream(serve(streamed([text]))) as upstream,
        running(CONFIG.format(url=upstream.url)) as it,
    ):
        response = await it.generation.Generate(request)

    assert text == response.message.parts[0].text
    assert [] == [a.field for a in response.completion.adaptations]
