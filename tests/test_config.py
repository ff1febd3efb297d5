"""The configuration: what it says, and how it says what is wrong."""

from pathlib import Path

import pytest

from majordomo.chain.call import Policy
from majordomo.chain.health import HealthSettings
from majordomo.config import ConfigError, OpenAICompatibleConfig, load, parse
from majordomo.v1.attempt_pb2 import FAILURE_REASON_CREDENTIALS

ROOT = Path(__file__).parent.parent
OPENAI = """
    [providers.openai]
    kind = "openai-compatible"
    base_url = "https://api.openai.com/v1"
"""


def problems(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse(text, environ)
    return refused.value.problems


def test_the_example_is_good() -> None:
    """What the README points to can be served as it is."""
    config = load(ROOT / "config.example.toml", {"OPENAI_API_KEY": "sk-canary"})

    assert Policy(advance_on=frozenset({FAILURE_REASON_CREDENTIALS})) == config.policy()
    assert HealthSettings() == config.health_settings()
    assert "openai/gpt-5-mini,local/smollm2" == config.tiers["fast"]
    assert 90 == config.providers["openai"].models["gpt-5-mini"].first_content_timeout


def test_secrets_are_read_and_never_shown(tmp_path: Path) -> None:
    """From the environment or a file; the repr of the configuration hides them."""
    path = tmp_path / "key"
    path.write_text("sk-from-file\n")
    keys = {}
    for reference in ("env:KEY", f"file:{path}"):
        text = f'{OPENAI}\napi_key = "{reference}"'
        config = parse(text, {"KEY": "sk-from-env"})
        openai = config.providers["openai"]
        assert isinstance(openai, OpenAICompatibleConfig)
        assert openai.api_key is not None
        keys[reference[:3]] = openai.api_key.get_secret_value()
        assert "sk-" not in repr(config)

    assert {"env": "sk-from-env", "fil": "sk-from-file"} == keys


def test_a_literal_key_is_refused_and_not_repeated() -> None:
    """The error says how to name it instead."""
    (problem,) = problems(f'{OPENAI}\napi_key = "sk-literal"')

    assert problem.startswith("providers.openai.api_key: ")
    assert "env:NAME" in problem
    assert "sk-literal" not in problem


def test_every_error_is_told_at_once() -> None:
    """With its key, what is wrong, and the mend."""
    found = problems(
        """
        [server]
        lisen = "127.0.0.1:1"
        [chain]
        transient_retries = 9
        advance_on = ["overloaded"]
        attempt_timeout = 120
        stall_timeout = "2 hours"
        [providers.openai]
        kind = "openai-compatible"
        base_url = "ftp://nowhere"
        api_key = "env:MISSING"
        [providers.other]
        kind = "opnai"
        [providers.acme]
        kind = "scripted"
        [providers.acme.models.flaky]
        script = ["explode"]
        """
    )

    told = dict(problem.split(": ", 1) for problem in found)
    assert {
        "server.lisen",
        "chain.transient_retries",
        "chain.advance_on.0",
        "chain.attempt_timeout",
        "chain.stall_timeout",
        "providers.openai.base_url",
        "providers.openai.api_key",
        "providers.other.kind",
        "providers.acme.models.flaky.script.0",
    } == set(told)
    assert "did you mean listen?" in told["server.lisen"]
    assert "set it" in told["providers.openai.api_key"]
    assert "5s" in told["chain.attempt_timeout"]


@pytest.mark.rule("1.1", "1.3")
def test_names_and_tiers_are_checked() -> None:
    """Dangling tiers, cycles, unknown providers, closed lists and bad names."""
    found = problems(
        """
        [server]
        default_chain = "missing"
        [providers.Acme]
        kind = "scripted"
        [providers.closed]
        kind = "scripted"
        closed = true
        [tiers]
        a = "b"
        b = "a"
        c = "nowhere/model"
        d = "closed/echo"
        """
    )

    told = "\n".join(found)
    assert 'providers."Acme"' in told
    assert "server.default_chain: no tier 'missing'" in told
    assert "tiers in a circle: b -> a -> b" in told
    assert "tiers.c: no provider nowhere" in told
    assert "tiers.d: closed is closed and does not list echo" in told


@pytest.mark.parametrize(
    ("text", "seconds"), [("100ms", 0.1), ("5s", 5), ("2m", 120), ("1h", 3600)]
)
def test_durations_have_units(text: str, seconds: float) -> None:
    """In milliseconds, seconds, minutes or hours."""
    config = parse(f'[chain]\nattempt_timeout = "{text}"')

    assert seconds == config.chain.attempt_timeout


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, not TOML, not text: one line each."""
    bad = tmp_path / "bad.toml"
    bad.write_text("[server")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path, words in [
        (tmp_path / "none.toml", "cannot read"),
        (bad, "not TOML"),
        (binary, "not UTF-8"),
    ]:
        with pytest.raises(ConfigError, match=words):
            load(path, {})
