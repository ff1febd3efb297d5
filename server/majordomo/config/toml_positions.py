"""Which line of a TOML file sets which key; tomllib keeps no places."""

import tomllib
from collections import Counter
from collections.abc import Iterator

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from majordomo.config.sections import KeyPath

_KEYS = ("bare_key", "quoted_key", "dotted_key")


def line_numbers(text: str) -> dict[KeyPath, int]:
    """The first line, from 1, of each key, table and list entry in valid TOML."""
    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    lines: dict[KeyPath, int] = {}
    elements: Counter[KeyPath] = Counter()
    for node in tree.root_node.named_children:
        for path, line in _places(node, (), elements):
            lines.setdefault(path, line)
    return lines


def _places(
    node: Node, around: KeyPath, elements: Counter[KeyPath]
) -> Iterator[tuple[KeyPath, int]]:
    """The places of `node`, a table or a pair, and of what is in it."""
    if node.type not in ("table", "table_array_element", "pair"):
        return
    key, *inside = [n for n in node.named_children if n.type != "comment"]
    path = (*around, *_steps(key))
    if node.type == "table_array_element":
        elements[path] += 1
        path = (*path, str(elements[path] - 1))
    yield path, key.start_point.row + 1
    for child in inside:
        if node.type == "pair":
            yield from _of_value(child, path, elements)
        else:
            yield from _places(child, path, elements)


def _of_value(
    value: Node, path: KeyPath, elements: Counter[KeyPath]
) -> Iterator[tuple[KeyPath, int]]:
    entries = [n for n in value.named_children if n.type != "comment"]
    if value.type == "inline_table":
        for entry in entries:
            yield from _places(entry, path, elements)
    elif value.type == "array":
        for number, entry in enumerate(entries):
            place = (*path, str(number))
            yield place, entry.start_point.row + 1
            yield from _of_value(entry, place, elements)


def _steps(key: Node) -> list[str]:
    """The steps of a key, without its quotes and escapes."""
    if key.type not in _KEYS or key.text is None:
        return []
    table = tomllib.loads(f"{key.text.decode()} = true")
    steps = []
    while isinstance(table, dict):
        ((step, table),) = table.items()
        steps.append(step)
    return steps
