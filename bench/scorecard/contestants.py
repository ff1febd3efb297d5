"""Who is called, and how: majordomo, and LiteLLM as a proxy and as a Router."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.scorecard.judge import LIMIT, ROWS, Came
from bench.scorecard.provider import Provider
from majordomo.client import AsyncClient, MajordomoError, text_of
from majordomo.v1.generation_service_pb2 import (
    INTERRUPTION_POLICY_RESTART,
    ChainOptions,
)

BUDGET = 30.0
MAJORDOMO = {
    "generate-streamed": "majordomo Generate, streamed inside",
    "generate": "majordomo Generate",
    "stream": "majordomo Stream",
    "stream-restart": "majordomo Stream, restarting",
}
LITELLM = {
    "proxy-whole": "LiteLLM proxy, whole",
    "proxy-streamed": "LiteLLM proxy, streamed",
    "router-whole": "LiteLLM Router, whole",
    "router-streamed": "LiteLLM Router, streamed",
}
QUESTION = "Sixty words, please."
_HERE = Path(__file__).parent
_ASKED = {"messages": [{"role": "user", "content": QUESTION}]}


class Majordomo:
    """A server in a process of its own, and a client of it."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def call(self, row: str, contestant: str) -> Came:
        chain = f"{row}-{contestant}-primary/m,{row}-{contestant}-fallback/m"
        came = Came()
        try:
            if contestant.startswith("generate"):
                answer = await self._client.generate(
                    QUESTION, chain=chain, timeout=BUDGET
                )
                came.text = text_of(answer.message)
                usage = answer.completion.usage
            else:
                options = ChainOptions()
                if contestant == "stream-restart":
                    options.interruption_policy = INTERRUPTION_POLICY_RESTART
                stream = self._client.stream(
                    QUESTION, chain=chain, options=options, timeout=BUDGET
                )
                async for _ in stream:
                    came.text = text_of(stream.message)
                if stream.completion is None:
                    return came
                usage = stream.completion.usage
            came.usage = {
                "prompt_tokens": usage.input_tokens,
                "completion_tokens": usage.output_tokens,
            }
            came.complete = True
        except MajordomoError as error:
            came.error = f"{error.code.name} {error.reason}"
        return came


@asynccontextmanager
async def majordomo(provider: Provider, folder: Path) -> AsyncIterator[Majordomo]:
    """Serve providers for every row and way of calling, each with its own health."""
    parts = [
        '[server]\nlisten = "127.0.0.1:0"',
        "[chain]\ntransient_retries = 2",
        'first_content_timeout = "10s"\nstall_timeout = "5s"',
    ]
    for row in ROWS:
        for contestant in MAJORDOMO:
            for role in ("primary", "fallback"):
                via = "stream" if contestant == "generate-streamed" else "unary"
                parts.append(
                    f"[providers.{row}-{contestant}-{role}]\n"
                    'kind = "openai-compatible"\n'
                    f'base_url = "{provider.base_url(row, contestant, role)}"\n'
                    f'generate_via = "{via}"'
                )
    config = folder / "majordomo.toml"
    config.write_text("\n".join(parts))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "majordomo", "serve", "--config", config),
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        async with AsyncClient(line.split()[-1]) as client:
            yield Majordomo(client)
    finally:
        await _end(process)


class Proxy:
    """LiteLLM's proxy in a process of its own, called over HTTP."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._client = client

    async def call(self, row: str, contestant: str) -> Came:
        body = {"model": f"{row}-{contestant}", **_ASKED}
        if contestant.endswith("whole"):
            return await self._whole(body)
        more = {"stream": True, "stream_options": {"include_usage": True}}
        return await self._streamed({**body, **more})

    async def _whole(self, body: dict[str, Any]) -> Came:
        response = await self._client.post(self._url, json=body)
        if response.status_code != 200:
            return Came(error=response.text[:500])
        answer = response.json()
        return Came(
            text=answer["choices"][0]["message"]["content"] or "",
            complete=True,
            usage=answer.get("usage"),
        )

    async def _streamed(self, body: dict[str, Any]) -> Came:
        came = Came()
        finished = False
        try:
            async with self._client.stream("POST", self._url, json=body) as response:
                if response.status_code != 200:
                    await response.aread()
                    return Came(error=response.text[:500])
                async for line in response.aiter_lines():
                    if not line.startswith("data: {"):
                        continue
                    event = json.loads(line[6:])
                    if "error" in event:
                        came.error = str(event["error"])[:500]
                        return came
                    came.usage = event.get("usage") or came.usage
                    for choice in event.get("choices", ()):
                        came.text += choice["delta"].get("content") or ""
                        finished = finished or bool(choice.get("finish_reason"))
        except httpx.HTTPError as error:
            came.error = type(error).__name__
            return came
        came.complete = finished
        came.error = "" if finished else "no finish reason"
        return came


@asynccontextmanager
async def proxy(provider: Provider, folder: Path, python: Path) -> AsyncIterator[Proxy]:
    """LiteLLM's proxy with a model for every row and way of calling."""
    settings = _litellm(provider, ("proxy-whole", "proxy-streamed"))
    config = {
        "model_list": settings["model_list"],
        "litellm_settings": {
            "num_retries": settings["num_retries"],
            "request_timeout": settings["timeout"],
            "fallbacks": settings["fallbacks"],
            "context_window_fallbacks": settings["fallbacks"],
            "telemetry": False,
        },
        "router_settings": {
            "timeout": settings["timeout"],
            "stream_timeout": settings["stream_timeout"],
        },
    }
    path = folder / "litellm.yaml"
    path.write_text(json.dumps(config, indent=1))  # JSON is YAML
    port = 20_000 + os.getpid() % 10_000
    process = await asyncio.create_subprocess_exec(
        *(python.parent / "litellm", "--config", path, "--host", "127.0.0.1"),
        *("--port", str(port), "--num_workers", "1"),
        stdout=(folder / "proxy.log").open("w"),
        stderr=asyncio.subprocess.STDOUT,
        env={
            **os.environ,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        },
    )
    url = f"http://127.0.0.1:{port}"
    limits = httpx.Limits(max_connections=None)
    try:
        async with httpx.AsyncClient(timeout=LIMIT + 3, limits=limits) as client:
            await _until_it_answers(client, f"{url}/health/liveliness")
            yield Proxy(f"{url}/v1/chat/completions", client)
    finally:
        await _end(process)


class Router:
    """litellm.Router in a process of its own, reported what to call line by line."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.reading = asyncio.create_task(self._read())

    async def call(self, row: str, contestant: str) -> Came:
        number = len(self._waiting)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        asked = {
            "number": number,
            "model": f"{row}-{contestant}",
            "stream": contestant.endswith("streamed"),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        return Came(**await future)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            reported = json.loads(line)
            self._waiting[reported.pop("number")].set_result(reported)


@asynccontextmanager
async def router(
    provider: Provider, folder: Path, python: Path
) -> AsyncIterator[Router]:
    """LiteLLM's Router with a model for every row and way of calling."""
    path = folder / "router.json"
    settings = _litellm(provider, ("router-whole", "router-streamed"))
    path.write_text(json.dumps(settings))
    process = await asyncio.create_subprocess_exec(
        *(python, _HERE / "router_process.py", path),
        stdin=PIPE,
        stdout=PIPE,
        stderr=(folder / "router.log").open("w"),
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    assert process.stdout is not None
    await process.stdout.readline()
    running = Router(process)
    try:
        yield running
    finally:
        running.reading.cancel()
        await _end(process)


def _litellm(provider: Provider, contestants: tuple[str, ...]) -> dict[str, Any]:
    """The Router's settings: the same budget, and one fallback for every model."""
    models, fallbacks = [], []
    for row in ROWS:
        for contestant in contestants:
            name = f"{row}-{contestant}"
            for role, model_name in (("primary", name), ("fallback", f"{name}-2")):
                parameters = {
                    "model": "openai/m",
                    "api_key": "none",
                    "api_base": provider.base_url(row, contestant, role),
                }
                models.append({"model_name": model_name, "litellm_params": parameters})
            fallbacks.append({name: [f"{name}-2"]})
    return {
        "model_list": models,
        "fallbacks": fallbacks,
        "context_window_fallbacks": fallbacks,
        "num_retries": 2,
        "timeout": 10,
        "stream_timeout": 5,
    }


async def _until_it_answers(client: httpx.AsyncClient, url: str) -> None:
    async with asyncio.timeout(180):
        while True:
            try:
                if (await client.get(url)).is_success:
                    return
            except httpx.HTTPError:
                await asyncio.sleep(0.5)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()
