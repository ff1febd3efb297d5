"""Where the server listens, and what it says where it cannot."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from majordomo.config import parse
from majordomo.rpc.server import Server
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from testkit.servers import SCRIPTED, failed, generate, running
from tests.fuzz.frames import PREFACE, SETTINGS, frame


def config(**server: str) -> str:
    """A configuration with these settings of [server]."""
    settings = {"listen": "127.0.0.1:0", **server}
    lines = (f'{key} = "{value}"' for key, value in settings.items())
    return "\n".join(["[server]", *lines, SCRIPTED.replace("    ", "")])


async def error_of(text: str) -> str:
    """What a server says that cannot listen."""
    with pytest.raises(OSError, match="cannot listen on") as raised:
        async with Server(parse(text)):
            pass
    return str(raised.value)


async def test_a_second_server_on_a_unix_socket_is_refused(tmp_path: Path) -> None:
    """gRPC would take the socket over, and the first one would never be asked."""
    address = f"unix:{tmp_path}/m.sock"
    async with running(config(listen=address)) as it:
        error = await error_of(config(listen=address))
        answer = await it.generation.Generate(generate("acme/echo"))

    assert "another server does; stop it, or choose another path" in error
    assert "hello" == answer.message.parts[0].text


async def test_a_stale_unix_socket_is_taken_over(tmp_path: Path) -> None:
    """What a server that was killed has left behind holds nobody up."""
    path = tmp_path / "m.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async with running(config(listen=f"unix:{path}")) as it:
        answer = await it.generation.Generate(generate("acme/echo"))

    assert "hello" == answer.message.parts[0].text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing/m.sock", "there is no folder"),
        ("file", "it is a file, and no socket"),
    ],
)
async def test_a_path_where_no_socket_can_be(
    name: str, words: str, tmp_path: Path
) -> None:
    """The error names the path and what is wrong with it."""
    (tmp_path / "file").write_text("")

    error = await error_of(config(listen=f"unix:{tmp_path}/{name}"))

    assert f"cannot listen on unix:{tmp_path}/{name}: " in error
    assert words in error


@pytest.mark.parametrize("key", ["listen", "metrics_listen", "health_listen"])
async def test_an_address_of_somebody_else(key: str) -> None:
    """Not "is it taken?": the system's own words."""
    error = await error_of(config(**{key: "192.0.2.1:50051"}))

    assert "cannot listen on 192.0.2.1:50051: Cannot assign requested address" == error


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])  # noqa: S104 - they are meant
async def test_wildcards_take_both_families(host: str) -> None:
    """The page for Prometheus does as gRPC's ports do."""
    async with running(config(listen=f"{host}:0", metrics_listen=f"{host}:0")) as it:
        answers = []
        for loopback in ("127.0.0.1", "[::1]"):
            port = it.server.address.rpartition(":")[2]
            async with grpc.aio.insecure_channel(f"{loopback}:{port}") as channel:
                stub: Any = GenerationServiceStub(channel)
                answer = await stub.Generate(generate("acme/echo"), timeout=20)
            page = it.server.metrics_address.rpartition(":")[2]
            reader, writer = await asyncio.open_connection(
                loopback.strip("[]"), int(page)
            )
            writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
            line = await reader.readline()
            writer.close()
            answers.append((answer.message.parts[0].text, line.split()[1]))

    assert [("hello", b"200")] * 2 == answers


async def test_health_in_plain_text_beside_tls(
    tls_config: str,
) -> None:
    """For probes that speak no TLS: health, and nothing else."""
    async with (
        Server(parse(tls_config)) as server,
        grpc.aio.insecure_channel(server.health_address) as channel,
    ):
        check: Any = health_pb2_grpc.HealthStub(channel).Check
        state = await check(health_pb2.HealthCheckRequest(), timeout=20)
        refused = await failed(
            GenerationServiceStub(channel).Generate(generate("acme/echo"), timeout=20)
        )

    assert health_pb2.HealthCheckResponse.SERVING == state.status
    assert grpc.StatusCode.UNIMPLEMENTED == refused.code


@pytest.fixture
def tls_config(tmp_path: Path) -> str:
    trustme = pytest.importorskip("trustme")
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "all.pem"))
    tls = (
        f'\n[server.tls]\ncertificate = "{tmp_path}/all.pem"\n'
        f'private_key = "{tmp_path}/all.pem"\n'
    )
    return config(health_listen="127.0.0.1:0") + tls


async def test_an_old_connection_is_asked_to_go() -> None:
    """It hears GOAWAY; a call that outlasts the age of its own ends well."""
    async with running(config(max_connection_age="300ms")) as it:
        long = it.generation.Generate(generate("acme/delay:2s+text:late"))
        host, _, port = it.server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(PREFACE + frame(SETTINGS, 0, 0, b""))
        heard = b""
        async with asyncio.timeout(50):
            while GOAWAY not in kinds(heard) and (more := await reader.read(4096)):
                heard += more
        writer.close()
        answer = await long

    assert GOAWAY in kinds(heard)
    assert "late" == answer.message.parts[0].text


GOAWAY = 7


def kinds(data: bytes) -> list[int]:
    """The types of the HTTP/2 frames in `data`."""
    found = []
    while len(data) >= 9:
        found.append(data[3])
        data = data[9 + int.from_bytes(data[:3], "big") :]
    return found


async def watch(channel: grpc.aio.Channel) -> Any:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    call = stub.Watch(health_pb2.HealthCheckRequest())
    await call.read()
    return call


async def reflect(channel: grpc.aio.Channel) -> Any:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    await call.read()
    return call


@pytest.mark.parametrize("open_one", [watch, reflect])
async def test_streams_about_the_server_do_not_hold_up_a_drain(open_one: Any) -> None:
    """They end as UNAVAILABLE, long before the grace of 30 s is over."""
    loop = asyncio.get_running_loop()
    async with running() as it:
        call = await open_one(it.channel)
        began = loop.time()
        drained = asyncio.create_task(it.server.drain())
        reported = await failed(call)
        await drained
        took = loop.time() - began

    assert grpc.StatusCode.UNAVAILABLE == reported.code
    assert took < 25
