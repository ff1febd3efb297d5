"""Tools that providers run themselves, as all API formats see them (rule 2.23).

What each provider calls them is in its folder, `hosted_tools.py`. A limit that keeps a
tool from something (domains) is kept, or the target is passed over; one that only makes
it better or cheaper is left out where the format has none, and that is reported.
"""

from collections.abc import Callable, Iterator

from majordomo.chain.failure import Failure
from majordomo.codec.request_json import Body, unsupported
from majordomo.v1.content_pb2 import Tool, ToolChoice, UrlReadingTool, WebSearchTool
from majordomo.v1.generation_service_pb2 import Prompt

Adapted = Callable[[str, str], None]
"""Reports that a field of the request was changed: its path, and how."""

Limited = WebSearchTool | UrlReadingTool

_LOCATION = (
    ("city", "city"),
    ("region", "region"),
    ("country", "country"),
    ("time_zone", "timezone"),
)


def function_tools(prompt: Prompt) -> list[tuple[int, Tool]]:
    """The tools that the caller runs, each with its index."""
    return [(i, it) for i, it in enumerate(prompt.tools) if it.HasField("function")]


def hosted(prompt: Prompt, *, chosen: bool = False) -> Iterator[tuple[str, Tool]]:
    """The tools that the provider runs and may use now, each with its path.

    `chosen`: the format's tool choice speaks of them as well; else those that may not
    be used are left out.
    """
    choice = prompt.tool_choice
    if choice.allowed_names or (choice.mode == ToolChoice.MODE_NONE and not chosen):
        return
    for i, tool in enumerate(prompt.tools):
        kind = tool.WhichOneof("kind")
        if kind is not None and kind != "function":
            yield f"prompt.tools[{i}].{kind}", tool


def no_such_tool(path: str) -> Failure:
    """The failure of a tool that the target does not have."""
    return unsupported(path, "the target has no such tool of its own")


def domains(tool: Limited, allowed: str, blocked: str) -> Body:
    """What the tool shall keep to, and away from, by the names of a format."""
    said: Body = {}
    if tool.allowed_domains:
        said[allowed] = list(tool.allowed_domains)
    if tool.blocked_domains:
        said[blocked] = list(tool.blocked_domains)
    return said


def location(tool: WebSearchTool) -> Body:
    """What is known of the user's place."""
    place = tool.user_location
    return {name: word for key, name in _LOCATION if (word := getattr(place, key))}


def approximate(tool: WebSearchTool) -> Body:
    """The same, as most formats have it; nothing where nothing is known."""
    known = location(tool)
    return {"user_location": {"type": "approximate", **known}} if known else {}


def refuse_domains(tool: Limited, path: str) -> None:
    """Failure (UNSUPPORTED) if the tool shall keep to domains, and has no way to."""
    for field in domains(tool, "allowed_domains", "blocked_domains"):
        raise unsupported(f"{path}.{field}", "the target's tool cannot keep to domains")


def leave_out(tool: Limited, path: str, adapted: Adapted, *fields: str) -> None:
    """Report those of `fields` that are set: the format has none of them."""
    for field in fields:
        if tool.HasField(field):
            adapted(f"{path}.{field}", "left out: not in this wire")
