"""A conversation in which the model may call a tool: asked, answered, carried on.

python tools.py openai/gpt-5-mini "What is the weather in Paris?" "And in Rome?"
"""

import os
import sys

from majordomo.client import Client, text_of, user
from majordomo.v1.content_pb2 import (
    ROLE_TOOL,
    FunctionTool,
    Message,
    Part,
    Tool,
    ToolCall,
    ToolResult,
)

MOST_ROUNDS = 8

WEATHER = Tool(
    function=FunctionTool(
        name="get_weather",
        description="The weather in a city.",
        parameters_schema_json="""{
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"]
    }""",
    )
)


def main(chain: str, *questions: str) -> None:
    """Ask one question after the other, in one conversation."""
    conversation: list[Message] = []
    with Client(os.environ.get("MAJORDOMO_ADDRESS", "127.0.0.1:50051")) as majordomo:
        for question in questions:
            conversation.append(user(question))
            print(answer(majordomo, chain, conversation))


def answer(majordomo: Client, chain: str, conversation: list[Message]) -> str:
    """What the model answers to the last turn, once it calls no tool any more.

    Its turns go into the conversation as they came, `origin` and `provider_state`
    included: with them the target that wrote a turn reads its own reasoning again.
    """
    for _ in range(MOST_ROUNDS):
        turn = majordomo.generate(conversation, chain=chain, tools=[WEATHER]).message
        conversation.append(turn)
        calls = [part.tool_call for part in turn.parts if part.HasField("tool_call")]
        if not calls:
            return text_of(turn)
        results = [Part(tool_result=run(call)) for call in calls]
        conversation.append(Message(role=ROLE_TOOL, parts=results))
    sys.exit(f"no answer after {MOST_ROUNDS} rounds of tools")


def run(call: ToolCall) -> ToolResult:
    """What the tool answers: a real one would read the arguments."""
    known = call.name == WEATHER.function.name
    text = f"sunny, 21 °C ({call.arguments_json})" if known else "there is no such tool"
    return ToolResult(tool_call_id=call.id, parts=[Part(text=text)], is_error=not known)


if __name__ == "__main__":
    main(*sys.argv[1:])
