"""A process that calls a provider through a library, in an environment of its own.

    python caller.py openai UPSTREAM
    python caller.py tensorzero CONFIGURATION

Says "ready", then makes the calls that each line of its input asks for, as JSON, and
answers with a line of what came. What the process costs is the library's cost.
"""

import asyncio
import base64
import importlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

TEXT = "word " * 200

Call = Callable[[str, bool, str], Awaitable[str]]
"""Model, whether to stream, and the image's base64 or nothing; the whole text."""


async def openai(base_url: str) -> Call:
    # By name: the checks have not what this environment has.
    library: Any = importlib.import_module("openai")
    client = library.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)

    async def call(model: str, streamed: bool, image: str) -> str:
        content: Any = TEXT
        if image:
            url = {"url": f"data:image/png;base64,{image}"}
            content = [
                {"type": "text", "text": TEXT},
                {"type": "image_url", "image_url": url},
            ]
        messages: Any = [{"role": "user", "content": content}]
        if not streamed:
            answer = await client.chat.completions.create(
                model=model, messages=messages
            )
            return answer.choices[0].message.content or ""
        stream = await client.chat.completions.create(
            model=model, messages=messages, stream=True
        )
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return "".join(pieces)

    return call


async def tensorzero(configuration: str) -> Call:
    library: Any = importlib.import_module("tensorzero")
    client = await library.AsyncTensorZeroGateway.build_embedded(
        config_file=configuration
    )

    async def call(model: str, streamed: bool, image: str) -> str:
        content: list[dict[str, Any]] = [{"type": "text", "text": TEXT}]
        if image:
            content.append(
                {
                    "type": "file",
                    "file_type": "base64",
                    "mime_type": "image/png",
                    "data": image,
                }
            )
        asked = {"messages": [{"role": "user", "content": content}]}
        answer = await client.inference(model_name=model, input=asked, stream=streamed)
        if not streamed:
            return "".join(block.text for block in answer.content)
        pieces: list[str] = []
        async for chunk in answer:
            pieces.extend(block.text for block in chunk.content)
        return "".join(pieces)

    return call


async def run(call: Call, asked: dict[str, Any]) -> dict[str, Any]:
    """A closed loop, as the native load's."""
    latencies: list[float] = []
    errors: list[str] = []
    image = _base64(asked["image"])
    begun = time.perf_counter()
    left = asked["calls"] or sys.maxsize

    async def worker(number: int) -> None:
        nonlocal left
        await asyncio.sleep(number * asked["stagger_ms"] / 1000)
        while left > 0 and time.perf_counter() - begun < asked["seconds"]:
            left -= 1
            began = time.perf_counter()
            try:
                text = await call(asked["model"], asked["streamed"], image)
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
                continue
            if (words := len(text.split())) != asked["words"]:
                errors.append(f"{words} words came, not {asked['words']}")
                continue
            latencies.append(round((time.perf_counter() - began) * 1000, 3))

    async with asyncio.TaskGroup() as group:
        for number in range(asked["in_flight"]):
            group.create_task(worker(number))
    return {
        "calls": len(latencies),
        "errors": len(errors),
        "first_error": errors[0] if errors else "",
        "seconds": time.perf_counter() - begun,
        "latencies_ms": latencies,
    }


def _base64(path: str) -> str:
    return base64.b64encode(Path(path).read_bytes()).decode() if path else ""


async def main(library: str, where: str) -> None:
    call = await {"openai": openai, "tensorzero": tensorzero}[library](where)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await run(call, json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
