"""Write docs/contract.md: the contract's reference, made from its protos."""

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

ROOT = Path(__file__).parent.parent
PROTOS = ROOT / "protos"
PAGE = ROOT / "docs" / "contract.md"

HEAD = """\
# The contract

`majordomo.v1`, made from [the protos](../protos/majordomo/v1) by
`scripts/contract_page.py`. A line `Limits:` says what the server takes; what is beyond
is INVALID_ARGUMENT, and names the field; of what only the server sets, the most that it
sets. A list has entries, a text characters (Unicode code points), bytes where it says
so. In a field without such a line everything of its type is taken.
"""

_WORDS = {
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
}


@dataclass(frozen=True)
class File:
    """A file of the contract, with its comments by path."""

    proto: FileDescriptorProto
    comments: dict[tuple[int, ...], str]


def files() -> list[File]:
    """The contract, as any protoc reads it."""
    names = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/contract.binpb"
        well_known = str(Path(protoc.__file__).parent / "_proto")
        paths = [f"--proto_path={PROTOS}", f"--proto_path={well_known}"]
        reported = ["--include_source_info", f"--descriptor_set_out={out}"]
        if protoc.main(["protoc", *paths, *reported, *names]):
            raise SystemExit("protoc refuses the protos")
        found = FileDescriptorSet.FromString(Path(out).read_bytes())
    return [File(proto, _comments(proto)) for proto in found.file]


def _comments(proto: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    return {
        tuple(location.path): location.leading_comments
        for location in proto.source_code_info.location
        if location.leading_comments
    }


def limits(comment: str) -> str:
    """What follows `Limits:` in a field's comment; "" without it."""
    found = re.search(r"^ ?Limits: (.*?)\.\s*\Z", comment, re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def example(comment: str) -> dict[str, object]:
    """The example in the comment of an error's reason; empty without one."""
    _, found, text = comment.partition("Example:")
    reported: dict[str, object] = json.loads(text) if found else {}
    return reported


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for file in files():
        for i, service in enumerate(file.proto.service):
            lines += _service(file, service, (6, i))
    for file in files():
        for i, message in enumerate(file.proto.message_type):
            lines += _message(file, message, (4, i))
        for i, enum in enumerate(file.proto.enum_type):
            lines += _enum(file, enum, (5, i))
    return "\n".join(lines)


def _service(
    file: File, service: ServiceDescriptorProto, path: tuple[int, ...]
) -> Iterator[str]:
    yield from _head(f"service {service.name}", file, path)
    yield "| RPC | request, response | |"
    yield "| --- | --- | --- |"
    for i, method in enumerate(service.method):
        words = _line(file.comments[*path, 2, i])
        yield f"| `{method.name}` | {_shape(method)} | {words} |"
    yield ""


def _shape(method: MethodDescriptorProto) -> str:
    stream = "stream of " if method.server_streaming else ""
    return f"{_link(method.input_type)}, {stream}{_link(method.output_type)}"


def _message(
    file: File, message: DescriptorProto, path: tuple[int, ...], within: str = ""
) -> Iterator[str]:
    name = f"{within}{message.name}"
    yield from _head(name, file, path)
    entries = {
        nested.name: nested
        for nested in message.nested_type
        if nested.options.map_entry
    }
    if message.field:
        yield "| field | type | |"
        yield "| --- | --- | --- |"
    for i, field in enumerate(message.field):
        words = _line(file.comments[*path, 2, i])
        yield f"| `{field.name}` = {field.number} | {_type(field, entries)} | {words} |"
    if message.field:
        yield ""
    for i, enum in enumerate(message.enum_type):
        yield from _enum(file, enum, (*path, 4, i), f"{name}.")


def _enum(
    file: File, enum: EnumDescriptorProto, path: tuple[int, ...], within: str = ""
) -> Iterator[str]:
    yield from _head(f"{within}{enum.name}", file, path)
    yield "| value | |"
    yield "| --- | --- |"
    for i, value in enumerate(enum.value):
        words = _line(file.comments[*path, 2, i])
        yield f"| `{value.name}` = {value.number} | {words} |"
    yield ""


def _head(name: str, file: File, path: tuple[int, ...]) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    yield _line(file.comments[path])
    yield ""


def _type(field: FieldDescriptorProto, entries: dict[str, DescriptorProto]) -> str:
    entry = entries.get(field.type_name.rpartition(".")[2])
    if entry is not None:
        key, value = entry.field
        return f"map of {_type(key, {})} to {_type(value, {})}"
    word = _WORDS.get(field.type) or _link(field.type_name)
    repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
    reported = f"repeated {word}" if repeated else word
    if field.proto3_optional:
        return f"optional {reported}"
    return f"{reported}, one of" if field.HasField("oneof_index") else reported


def _link(name: str) -> str:
    own = name.removeprefix(".majordomo.v1.")
    if own == name:
        return f"`{name.removeprefix('.')}`"
    return f"[{own}](#{own.lower().replace('.', '')})"


def _line(comment: str) -> str:
    """A comment as one line of Markdown, its example as code."""
    words, found, text = comment.partition("Example:")
    reported = " ".join(words.split()).replace("|", "\\|").replace("<", "&lt;")
    if found:
        reported += f" Example: `{' '.join(text.split())}`"
    return reported


if __name__ == "__main__":
    PAGE.write_text(page())
