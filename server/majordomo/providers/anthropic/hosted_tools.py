"""The tools that Anthropic runs, by the names and versions of its Messages API."""

import re

from majordomo.codec.hosted_tools import Limited, approximate, domains, hosted
from majordomo.codec.request_json import Body
from majordomo.v1.content_pb2 import Tool
from majordomo.v1.generation_service_pb2 import Prompt

_FILTERING = re.compile(
    r"claude-(?:fable|mythos|[a-z]+-(?:[5-9]|[1-9]\d)(?!\d)|(?:opus|sonnet)-4[-.][6-9])"
)
"""Models that filter what they find by code before they read it; others refuse to."""

_SEARCH = {False: "web_search_20250305", True: "web_search_20260209"}
_FETCH = {False: "web_fetch_20250910", True: "web_fetch_20260209"}
_CODE = "code_execution_20250825"


def hosted_tools(model: str, prompt: Prompt) -> list[Body]:
    """The entries of `tools` for what the provider shall run."""
    filtering = bool(_FILTERING.search(model))
    return [_tool(tool, filtering=filtering) for _, tool in hosted(prompt, chosen=True)]


def _tool(tool: Tool, *, filtering: bool) -> Body:
    match tool.WhichOneof("kind"):
        case "web_search":
            search = tool.web_search
            said: Body = {"type": _SEARCH[filtering], "name": "web_search"}
            return said | _limits(search) | approximate(search)
        case "url_reading":
            said = {"type": _FETCH[filtering], "name": "web_fetch"}
            return said | _limits(tool.url_reading)
        case _:
            return {"type": _CODE, "name": "code_execution"}


def _limits(tool: Limited) -> Body:
    said = domains(tool, "allowed_domains", "blocked_domains")
    if tool.HasField("max_uses"):
        said["max_uses"] = tool.max_uses
    return said
