"""What must not be disclosed is asked to nobody; all else stays as it is."""

import json
import logging
from collections.abc import Callable

import pytest

from majordomo import secrets
from majordomo.config import parse
from majordomo.secrets import MASK, hide, redact, scrub, where
from testkit.servers import failed, generate, running
from testkit.upstream import Upstream, answer, serve


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test hides is known to no other."""
    for name in ("_keys", "_hosts", "_host"):
        monkeypatch.setattr(secrets, name, getattr(secrets, name))


KEYS = [
    "sk-proj-AbCdEf0123456789_xyz-ABC",
    "sk-ant-api03-0123456789abcdef-AA",
    "gsk_abcdefghijklmnopqrstuvwxyz012345",
    "xai-0123456789abcdef0123",
    "hf_abcdefghijklmnopqrstuv",
    "r8_abcdefghijklmnopqrstuv",
    "nvapi-abcdefghijklmnop-qrs",
    "pplx-0123456789abcdef0123",
    "AIzaSyA-0123456789abcdefghijklmnopqrstu",
    "ya29.a0AfH6SMBabcdefghijklmn",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.s5Cx_-abc",
]


@pytest.mark.parametrize("key", KEYS)
def test_what_looks_like_a_key_is_told_nowhere(key: str) -> None:
    """Neither in a log nor to a caller: there is one list."""
    for reported in (redact, scrub):
        assert f"got {MASK}, sorry" == reported(f"got {key}, sorry")
        assert f'{{"a":"{MASK}"}}' == reported(f'{{"a":"{key}"}}')


@pytest.mark.parametrize("reported", [redact, scrub])
def test_who_signs_in_is_not_told(reported: Callable[[str], str]) -> None:
    """Neither in a URL nor in a header."""
    assert f"at https://{MASK}@host/v1" == reported("at https://me:pa55@host/v1")
    assert f"sent {MASK} there" == reported("sent Bearer abcdef0123456789== there")
    assert f"sent {MASK} there" == reported("sent basic YWxhZGRpbjpvcGVu there")


def test_names_of_models_and_ids_stay_in_the_log() -> None:
    """They are what it is read for."""
    line = json.dumps(
        {
            "target": "perplexity/pplx-70b-online",
            "chain": "xai/grok-4,hf/sk-model,key-value/tok-1",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "provider_request_id": "req_011CSHoEeqs5C35K2UUqR7Fy",
            "url": "https://api.openai.com/v1",
        }
    )

    assert line == redact(line)


@pytest.mark.rule("7")
def test_configured_keys_are_hidden_by_value() -> None:
    """Whatever they look like, also those that were replaced since."""
    hide(["correct horse", 'with "quotes"', "abc"])
    hide(["correct horse battery"])

    for reported in (redact, scrub):
        words = reported("the correct horse battery, the correct horse, abc")
        assert f"the {MASK}, the {MASK}, abc" == words
        assert json.dumps([MASK]) == reported(json.dumps(['with "quotes"']))


@pytest.mark.rule("7")
@pytest.mark.parametrize(
    ("words", "reported"),
    [
        ("no route to 10.1.2.3:8000", f"no route to {MASK}:8000"),
        ("at http://192.168.0.7/v1", f"at http://{MASK}/v1"),
        ("172.20.0.1 and 172.32.0.1", f"{MASK} and 172.32.0.1"),
        ("from [fd00::1:2]:80", f"from [{MASK}]:80"),
        ("http://vllm:8000/v1 is vllm", f"http://{MASK}:8000/v1 is vllm"),
        ("vllm:8000 refused", f"{MASK}:8000 refused"),
        ("LLM.Acme.example down", f"{MASK} down"),
        ("a.prod.svc, b.svc.cluster.local", f"{MASK}, {MASK}"),
        (
            "see https://platform.openai.com/keys",
            "see https://platform.openai.com/keys",
        ),
        ("version 4.10.0.1", "version 4.10.0.1"),
    ],
)
def test_callers_are_not_told_where_providers_are(words: str, reported: str) -> None:
    """Hosts of base URLs, and what means something in here alone; the log may know."""
    hide([], ["vllm", "llm.acme.example"])

    assert reported == scrub(words)
    assert words == redact(words)


def test_hosts_that_everybody_knows_are_no_secret() -> None:
    """Those of a base URL are, but for known services."""
    config = parse(
        """
        [providers.a]
        kind = "openai"
        [providers.b]
        kind = "openai-compatible"
        base_url = "https://api.groq.com/openai/v1"
        [providers.c]
        kind = "openai-compatible"
        base_url = "http://LLM.acme.example:8000/v1"
        [providers.d]
        kind = "scripted"
        """
    )

    assert ["llm.acme.example"] == config.inner_hosts()


@pytest.mark.rule("7")
async def test_what_a_provider_quotes_is_not_passed_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its key, an old one of it, and its address; in words, in codes and in ids."""
    monkeypatch.setenv("ODD_KEY", "correct-horse")
    body = {
        "error": {
            "message": "correct-horse or old-horse is no key at 127.0.0.1, llm.acme",
            "code": "correct-horse",
        }
    }
    refusal = answer(400, json.dumps(body).encode(), x_request_id="id-old-horse")
    async with Upstream(serve(refusal)) as upstream:
        config = f"""
        [providers.acme]
        kind = "openai-compatible"
        base_url = "{upstream.url}/v1"
        api_key = "env:ODD_KEY"
        """
        hide(["old-horse"], ["llm.acme"])
        with caplog.at_level(logging.DEBUG):
            async with running(config) as it:
                reported = await failed(it.generation.Generate(generate("acme/m")))

    everything = f"{reported} {caplog.text}"
    assert f"{MASK} or {MASK} is no key at {MASK}, {MASK}" in everything
    assert f"id-{MASK}" in everything
    assert "horse" not in everything


def test_an_error_is_told_by_its_places() -> None:
    """Without its text."""
    try:
        raise RuntimeError("canary")
    except RuntimeError as error:
        reported = where(error)

    assert reported.startswith("RuntimeError | ")
    assert __file__ in reported
    assert "canary" not in reported
