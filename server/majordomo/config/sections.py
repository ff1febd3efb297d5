"""The sections that a configuration may have, read off the models themselves."""

from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from majordomo.config.schema import Config
from majordomo.providers.settings import ProviderSettings
from majordomo.section import Section

KeyPath = tuple[str, ...]
"""The steps to a key: ("server", "listen")."""


def locate(steps: Sequence[str]) -> tuple[KeyPath, type[Section] | None]:
    """The path of a key as a file has it, and the section whose key it would be.

    `steps` are pydantic's, for which a provider's kind is a step of its own. Without a
    section the last step is a name, an entry of a list, or in something unknown.
    """
    path: list[str] = []
    here: Any = Config
    section = None
    for step in steps:
        variants = _sections(here)
        if len(variants) > 1:
            here = next((it for it in variants if _kind(it) == step), None)
            continue
        path.append(step)
        section = variants[0] if variants else None
        if section is not None:
            field = section.model_fields.get(step)
            here = None if field is None else field.annotation
        else:
            here = _values(here)
    return tuple(path), section


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Every section with its heading, as in "[providers.NAME], kind = ..."."""
    places: dict[type[Section], list[tuple[KeyPath, str]]] = {}
    for name, field in Config.model_fields.items():
        for path, kind, section in _below((name,), "", field.annotation):
            places.setdefault(section, []).append((path, kind))
    for section, found in places.items():
        kinds = {kind for _, kind in found}
        only = f', kind = "{found[0][1]}"' if len(kinds) == 1 and found[0][1] else ""
        yield f"[{'.'.join(found[0][0])}]{only}", section


def _below(
    path: KeyPath, kind: str, annotation: Any
) -> Iterator[tuple[KeyPath, str, type[Section]]]:
    """The sections in one field: first its own, then those of their fields."""
    if values := _values(annotation):
        path = (*path, '"ID"' if path[-1] == "models" else "NAME")
        annotation = values
    found = [(_kind(section) or kind, section) for section in _sections(annotation)]
    for of_kind, section in found:
        yield path, of_kind, section
    for of_kind, section in found:
        for name, field in section.model_fields.items():
            yield from _below((*path, name), of_kind, field.annotation)


def _kind(section: type[Section]) -> str:
    return section.kind_name() if issubclass(section, ProviderSettings) else ""


def _sections(annotation: Any) -> list[type[Section]]:
    """The sections that a value may be: one for each kind of provider."""
    if get_origin(annotation) is Annotated:
        return _sections(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [one for it in get_args(annotation) for one in _sections(it)]
    is_section = isinstance(annotation, type) and issubclass(annotation, Section)
    return [annotation] if is_section else []


def _values(annotation: Any) -> Any:
    """What the values of a table are that has names for keys; None of anything else."""
    return get_args(annotation)[1] if get_origin(annotation) is dict else None
