"""The tools that OpenAI, or xAI, runs, as the Responses API names them."""

from majordomo.codec.hosted_tools import (
    Adapted,
    approximate,
    domains,
    hosted,
    leave_out,
    no_such_tool,
)
from majordomo.codec.request_json import Body
from majordomo.v1.content_pb2 import WebSearchTool
from majordomo.v1.generation_service_pb2 import Prompt


def hosted_tools(
    model: str, prompt: Prompt, body: Body, adapted: Adapted
) -> list[Body]:
    """The entries of `tools` for what the provider shall run.

    The limit of their uses, which is one for all of them, goes into `body`. Raises
    Failure (UNSUPPORTED).
    """
    xai = model.startswith("grok")
    asked = list(hosted(prompt, chosen=True))
    tools: list[Body] = []
    for path, tool in asked:
        match tool.WhichOneof("kind"):
            case "web_search":
                search = tool.web_search
                tools.append(_web_search(search, path, adapted, xai=xai))
                if search.HasField("max_uses") and len(asked) == 1 and not xai:
                    body["max_tool_calls"] = search.max_uses
                else:
                    leave_out(search, path, adapted, "max_uses")
            case "code_execution":
                container = {} if xai else {"container": {"type": "auto"}}
                tools.append({"type": "code_interpreter", **container})
            case _:
                raise no_such_tool(path)
    return tools


def _web_search(
    search: WebSearchTool, path: str, adapted: Adapted, *, xai: bool
) -> Body:
    said: Body = {"type": "web_search"}
    blocked = "excluded_domains" if xai else "blocked_domains"
    if filters := domains(search, "allowed_domains", blocked):
        said["filters"] = filters
    if xai:
        leave_out(search, path, adapted, "user_location")
        return said
    return said | approximate(search)
