"""majordomo with a parrot: what comes of a folder and a line, as JSON.

Run in a process of its own: kinds are read when the configuration is first imported.
"""

import asyncio
import json
import os
import sys
from typing import Any

from majordomo.providers import kinds
from tests.providers.parrot.settings import ParrotSettings

kinds.KINDS = (*kinds.KINDS, ParrotSettings)

from majordomo.config import ConfigError, load, parse  # noqa: E402
from scripts import config_reference, providers_page  # noqa: E402
from testkit.servers import generate, rest_of, running, stream, text_of  # noqa: E402
from testkit.upstream import (  # noqa: E402
    CHUNKED,
    LAST_CHUNK,
    Connection,
    Upstream,
    answer,
    chunk,
)

BITS = b'data: {"bit": "hel"}\n\ndata: {"bit": "lo"}\n\nevent: end\ndata: {"at": 1}\n\n'


async def _cage(connection: Connection) -> None:
    """A parrot: answers whole, or bit by bit."""
    while (request := await connection.request()) is not None:
        heard = json.loads(request.body)
        if heard["bit_by_bit"]:
            await connection.send(CHUNKED + chunk(BITS) + LAST_CHUNK)
        else:
            said = json.dumps({"said": heard["line"]}).encode()
            await connection.send(answer(200, said))


async def _answers() -> dict[str, Any]:
    async with Upstream(_cage) as upstream:
        config = f"""
            [providers.polly]
            kind = "parrot"
            base_url = "{upstream.url}/v1"
            api_key = "env:SEED"
            nap = "500ms"
            generate_via = "unary"
        """
        async with running(config) as it:
            (target,) = await it.server._registry.catalog.resolve("polly/grey")
            whole = await it.generation.Generate(generate("polly/grey"))
            events = await rest_of(it.generation.Stream(stream("polly/grey")))
    first = upstream.requests[0]
    return {
        "whole": whole.message.parts[0].text,
        "streamed": text_of(events),
        "path": first.path,
        "headers": {name: first.headers[name] for name in ("x-seed", "x-nap")},
        "peer": target.peer.provider_name,
    }


def _problems(text: str) -> list[str]:
    try:
        parse(text, {})
    except ConfigError as error:
        return error.problems
    return []


def main() -> None:
    environ = {"PARROT_KEY": "seed-1"}
    os.environ["SEED"] = "seed-2"
    page = config_reference.page()
    found = {
        "appears": type(load(None, environ).providers["parrot"]).__name__,
        "misspelt": _problems('[providers.polly]\nkind = "parrot"\nnapp = "1s"'),
        "unknown": _problems('[providers.polly]\nkind = "parot"'),
        "reference": page[page.index('## `[providers.NAME], kind = "parrot"`') :],
        "known": [line for line in page.splitlines() if "PARROT_KEY" in line],
        "schema": config_reference.schema()["$defs"]["ParrotSettings"]["required"],
        "capabilities": providers_page.page(),
        "answers": asyncio.run(_answers()),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
