"""Targets and tiers in pages, and a snapshot in pieces."""

from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from majordomo.v1.generation_service_pb2 import ListTiersRequest
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    HealthSnapshotRequest,
    HealthSnapshotResponse,
    WatchHealthRequest,
)
from testkit.servers import Running, failed, generate, running

NAMES = [f"acme/m{number:04}" for number in range(1200)]


def crowded() -> str:
    """More targets than any page has."""
    models = "".join(f'[providers.acme.models."{name[5:]}"]\n' for name in NAMES)
    return f'[providers.acme]\nkind = "scripted"\n{models}'


async def pages(it: Running, **request: Any) -> list[HealthSnapshotResponse]:
    """All pages; no more than ten."""
    found = [await it.operator.HealthSnapshot(HealthSnapshotRequest(**request))]
    while found[-1].next_page_token:
        assert len(found) < 10
        token = found[-1].next_page_token
        asked = HealthSnapshotRequest(page_token=token, **request)
        found.append(await it.operator.HealthSnapshot(asked))
    return found


def names(page: HealthSnapshotResponse) -> list[str]:
    return [target.target for target in page.targets]


@pytest.mark.rule("6.5")
@pytest.mark.parametrize(
    ("size", "sizes"),
    [(0, [500, 500, 200]), (700, [700, 500]), (5000, [1000, 200]), (600, [600, 600])],
)
async def test_every_target_is_on_one_page(size: int, sizes: list[int]) -> None:
    """In order of name; benches of providers are on the first page alone."""
    async with running(crowded()) as it:
        await it.operator.Bench(BenchRequest(provider="acme", reason="upgrade"))
        found = await pages(it, page_size=size)

    assert sizes == [len(page.targets) for page in found]
    assert NAMES == [name for page in found for name in names(page)]
    (bench,) = found[0].provider_benches
    assert ("acme", "upgrade") == (bench.provider, bench.bench.reason)
    assert [] == [bench for page in found[1:] for bench in page.provider_benches]


@pytest.mark.rule("6.5")
async def test_names_that_come_between_two_pages_move_no_other() -> None:
    """What is met before the place is not shown, what is met after it is."""
    async with running(crowded()) as it:
        first = await it.operator.HealthSnapshot(HealthSnapshotRequest())
        for model in ("echo", "text:x"):  # before all others, and after them
            await it.generation.Generate(generate(f"acme/{model}"))
        token = first.next_page_token
        rest = await pages_from(it, token)

    assert [*NAMES[500:], "acme/text:x"] == rest


async def pages_from(it: Running, token: str) -> list[str]:
    found: list[str] = []
    for _ in range(10):
        request = HealthSnapshotRequest(page_token=token)
        page = await it.operator.HealthSnapshot(request)
        found += names(page)
        token = page.next_page_token
        if not token:
            return found
    raise AssertionError("no end")


@pytest.mark.rule("6.5")
async def test_a_chain_is_paged_in_its_order() -> None:
    """A token of another chain is refused."""
    chain = "acme/z,acme/a,acme/m"
    async with running() as it:
        found = await pages(it, chain=chain, page_size=2)
        token = found[0].next_page_token
        other = HealthSnapshotRequest(chain="acme/x", page_token=token)
        reported = await failed(it.operator.HealthSnapshot(other))

    assert [["acme/z", "acme/a"], ["acme/m"]] == [names(page) for page in found]
    assert grpc.StatusCode.INVALID_ARGUMENT == reported.code
    (violation,) = reported.details[BadRequest].field_violations
    assert "page_token" == violation.field


@pytest.mark.parametrize("token", ["x", "é", "////", "gIA="])
async def test_a_token_of_somebody_else(token: str) -> None:
    """It is named, and what it must be."""
    async with running() as it:
        request = ListTiersRequest(page_token=token)
        reported = await failed(it.generation.ListTiers(request))

    assert (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") == (
        reported.code,
        reported.reason,
    )
    assert (
        "page_token: must be the next_page_token of the page before" == reported.message
    )


@pytest.mark.rule("6.5")
async def test_a_snapshot_comes_in_pieces_of_one_moment() -> None:
    """Each but the last says that more follow; the first has the providers."""
    async with running(crowded()) as it:
        await it.operator.Bench(BenchRequest(provider="acme"))
        watch: Any = it.operator.WatchHealth(WatchHealthRequest())
        pieces = [(await watch.read()).snapshot for _ in range(3)]
        watch.cancel()

    assert NAMES == [health.target for piece in pieces for health in piece.targets]
    assert [True, True, False] == [piece.more for piece in pieces]
    assert [1, 0, 0] == [len(piece.provider_benches) for piece in pieces]
    assert 1 == len({piece.snapshot_time.ToNanoseconds() for piece in pieces})
    largest = max(piece.ByteSize() for piece in pieces)
    assert largest < 4 * 1024 * 1024


@pytest.mark.rule("6.5", "1.3")
async def test_tiers_are_listed() -> None:
    """By name, with their targets in order, and what an empty chain stands for."""
    config = """
        [server]
        listen = "127.0.0.1:0"
        default_chain = "fast"
        [providers.acme]
        kind = "scripted"
        [tiers]
        slow = "acme/b,fast"
        fast = "acme/echo , acme/a"
    """
    async with running(config) as it:
        first = await it.generation.ListTiers(ListTiersRequest(page_size=1))
        token = first.next_page_token
        rest = await it.generation.ListTiers(ListTiersRequest(page_token=token))

    assert [("fast", ["acme/echo", "acme/a"])] == [
        (tier.name, list(tier.targets)) for tier in first.tiers
    ]
    assert [("slow", ["acme/b", "acme/echo", "acme/a"])] == [
        (tier.name, list(tier.targets)) for tier in rest.tiers
    ]
    assert ("fast", "") == (first.default_chain, rest.next_page_token)


async def test_a_bench_has_the_same_times_at_each_read() -> None:
    """In the answer, in snapshots, and in the record of a call that it skipped."""
    async with running() as it:
        benched = await it.operator.Bench(BenchRequest(target="acme/echo"))
        reads = [
            (await it.operator.HealthSnapshot(HealthSnapshotRequest())).targets[0]
            for _ in range(5)
        ]

    starts = [target.bench.start_time for target in [*benched.targets, *reads]]
    assert 1 == len({start.ToNanoseconds() for start in starts})
