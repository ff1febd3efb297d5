"""Schemas and patterns of hostile callers, and answers to them: always within bounds."""

import json
import random
import time

import pytest

from majordomo.schemas.reading import UnfitSchema
from majordomo.schemas.validate import faults_of
from tests.fuzz.mutations import hammer

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
