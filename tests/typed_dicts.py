"""Whether JSON has the shape of a TypedDict, its extra keys forbidden.

The official clients describe their requests as TypedDicts. pydantic would read those,
but it leaves iterables unread and other keys alone.
"""

import types
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

import typing_extensions

_REQUIRED = (Required, typing_extensions.Required)
_WRAPPERS = (*_REQUIRED, NotRequired, typing_extensions.NotRequired)


def problems(value: object, shape: Any, path: str = "body") -> list[str]:
    """What is wrong with `value`; of a union what is wrong with the nearest choice."""
    origin = get_origin(shape)
    if shape is Any or shape is object:
        return []
    if origin in _WRAPPERS or origin is typing_extensions.Annotated:
        return problems(value, get_args(shape)[0], path)
    if origin in (Union, types.UnionType):
        return min((problems(value, arg, path) for arg in get_args(shape)), key=len)
    if origin in (Literal, typing_extensions.Literal):
        return [] if value in get_args(shape) else [f"{path}: {value!r}"] * _FAR
    if typing_extensions.is_typeddict(shape):
        return _of_typed_dict(value, shape, path)
    if origin is dict or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return [] if isinstance(value, dict) else [f"{path}: no object"] * _FAR
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return _of_list(value, get_args(shape)[0], path)
    if isinstance(value, float | int) and not isinstance(value, bool):
        fits = shape is float or (shape is int and isinstance(value, int))
        return [] if fits else [f"{path}: a number"] * _FAR
    fits = (
        value is None if shape is types.NoneType else isinstance(value, origin or shape)
    )
    return [] if fits else [f"{path}: {type(value).__name__}, not {shape}"] * _FAR


_FAR = 8
"""How much worse another type is than a wrong key."""


def _of_list(value: object, shape: Any, path: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{path}: no list"] * _FAR
    return [
        problem
        for i, entry in enumerate(value)
        for problem in problems(entry, shape, f"{path}[{i}]")
    ]


def _of_typed_dict(value: object, shape: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: no object"] * _FAR
    hints = _hints(shape)
    found = [
        f"{path}.{key}: not in {shape.__name__}" for key in value if key not in hints
    ]
    for key, hint in hints.items():
        if key in value:
            found += problems(value[key], hint, f"{path}.{key}")
        elif get_origin(hint) in _REQUIRED:
            found.append(f"{path}.{key}: missing in {shape.__name__}")
    return found


@cache
def _hints(shape: Any) -> dict[str, Any]:
    return typing_extensions.get_type_hints(shape, include_extras=True)
