"""Which URLs of media go on to a provider."""

import pytest

from majordomo.chain.failure import Failure
from majordomo.config import parse
from majordomo.media.parts import media_parts
from majordomo.media.references import MediaHosts
from majordomo.v1.attempt_pb2 import FAILURE_REASON_UNSUPPORTED
from majordomo.v1.content_pb2 import (
    ROLE_TOOL,
    ROLE_USER,
    Blob,
    MediaReference,
    Message,
    Part,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import Call, GenerateRequest, Prompt
from testkit.servers import failed, running
from testkit.upstream import Upstream, completion, serve

PATH = "prompt.messages[0].parts[0].media_reference.uri"


def prompt(url: str) -> Prompt:
    part = Part(media_reference=MediaReference(uri=url, media_type="image/png"))
    return Prompt(messages=[Message(role=ROLE_USER, parts=[part])])


def refused(hosts: MediaHosts, url: str) -> str:
    """Why `url` does not go on; "" if it does."""
    try:
        hosts.check(media_parts(prompt(url)))
    except Failure as failure:
        reported = failure
    else:
        return ""
    assert FAILURE_REASON_UNSUPPORTED == reported.reason
    assert reported.message.startswith(f"{PATH}: ")
    return reported.message.removeprefix(f"{PATH}: ")


@pytest.mark.rule("2.12")
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "10.0.0.8",
        "172.16.3.4:8443",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "0.0.0.0",  # noqa: S104 - nobody listens
        "[::1]",
        "[fd00::1]",
        "[fe80::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a00:1::]",
        "localhost",
        "LOCALHOST.",
        "vllm",
        "metadata.google.internal",
        "printer.local",
    ],
)
def test_private_networks(host: str) -> None:
    """Nobody fetches from them, in whatever form they are written, unless named."""
    assert "is in a private network" == refused(MediaHosts(), f"https://{host}/a.png")


@pytest.mark.rule("2.12")
@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "HTTPS://cdn.Example.com:8443/a.png?b=c#d",
        "https://8.8.8.8/a.png",
        "https://[2606:4700::1111]/a.png",
        "https://example.com",
    ],
)
def test_the_internet(url: str) -> None:
    """A service there may fetch from it; one's own server only from what is named."""
    own = MediaHosts(others=False)

    assert "" == refused(MediaHosts(), url)
    assert "this target's media_hosts do not name its host" == refused(own, url)


@pytest.mark.rule("2.12")
@pytest.mark.parametrize(
    "url",
    [
        "https://example.com\\@10.0.0.1/",
        "https://me@example.com/",
        "https://me:pa55@10.0.0.1/",
        "https://exa mple.com/",
        "https://example.com/a\n.png",
        "https://[::1/",
        "https://ex%61mple.com/",
        "https://bücher.example/",
        "http://example.com/",
        "https:///a.png",
    ],
)
def test_urls_that_can_be_read_in_two_ways(url: str) -> None:
    """They name one host here, and maybe another one there."""
    for hosts in (MediaHosts(), MediaHosts(frozenset({"example.com"}), others=False)):
        assert "must be https, a plain host, and no user" == refused(hosts, url)


@pytest.mark.rule("2.12")
def test_named_hosts() -> None:
    """Wherever they are, with their subdomains, and no other that ends alike."""
    named = frozenset({"media.internal", "10.0.0.8", "example.com"})
    for hosts in (MediaHosts(named), MediaHosts(named, others=False)):
        for host in ("media.internal", "a.media.internal:8443", "10.0.0.8"):
            assert "" == refused(hosts, f"https://{host}/a.png")
        for host in ("xmedia.internal", "internal", "10.0.0.80"):
            assert refused(hosts, f"https://{host}/a.png")
    own = MediaHosts(named, others=False)
    assert "" == refused(own, "https://cdn.example.com/a.png")
    assert refused(own, "https://example.com.evil.example/a.png")


def test_where_a_prompt_holds_media() -> None:
    """In turns and in tool results; texts are none."""
    reference = MediaReference(uri="https://example.com/a.png")
    inner = [Part(text="x"), Part(media_reference=reference)]
    parts = [Part(text="x"), Part(blob=Blob(media_type="image/png", data=b"x"))]
    asked = Prompt(
        messages=[
            Message(role=ROLE_USER, parts=parts),
            Message(role=ROLE_TOOL, parts=[Part(tool_result=ToolResult(parts=inner))]),
        ]
    )

    assert [
        ("prompt.messages[0].parts[1]", parts[1]),
        ("prompt.messages[1].parts[0].tool_result.parts[1]", inner[1]),
    ] == [*media_parts(asked)]


def test_whose_server_it_is() -> None:
    """A known service may fetch from the Internet; another is somebody's own."""
    config = parse(
        """
        [providers.a]
        kind = "openai"
        [providers.b]
        kind = "anthropic"
        base_url = "https://api.anthropic.com/v1"
        [providers.c]
        kind = "openai-compatible"
        base_url = "https://api.groq.com/openai/v1"
        [providers.d]
        kind = "gemini"
        [providers.e]
        kind = "openai-compatible"
        base_url = "http://vllm:8000/v1"
        [providers.f]
        kind = "openai"
        base_url = "https://llm.example.com/v1"
        media_hosts = ["*", "cdn.example.com"]
        """
    )
    own = [n for n, it in config.providers.items() if getattr(it, "self_hosted", False)]

    assert ["e", "f"] == own


@pytest.mark.rule("2.12")
async def test_through_the_server() -> None:
    """One's own server is sent what it is configured for, and nothing else."""
    async with Upstream(serve(completion("seen"))) as upstream:
        config = f"""
        [providers.own]
        kind = "openai-compatible"
        base_url = "{upstream.url}/v1"
        media_hosts = ["media.example.com"]
        """
        async with running(config) as it:
            good, bad = (
                GenerateRequest(call=Call(chain="own/m", prompt=prompt(url)))
                for url in (
                    "https://media.example.com/a.png",
                    "https://169.254.169.254/latest",
                )
            )
            answer = await it.generation.Generate(good)
            reported = await failed(it.generation.Generate(bad))
        bodies = [request.body for request in upstream.requests]

    assert "seen" == answer.message.parts[0].text
    assert "REQUEST_UNSUPPORTED" == reported.reason
    assert PATH in str(reported.details)
    assert 1 == len(bodies)
    assert b"https://media.example.com/a.png" in bodies[0]
