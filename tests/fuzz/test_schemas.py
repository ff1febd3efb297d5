"""Schemas and patterns of hostile callers, and answers to them: within bounds."""

import json
import random
import time
from contextlib import suppress

import pytest

from majordomo.schemas.absence import AbsentKeys
from majordomo.schemas.dialects import DIALECTS
from majordomo.schemas.fitted import fitted
from majordomo.schemas.reading import UnfitSchema
from majordomo.schemas.validate import faults_of
from tests.fuzz.mutations import hammer
from tests.schemas.collected import ODD

SCHEMAS = [
    (
        b'{"type":"object","properties":{"a":{"type":["string","null"],"minLength":1}},'
        b'"required":["a"],"additionalProperties":false}'
    ),
    (
        b'{"$ref":"#/$defs/n","$defs":{"n":{"anyOf":[{"type":"integer"},'
        b'{"items":{"$ref":"#/$defs/n"}},{"properties":{"l":{"$ref":"#/$defs/n"}}}]}}}'
    ),
    (
        b'{"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}],"$defs":{"a":'
        b'{"oneOf":[{"$ref":"#/$defs/b"},{"not":{"$ref":"#/$defs/b"}}]},"b":{"enum":[1]}}}'
    ),
    b'{"pattern":"^(a+)+$","format":"regex","patternProperties":{"^x|(y?){9}$":{}}}',
    b'{"items":{"pattern":"^(?=(a|aa)*$)\\\\1(?!b)\\\\bc"},"uniqueItems":true}',
    b'{"if":{"required":["a"]},"then":{"minProperties":2},"else":{"$ref":"#"}}',
    (
        b'{"prefixItems":[{},{"const":1}],"contains":{"$ref":"#"},"unevaluatedItems":'
        b'{"$ref":"#"},"propertyNames":{"$ref":"#"},"unevaluatedProperties":false}'
    ),
    (
        b'{"$schema":"http://json-schema.org/draft-04/schema#","id":"http://x/y",'
        b'"exclusiveMinimum":true,"minimum":1,"definitions":{"z":{"$ref":"../../q"}}}'
    ),
    b'{"$dynamicAnchor":"n","items":{"$dynamicRef":"#n"},"$anchor":"m","$id":"u:v"}',
]
ANSWERS = [
    '{"a":"x"}',
    "[" * 40 + "1" + "]" * 40,
    '{"l":' * 30 + "[1]" + "}" * 30,
    json.dumps(["a" * 400 + "b"] * 50),
    json.dumps({f"x{i}": i for i in range(300)}),
    "1e999",
    "9" * 400,
    '"\\ud83d"',
]
LONGEST = 1.0
"""Processor seconds of one check; most take less than a millisecond."""


def chain(key: str, length: int) -> bytes:
    definitions: dict[str, object] = {
        f"d{i}": {key: [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(length)
    }
    definitions[f"d{length}"] = {"type": "object", "properties": {}}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}}
    return json.dumps(
        {**schema, key: [{"$ref": "#/$defs/d0"}], "$defs": definitions}
    ).encode()


CHAINS = [
    chain(key, length) for key in ("allOf", "anyOf", "oneOf") for length in (3, 40)
]
"""Of references, each of which is followed twice."""


@pytest.mark.timeout(300)
def test_forms() -> None:
    """A form in each dialect, or none and why; never for long."""

    def attempt(data: bytes, dice: random.Random) -> None:
        began = time.thread_time()
        schema = data.decode(errors="replace")
        with suppress(UnfitSchema):
            made = fitted(schema, dice.choice(DIALECTS))
            if made.absent is not None:
                keys = AbsentKeys(made.absent)
                answer = dice.choice(ANSWERS)
                assert answer == keys.feed(answer) + keys.end()
        assert time.thread_time() - began < LONGEST

    seeds = [*SCHEMAS, *CHAINS, *(json.dumps(each).encode() for each in ODD.values())]
    assert hammer(seeds, attempt) > 10


@pytest.mark.timeout(300)
def test_schemas_and_answers() -> None:
    """No fault, a fault in a few words, or an unfit schema; never for long."""

    def attempt(data: bytes, dice: random.Random) -> None:
        began = time.thread_time()
        schema = data.decode(errors="replace")
        answer = dice.choice(ANSWERS)
        try:
            fault = faults_of(schema, answer)
        except UnfitSchema as unfit:
            fault = str(unfit)
        assert fault is None or 0 < len(fault) < 250
        assert time.thread_time() - began < LONGEST

    assert hammer(SCHEMAS, attempt) > 10
