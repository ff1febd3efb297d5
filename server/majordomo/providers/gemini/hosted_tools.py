"""The tools that Google runs for Gemini."""

from majordomo.codec.hosted_tools import Adapted, hosted, leave_out, refuse_domains
from majordomo.codec.request_json import Body
from majordomo.v1.content_pb2 import Tool
from majordomo.v1.generation_service_pb2 import Prompt


def hosted_tools(prompt: Prompt, adapted: Adapted) -> list[Body]:
    """The entries of `tools` for what the provider shall run.

    Raises Failure (UNSUPPORTED).
    """
    return [_tool(tool, path, adapted) for path, tool in hosted(prompt)]


def _tool(tool: Tool, path: str, adapted: Adapted) -> Body:
    match tool.WhichOneof("kind"):
        case "web_search":
            refuse_domains(tool.web_search, path)
            leave_out(tool.web_search, path, adapted, "max_uses", "user_location")
            return {"googleSearch": {}}
        case "url_reading":
            refuse_domains(tool.url_reading, path)
            leave_out(tool.url_reading, path, adapted, "max_uses")
            return {"urlContext": {}}
        case _:
            return {"codeExecution": {}}
