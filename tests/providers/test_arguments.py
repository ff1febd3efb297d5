"""The arguments of tool calls: one JSON object, whatever stands around it."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo.codec.arguments import Arguments

OBJECT = '{"city": "Oslo", "of": {"a": [1, {"b": "}{\\""}]}}'


def read(*pieces: str) -> tuple[str, bool]:
    """All that goes out, and whether it is one object."""
    arguments = Arguments()
    shown = [arguments.add(piece) for piece in pieces]
    last, whole = arguments.end()
    return "".join([*shown, last]), whole


@pytest.mark.rule("3.8")
@pytest.mark.parametrize(
    "pieces",
    [
        (OBJECT,),
        ("{}", OBJECT),
        ("{}" + OBJECT,),
        ("null", OBJECT),
        ("nu", "ll", " {", " }", OBJECT),
        ("{}", "{}", OBJECT),
        (OBJECT, OBJECT),
        (OBJECT + OBJECT,),
        (OBJECT, json.dumps(json.loads(OBJECT), indent=1)),
        (OBJECT, "{}"),
        (OBJECT, "null"),
        ("{}", OBJECT, OBJECT),
        ("\n", OBJECT, "\n"),
        (json.dumps(OBJECT),),
        tuple(json.dumps(OBJECT)),
        tuple("{}" + OBJECT + OBJECT),
    ],
)
def test_what_is_known_to_stand_around_the_object(pieces: tuple[str, ...]) -> None:
    """Before it nothing or an empty one, after it itself once more; or in a string."""
    shown, whole = read(*pieces)

    assert whole
    assert OBJECT == shown.strip()


@pytest.mark.rule("3.8")
@pytest.mark.parametrize(
    "pieces", [(), ("{}",), ("null",), ("{", " }"), ('""',), (" ",)]
)
def test_no_arguments_are_the_empty_object(pieces: tuple[str, ...]) -> None:
    """However they are written."""
    assert ("{}", True) == read(*pieces)


@pytest.mark.rule("3.8")
@pytest.mark.parametrize(
    "pieces",
    [
        (OBJECT[:-1],),
        (OBJECT, '{"city": "Rome"}'),
        (OBJECT, "x"),
        ("[1]",),
        ("{city: 1}",),
        ('"text"',),
        ("1",),
        ('{"a": 1,}',),
        ('{"a": [}]}',),
        ("{",),
        ("nul",),
        ('{"a": "' + "\x00" + '"}',),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",),
    ],
)
def test_what_is_no_object(pieces: tuple[str, ...]) -> None:
    """Broken off, another one after it, or something else."""
    assert not read(*pieces)[1]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.rule("3.8")
@given(
    st.dictionaries(st.text(), VALUES, min_size=1),
    st.lists(st.integers(0, 200)),
    st.sampled_from([("", ""), ("{}", ""), ("null", ""), ("", "again")]),
)
def test_any_object_in_any_pieces(
    value: dict[str, object], places: list[int], around: tuple[str, str]
) -> None:
    """It comes out as it was written, each piece as soon as it can."""
    text = json.dumps(value)
    before, after = around
    said = before + text + (text if after else "")
    ends = sorted({place % (len(said) + 1) for place in places} | {0, len(said)})

    shown = read(*(said[a:b] for a, b in pairwise(ends)))

    assert (text, True) == shown


@given(st.lists(st.text('{}[]":,\\ anul1', max_size=6)))
def test_any_text_may_come(pieces: list[str]) -> None:
    """Nothing raises; what is asked to be an object is one."""
    shown, whole = read(*pieces)

    assert not whole or isinstance(json.loads(shown), dict)


def test_pieces_cost_no_more_the_more_have_come() -> None:
    """What is held is not read again with every piece."""
    arguments = Arguments()
    for _ in range(20_000):
        assert "" == arguments.add(" {} ")
    arguments.add('{"a": "')
    for _ in range(20_000):
        arguments.add("}\\")
        arguments.add('"')
    arguments.add('"}')

    assert ("", True) == arguments.end()
