"""Resolvers: tiers that plugins know, and plugins that fail."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from majordomo.chain.names import split_target
from majordomo.chain.resolvers import PluginError, Resolver, Resolvers, load_plugin
from majordomo.errors import ChainError, ResolverFailed, UnknownTier
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from testkit.processes import serving
from testkit.servers import failed, generate

EXAMPLE = Path(__file__).parent.parent / "examples" / "resolver"

Plugin = Callable[[str], Awaitable[object]]


def asking(*plugins: Plugin, timeout: float = 30.0) -> Resolvers:
    named = [Resolver(f"r{n}", plugin, timeout) for n, plugin in enumerate(plugins)]

    def check(element: str) -> None:
        if "/" in element:
            split_target(element)

    return Resolvers(named, check)


def table(**tiers: object) -> Plugin:
    async def resolve(tier: str) -> object:
        return tiers.get(tier)

    return resolve


@pytest.mark.rule("1.3")
async def test_a_tier_may_be_a_resolvers() -> None:
    """Asked in order, None passes on; answers may name tiers of all kinds."""
    resolvers = asking(table(), table(fast="a/1,mine", slow="b/2"))

    found = await resolvers.expand("fast,slow,a/1", {"mine": "c/3,slow"})

    assert ["a/1", "c/3", "b/2"] == found


@pytest.mark.rule("1.4")
async def test_a_tier_that_nobody_knows_is_unknown() -> None:
    """As if there were no resolvers."""
    with pytest.raises(UnknownTier):
        await asking(table()).expand("fast", {})


async def fails(tier: str) -> object:
    raise RuntimeError("sk-canary")


async def stubborn(tier: str) -> object:
    released = asyncio.Event()
    with suppress(asyncio.CancelledError):
        await released.wait()
    return "too/late"


async def gives_up(tier: str) -> object:
    raise asyncio.CancelledError


async def endless(tier: str) -> object:
    return "a/1" if tier.startswith("t") else ",".join(f"t{n}" for n in range(40))


async def deep(tier: str) -> object:
    return f"{tier}x"


@pytest.mark.parametrize(
    ("plugin", "why"),
    [
        (fails, "failed with RuntimeError"),
        (stubborn, "did not answer within 0.02 s"),
        (gives_up, "failed with CancelledError"),
        (endless, "ever new tiers"),
        (deep, "more than 8 deep"),
        (table(fast=7), "answered with int"),
        (table(fast="a/1,,b/1"), "empty element"),
        (table(fast="fast"), "circle"),
        (table(fast="other"), "named 'other', which nobody knows"),
        (table(fast=",".join(f"a/{n}" for n in range(40))), "at most 32"),
    ],
)
async def test_whatever_a_resolver_does_wrong_is_told_with_its_name(
    plugin: Plugin, why: str
) -> None:
    """And without its words, which may be secret; it never holds the call."""
    with pytest.raises(ResolverFailed) as failed:
        await asking(plugin, timeout=0.02).expand("fast", {})

    assert "r0" == failed.value.resolver
    assert why in str(failed.value)
    assert "canary" not in str(failed.value)


async def test_what_the_caller_wrote_is_the_callers_fault() -> None:
    """A malformed chain is no failure of a resolver."""
    with pytest.raises(ChainError, match="empty element"):
        await asking(table(fast="a/1")).expand("a/1,", {})


async def test_a_cancelled_call_cancels_the_question() -> None:
    """Nothing is left running."""
    asked, cancelled = asyncio.Event(), asyncio.Event()

    async def waits(tier: str) -> object:
        asked.set()
        try:
            return await asyncio.Event().wait()
        finally:
            cancelled.set()

    task = asyncio.create_task(asking(waits).expand("fast", {}))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await cancelled.wait()


def test_a_plugin_that_is_not_installed_cannot_be_had() -> None:
    """The error says what there is."""
    with pytest.raises(PluginError, match="no installed package has the entry point"):
        load_plugin("nobody")


async def test_the_example_resolves_tiers_from_files(tmp_path: Path) -> None:
    """Installed as its README says, it moves a tier between two calls."""
    site, tiers = tmp_path / "site", tmp_path / "tiers"
    tiers.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    install = await asyncio.create_subprocess_exec(
        *pip, "--no-build-isolation", "--target", site, EXAMPLE
    )
    assert 0 == await install.wait()
    config = tmp_path / "majordomo.toml"
    config.write_text(
        '[providers.acme]\nkind = "scripted"\n[resolvers.files]\ntimeout = "10s"\n'
    )
    environ = {**os.environ, "PYTHONPATH": str(site), "TIER_FILES": str(tiers)}

    async with (
        serving(config, environ) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub: Any = GenerationServiceStub(channel)

        async def ask() -> str:
            answer = await stub.Generate(generate("fast"))
            return str(answer.message.parts[0].text)

        unknown = await failed(stub.Generate(generate("fast")))
        assert "UNKNOWN_TIER" == unknown.reason
        (tiers / "fast").write_text("acme/text:one\n")
        assert "one" == await ask()
        (tiers / "fast").write_text("acme/text:two")
        assert "two" == await ask()
        (tiers / "fast").write_text("acme/")
        reported = await failed(stub.Generate(generate("fast")))
        assert (grpc.StatusCode.UNAVAILABLE, "RESOLVER_FAILED") == (
            reported.code,
            reported.reason,
        )
        info = reported.details[ErrorInfo]
        assert ("files", "fast") == (info.metadata["resolver"], info.metadata["name"])
