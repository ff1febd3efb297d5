"""What the client library shows to its users."""

import inspect
from typing import get_type_hints

import pytest

import majordomo.client
from majordomo.client import (
    Answer,
    AsyncAnswer,
    AsyncClient,
    AsyncEvents,
    Client,
    Events,
)
from majordomo.client.errors import REASONS, MajordomoError


def test_all_that_is_imported_is_exported() -> None:
    """Sorted, and nothing besides: a name that slips in or out fails here."""
    names = [
        name
        for name, thing in vars(majordomo.client).items()
        if not name.startswith("_") and not inspect.ismodule(thing)
    ]

    assert sorted(names) == majordomo.client.__all__


def test_every_error_is_exported() -> None:
    """Whatever a call may raise can be caught by name."""
    assert set(REASONS.values()) <= {
        vars(majordomo.client)[name] for name in majordomo.client.__all__
    }


def test_the_tree_of_errors_is_drawn() -> None:
    """The drawing in the module's docstring is the tree."""
    drawn = {}
    group = ""
    for line in (majordomo.client.errors.__doc__ or "").splitlines():
        if line.startswith(("├── ", "└── ")):
            group = line.split()[1]
            drawn[group] = "MajordomoError"
        elif line.startswith(("│   ├── ", "│   └── ")):
            drawn[line.split()[2]] = group

    kinds = [*MajordomoError.__subclasses__()]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    assert {kind.__name__: kind.mro()[1].__name__ for kind in kinds} == drawn


@pytest.mark.parametrize(
    ("one", "other"),
    [(Client, AsyncClient), (Answer, AsyncAnswer), (Events, AsyncEvents)],
)
def test_both_clients_have_one_surface(one: type, other: type) -> None:
    """The same methods with the same parameters; what differs is the await."""
    methods = {
        name: inspect.signature(method).parameters.values()
        for name, method in inspect.getmembers(one, inspect.isfunction)
        if not name.startswith("_")
    }
    others = {
        name: inspect.signature(method).parameters.values()
        for name, method in inspect.getmembers(other, inspect.isfunction)
        if not name.startswith("_")
    }

    assert {n: [str(p) for p in ps] for n, ps in methods.items()} == {
        n: [str(p) for p in ps] for n, ps in others.items()
    }


@pytest.mark.parametrize("name", majordomo.client.__all__)
def test_everything_public_is_explained_and_typed(name: str) -> None:
    """A docstring each, on every method as well, and no parameter without a type."""
    thing = vars(majordomo.client)[name]
    if not inspect.isclass(thing) and not inspect.isfunction(thing):
        return  # a type alias
    members = [thing]
    if inspect.isclass(thing):
        members += [
            member
            for key, member in inspect.getmembers(thing, inspect.isfunction)
            if not key.startswith("_") and member.__module__.startswith("majordomo")
        ]
    for member in members:
        assert inspect.getdoc(member)
        if inspect.isfunction(member):
            parameters = [
                p for p in inspect.signature(member).parameters if p != "self"
            ]
            assert {*parameters, "return"} == set(get_type_hints(member))
