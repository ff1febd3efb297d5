"""From names to targets: the rules of section 1."""

import pytest

from majordomo.chain.names import expand
from majordomo.config import parse
from majordomo.errors import (
    ChainError,
    MalformedChain,
    UnknownProvider,
    UnknownTier,
)
from majordomo.registry import Catalog, Registry
from majordomo.transport.provider import HttpProvider

CONFIG = """
    [server]
    default_chain = "fast"
    [chain]
    stall_timeout = "11s"
    attempt_timeout = "100s"
    [providers.acme]
    kind = "scripted"
    max_concurrency = 8
    attempt_timeout = "50s"
    [providers.acme.models."deep/er"]
    attempt_timeout = "10s"
    first_content_timeout = "5s"
    reasoning = true
    max_concurrency = 2
    [providers.groq]
    kind = "openai-compatible"
    base_url = "https://api.groq.com/openai/v1"
    [providers.closed]
    kind = "scripted"
    closed = true
    [providers.closed.models.only]
    [tiers]
    fast = "acme/a, acme/deep/er"
    nested = "fast,acme/b,fast"
"""


@pytest.fixture
def catalog() -> Catalog:
    return Registry(parse(CONFIG, {})).catalog


async def names(catalog: Catalog, chain: str) -> list[str]:
    return [target.name for target in await catalog.resolve(chain)]


@pytest.mark.rule("1.1")
async def test_a_target_is_provider_and_model(catalog: Catalog) -> None:
    """The provider ends at the first slash; model ids keep theirs."""
    (target,) = await catalog.resolve("acme/meta/llama:4@x+y")

    assert ("acme", "meta/llama:4@x+y") == (target.provider_name, target.model)
    assert ["acme/~x/y#1"] == await names(catalog, "acme/~x/y#1")
    for bad in ("acme/", "/x", "acme/..", "acme/a..b", "acme/a?b", "acme/" + "x" * 257):
        with pytest.raises(MalformedChain):
            await catalog.resolve(bad)


@pytest.mark.rule("1.1")
@pytest.mark.parametrize(
    "chain", ["acme/a|acme/b", "acme/a | acme/b", "fast|acme/a", "acme/a*3", "fast*12"]
)
async def test_equals_and_weights_are_reserved(catalog: Catalog, chain: str) -> None:
    """They mean nothing yet, and can mean nothing else."""
    with pytest.raises(MalformedChain, match="reserved"):
        await catalog.resolve(chain)


@pytest.mark.rule("1.2")
async def test_chains_are_lists_within_bounds(catalog: Catalog) -> None:
    """Spaces around commas are allowed; length, targets and depth are bounded."""
    assert ["acme/a", "acme/b"] == await names(catalog, "acme/a , acme/b")
    many = ",".join(f"acme/{number}" for number in range(33))
    with pytest.raises(MalformedChain, match="33 targets"):
        await catalog.resolve(many)
    assert 32 == len(await names(catalog, many.rpartition(",")[0]))
    with pytest.raises(MalformedChain, match="4096 bytes"):
        await catalog.resolve("acme/a," * 600)
    deep = {f"t{i}": f"t{i + 1}" for i in range(8)} | {"t8": "acme/a"}
    assert ["acme/a"] == expand("t1", deep)
    with pytest.raises(MalformedChain, match="8 deep"):
        expand("t0", deep)


@pytest.mark.rule("1.3")
async def test_tiers_stand_for_chains(catalog: Catalog) -> None:
    """They nest; what comes twice is kept once, at its first place."""
    assert ["acme/a", "acme/deep/er"] == await names(catalog, "fast")
    assert ["acme/a", "acme/deep/er", "acme/b"] == await names(catalog, "nested,acme/a")
    with pytest.raises(MalformedChain, match="x -> y -> x"):
        expand("x", {"x": "y", "y": "x"})


@pytest.mark.rule("1.4")
@pytest.mark.parametrize(
    ("chain", "error"),
    [
        ("nope", UnknownTier),
        ("fast,nope/x", UnknownProvider),
        ("acme/a,", MalformedChain),
        (" ", MalformedChain),
        ("FAST", MalformedChain),
    ],
)
async def test_errors_come_before_the_walk(
    catalog: Catalog, chain: str, error: type[ChainError]
) -> None:
    """One bad element is enough."""
    with pytest.raises(error):
        await catalog.resolve(chain)


@pytest.mark.rule("1.5")
async def test_only_what_is_configured_can_be_named(catalog: Catalog) -> None:
    """Any model of a provider, unless its list is closed; never a host."""
    assert ["closed/only"] == await names(catalog, "closed/only")
    with pytest.raises(MalformedChain, match="lists: only"):
        await catalog.resolve("closed/other")
    with pytest.raises(ChainError):
        await catalog.resolve("https://evil.example/v1")
    for number in range(3000):
        await catalog.resolve(f"acme/invented-{number}")
    assert len(catalog._resolved) <= 1024


async def test_without_a_chain_the_default_is_walked(catalog: Catalog) -> None:
    """And without a default the error says how to set one."""
    assert await names(catalog, "fast") == await names(catalog, "")
    with pytest.raises(MalformedChain, match="default_chain"):
        await Registry(parse("", {})).catalog.resolve("")


@pytest.mark.rule("5.4")
async def test_the_narrowest_setting_wins(catalog: Catalog) -> None:
    """Model over provider over chain."""
    plain, deeper = await catalog.resolve("fast")

    assert (50, None, 11) == (
        plain.timeouts.attempt,
        plain.timeouts.first_content,
        plain.timeouts.stall,
    )
    assert (10, 5, 11) == (
        deeper.timeouts.attempt,
        deeper.timeouts.first_content,
        deeper.timeouts.stall,
    )
    assert deeper.reasons


@pytest.mark.rule("5.4")
async def test_a_model_that_is_not_known_may_reason(catalog: Catalog) -> None:
    """It has a reasoner's limits; one that is known not to has not."""
    chain = "acme/invented,acme/gpt-4o-mini,acme/grok-4"
    targets = await catalog.resolve(chain)

    assert [True, False, True] == [target.reasons for target in targets]


async def test_concurrency_limits_are_shared(catalog: Catalog) -> None:
    """By provider and by model, for every call."""
    plain, deeper = await catalog.resolve("fast")
    again = (await catalog.resolve("acme/deep/er"))[0]

    assert [8] == [concurrency.limit for concurrency in plain.concurrency_limits]
    assert [8, 2] == [concurrency.limit for concurrency in deeper.concurrency_limits]
    assert all(
        a is b
        for a, b in zip(
            deeper.concurrency_limits, again.concurrency_limits, strict=True
        )
    )


async def test_peers_are_named_by_convention(catalog: Catalog) -> None:
    """Well-known hosts have OpenTelemetry's names."""
    peer = (await catalog.resolve("groq/llama"))[0].peer

    assert ("groq", "api.groq.com", 443) == (
        peer.provider_name,
        peer.server_address,
        peer.server_port,
    )


async def test_names_are_those_of_the_configuration(catalog: Catalog) -> None:
    """What operators see before any call."""
    assert ["acme/a", "acme/b", "acme/deep/er", "closed/only"] == catalog.names


async def test_the_key_goes_where_the_server_wants_it() -> None:
    """A bearer token, or the header of its own that Azure has."""
    text = """
    [providers.azure]
    kind = "openai-compatible"
    base_url = "https://acme.openai.azure.com/openai/v1"
    api_key = "env:KEY"
    [providers.vllm]
    kind = "openai-compatible"
    base_url = "http://localhost:8000/v1"
    api_key = "env:KEY"
    """
    registry = Registry(parse(text, {"KEY": "k"}))

    sent = {}
    for name, shared in registry.catalog.providers.items():
        assert isinstance(shared.provider, HttpProvider)
        sent[name] = dict(shared.provider.headers)
    await registry.aclose()

    assert "k" == sent["azure"]["api-key"]
    assert "authorization" not in sent["azure"]
    assert "Bearer k" == sent["vllm"]["authorization"]
