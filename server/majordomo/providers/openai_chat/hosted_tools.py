"""The tools that servers of Chat Completions run, each in a form of its own.

OpenAI has search for some models alone, Perplexity's always search, and OpenRouter runs
tools for every model. Others have none in this format: xAI's are in Responses.
"""

from typing import Literal

from majordomo.codec.hosted_tools import (
    Adapted,
    approximate,
    domains,
    hosted,
    leave_out,
    location,
    no_such_tool,
    refuse_domains,
)
from majordomo.codec.request_json import Body, unsupported
from majordomo.v1.content_pb2 import Tool
from majordomo.v1.generation_service_pb2 import Prompt

Form = Literal["", "search models", "perplexity", "openrouter"]
"""Where a server has such tools; "": it has none."""

_MOST_DOMAINS = 20
"""That Perplexity keeps to."""


def hosted_tools(
    form: Form, body: Body, prompt: Prompt, adapted: Adapted
) -> list[Body]:
    """The entries of `tools` for what the provider shall run.

    What has another place is put into `body`, which has the model. Raises Failure
    (UNSUPPORTED).
    """
    tools: list[Body] = []
    for path, tool in hosted(prompt):
        match form:
            case "search models":
                _search_models(tool, path, body, adapted)
            case "perplexity":
                _perplexity(tool, path, body, adapted)
            case "openrouter":
                tools.append(_openrouter(tool, path, adapted))
            case _:
                raise no_such_tool(path)
    return tools


def _search_models(tool: Tool, path: str, body: Body, adapted: Adapted) -> None:
    if not tool.HasField("web_search") or "-search" not in str(body["model"]):
        raise no_such_tool(path)
    search = tool.web_search
    refuse_domains(search, path)
    leave_out(search, path, adapted, "max_uses")
    options: Body = {}
    if known := location(search):
        options["user_location"] = {"type": "approximate", "approximate": known}
    body["web_search_options"] = options


def _perplexity(tool: Tool, path: str, body: Body, adapted: Adapted) -> None:
    if not tool.HasField("web_search"):
        raise no_such_tool(path)
    search = tool.web_search
    if max(len(search.allowed_domains), len(search.blocked_domains)) > _MOST_DOMAINS:
        raise unsupported(path, f"the target takes at most {_MOST_DOMAINS} domains")
    kept = [*search.allowed_domains, *(f"-{it}" for it in search.blocked_domains)]
    if kept:
        body["search_domain_filter"] = kept
    leave_out(search, path, adapted, "max_uses")
    known = location(search)
    if known.pop("timezone", None):
        adapted(f"{path}.user_location.time_zone", "left out: not in this wire")
    if known:
        body["web_search_options"] = {"user_location": known}


def _openrouter(tool: Tool, path: str, adapted: Adapted) -> Body:
    match tool.WhichOneof("kind"):
        case "web_search":
            search = tool.web_search
            said = domains(search, "allowed_domains", "excluded_domains")
            if said:
                # The models' own search may not keep to them.
                said["engine"] = "exa"
            leave_out(search, path, adapted, "max_uses")
            return _with("openrouter:web_search", said | approximate(search))
        case "url_reading":
            reading = tool.url_reading
            said = domains(reading, "allowed_domains", "blocked_domains")
            if reading.HasField("max_uses"):
                said["max_uses"] = reading.max_uses
            return _with("openrouter:web_fetch", said)
        case _:
            raise no_such_tool(path)


def _with(type_: str, parameters: Body) -> Body:
    return {"type": type_, **({"parameters": parameters} if parameters else {})}
