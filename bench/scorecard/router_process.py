"""litellm.Router behind a pipe; run by the interpreter that has litellm.

    python router_process.py SETTINGS.json

A line of JSON in is a call, a line of JSON out what came of it.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import litellm  # type: ignore[import-not-found,unused-ignore]

MESSAGES = [{"role": "user", "content": "Sixty words, please."}]


async def call(router: Any, asked: dict[str, Any]) -> dict[str, Any]:
    text, usage, finished = "", None, False
    reported: dict[str, Any] = {"number": asked["number"]}
    try:
        if asked["stream"]:
            stream = await router.acompletion(
                model=asked["model"],
                messages=MESSAGES,
                stream=True,
                stream_options={"include_usage": True},
            )
            async for chunk in stream:
                usage = getattr(chunk, "usage", None) or usage
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    finished = finished or bool(choice.finish_reason)
        else:
            answer = await router.acompletion(model=asked["model"], messages=MESSAGES)
            text, usage = answer.choices[0].message.content or "", answer.usage
            finished = True
    except Exception as error:
        return {
            **reported,
            "text": text,
            "error": f"{type(error).__name__} {error}"[:500],
        }
    if usage is not None:
        usage = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
        }
    return {**reported, "text": text, "complete": finished, "usage": usage}


async def main(settings: dict[str, Any]) -> None:
    litellm.suppress_debug_info = True
    router = litellm.Router(**settings)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    print(json.dumps({"ready": time.time()}), flush=True)
    running: set[asyncio.Task[None]] = set()

    async def answer(asked: dict[str, Any]) -> None:
        print(json.dumps(await call(router, asked)), flush=True)

    async for line in reader:
        task = asyncio.create_task(answer(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
