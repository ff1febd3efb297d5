"""Each kind of provider through the whole server: address, headers, answer."""

import asyncio
import json
import sys
from typing import Any

import pytest

from majordomo.chain.failure import Failure
from majordomo.config import parse
from majordomo.distribution import require
from majordomo.providers.gemini.google_token import GoogleToken
from majordomo.providers.gemini.settings import GeminiSettings
from majordomo.v1.attempt_pb2 import FAILURE_REASON_CREDENTIALS
from majordomo.v1.generation_service_pb2 import FINISH_REASON_STOP
from testkit.servers import failed, generate, rest_of, running, stream, text_of
from testkit.upstream import CHUNKED, LAST_CHUNK, Connection, Upstream, answer, chunk

KEY = "the-key"


def sse(*values: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(v).encode() + b"\n\n" for v in values)


CHAT = {
    "id": "1",
    "model": "m-1",
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}
RESPONSE = {
    "id": "1",
    "model": "m-1",
    "status": "completed",
    "output": [
        {
            "type": "message",
            "id": "i",
            "content": [{"type": "output_text", "text": "hi you"}],
        }
    ],
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
MESSAGE = {
    "id": "1",
    "model": "m-1",
    "content": [{"type": "text", "text": "hi you"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
CANDIDATES = {
    "candidates": [
        {"content": {"parts": [{"text": "hi you"}]}, "finishReason": "STOP"}
    ],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
    "modelVersion": "m-1",
    "responseId": "1",
}
ANSWERS: dict[str, tuple[dict[str, Any], bytes]] = {
    "/responses": (RESPONSE, sse({"type": "response.completed", "response": RESPONSE})),
    "/chat/completions": (
        {
            **CHAT,
            "choices": [{"message": {"content": "hi you"}, "finish_reason": "stop"}],
        },
        sse(
            {
                **CHAT,
                "choices": [{"delta": {"content": "hi you"}, "finish_reason": "stop"}],
            }
        )
        + b"data: [DONE]\n\n",
    ),
    "/messages": (
        MESSAGE,
        sse(
            {"type": "message_start", "message": {**MESSAGE, "content": []}},
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "text", "text": ""},
            },
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": "hi you"},
            },
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 2},
            },
            {"type": "message_stop"},
        ),
    ),
    "/models/m:": (CANDIDATES, sse(CANDIDATES)),
}


async def provider(connection: Connection) -> None:
    """Answers on every wire, whole or streamed as it is asked."""
    while (request := await connection.request()) is not None:
        whole, streamed = next(v for k, v in ANSWERS.items() if k in request.path)
        if b'"stream":true' in request.body or "stream" in request.path:
            await connection.send(CHUNKED + chunk(streamed) + LAST_CHUNK)
        else:
            await connection.send(answer(200, json.dumps(whole).encode()))


@pytest.mark.parametrize(
    ("settings", "paths", "headers"),
    [
        (
            'kind = "openai"',
            ["/v1/responses"] * 2,
            {"authorization": f"Bearer {KEY}"},
        ),
        (
            'kind = "openai"\napi = "chat"',
            ["/v1/chat/completions"] * 2,
            {"authorization": f"Bearer {KEY}"},
        ),
        (
            'kind = "anthropic"\nbetas = ["a-1", "b-2"]',
            ["/v1/messages"] * 2,
            {
                "x-api-key": KEY,
                "anthropic-version": "2023-06-01",
                "anthropic-beta": "a-1,b-2",
            },
        ),
        (
            'kind = "gemini"',
            [
                "/v1/models/m:generateContent",
                "/v1/models/m:streamGenerateContent?alt=sse",
            ],
            {"x-goog-api-key": KEY},
        ),
        (
            'kind = "openai-compatible"\nprofile = "azure"',
            ["/v1/chat/completions"] * 2,
            {"api-key": KEY},
        ),
    ],
)
async def test_a_kind_answers(
    settings: str,
    paths: list[str],
    headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whole and streamed, with the key in its header and nowhere else."""
    monkeypatch.setenv("KEY", KEY)
    async with Upstream(provider) as upstream:
        config = f"""
            [providers.p]
            {settings}
            base_url = "{upstream.url}/v1"
            api_key = "env:KEY"
            generate_via = "unary"
        """
        async with running(config) as it:
            whole = await it.generation.Generate(generate("p/m"))
            events = await rest_of(it.generation.Stream(stream("p/m")))

    streamed = events[-1].completion
    assert "hi you" == whole.message.parts[0].text == text_of(events)
    for completion in (whole.completion, streamed):
        assert ("p/m", "m-1", "1") == (
            completion.target,
            completion.provider_model,
            completion.provider_response_id,
        )
        assert FINISH_REASON_STOP == completion.finish_reason
        usage = completion.usage
        assert (3, 2) == (usage.input_tokens, usage.output_tokens)
    assert paths == [request.path for request in upstream.requests]
    for request in upstream.requests:
        assert headers == {name: request.headers[name] for name in headers}
        others = {k: v for k, v in request.headers.items() if k not in headers}
        assert KEY not in f"{others} {request.path} {request.body!r}"


async def test_what_models_take_may_be_configured() -> None:
    """Over what is known: what it does not take is left out, or passed over."""
    async with Upstream(provider) as upstream:
        config = f"""
            [providers.p]
            kind = "anthropic"
            base_url = "{upstream.url}/v1"
            [providers.p.models.m]
            sampling = false
            tools = false
            max_output_tokens = 50
        """
        async with running(config) as it:
            request = generate("p/m")
            request.call.prompt.config.temperature = 0.5
            request.call.prompt.config.max_output_tokens = 99
            response = await it.generation.Generate(request)
            request.call.prompt.tools.add().function.name = "f"
            reported = await failed(it.generation.Generate(request))

    sent = json.loads(upstream.requests[0].body)
    assert 50 == sent["max_tokens"]
    assert "temperature" not in sent
    assert {"prompt.config.temperature", "prompt.config.max_output_tokens"} == {
        adaptation.field for adaptation in response.completion.adaptations
    }
    assert "REQUEST_UNSUPPORTED" == reported.reason


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("", "aiplatform.googleapis.com"),
        ('location = "europe-west4"', "europe-west4-aiplatform.googleapis.com"),
    ],
)
def test_where_vertex_is(location: str, host: str) -> None:
    """By the project's region; the peer is reported as OpenTelemetry calls it."""
    config = parse(f'[providers.v]\nkind = "gemini"\nproject = "p-1"\n{location}')
    settings = config.providers["v"]
    assert isinstance(settings, GeminiSettings)
    found = settings.peer("v")

    assert (host, 443, "gcp.vertex_ai") == (
        found.server_address,
        found.server_port,
        found.provider_name,
    )


def test_an_address_of_ones_own_comes_before_vertex_ai() -> None:
    """Also where it is the one that Gemini has without a project."""
    gemini = "https://generativelanguage.googleapis.com/v1beta"
    project = '[providers.v]\nkind = "gemini"\nproject = "p-1"'
    usual = parse(project).providers["v"]
    written = parse(f'{project}\nbase_url = "{gemini}"').providers["v"]
    assert isinstance(usual, GeminiSettings)
    assert isinstance(written, GeminiSettings)

    assert "aiplatform.googleapis.com" in usual.url
    assert gemini == written.url
    assert usual.fingerprint() != written.fingerprint()
    assert usual.place() != written.place()


class Credentials:
    """As google-auth's: good for a while, and refreshed by a blocking call."""

    def __init__(self, *, broken: bool = False) -> None:
        self.valid = False
        self.token = ""
        self.refreshed = 0
        self._broken = broken

    def refresh(self, request: object) -> None:
        if self._broken:
            raise RuntimeError("the-secret of the account was refused")
        self.refreshed += 1
        self.token = f"token-{self.refreshed}"
        self.valid = True


async def test_a_token_is_kept_while_it_is_good() -> None:
    """Many that ask at once have it got once; when it has run out, again."""
    credentials = Credentials()
    token = GoogleToken(credentials)

    assert {"token-1"} == set(await asyncio.gather(*(token() for _ in range(20))))
    assert "token-1" == await token()
    credentials.valid = False
    assert "token-2" == await token()


async def test_no_token_is_no_credentials() -> None:
    """Without the words of anyone who refused."""
    with pytest.raises(Failure) as caught:
        await GoogleToken(Credentials(broken=True))()

    assert FAILURE_REASON_CREDENTIALS == caught.value.reason
    assert "the-secret" not in str(caught.value)


async def test_a_token_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the failure says what to install."""
    require.cache_clear()
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(Failure) as caught:
        await GoogleToken()()

    assert FAILURE_REASON_CREDENTIALS == caught.value.reason
    assert "pip install 'majordomo-grpc[server,vertex]'" in str(caught.value)
