"""`majordomo check`: is it good, and what does it mean?"""

from pathlib import Path

from tests.cli.command import majordomo

GOOD = """\
[server]
default_chain = "fast"
[chain]
transient_retries = 2
[providers.openai]
kind = "openai-compatible"
base_url = "https://api.openai.com/v1"
api_key = "env:OPENAI_API_KEY"
[providers.openai.models."gpt-5-mini"]
reasoning = true
[tiers]
fast = "openai/gpt-5-mini,openai/gpt-5"
"""
BAD = """\
[server]
lisen = "127.0.0.1:1"
default_chain = "nowhere/model"
[chain]
transient_retries = "two"
[providers.openai]
kind = "openai-compatible"
base_url = "https://api.openai.com/v1"
api_key = "env:MISSING"
[tiers]
fast = "quick,openai/gpt-5-mini"
a = "openai/gpt-5-mini,b"
b = "a"
"""


async def test_what_would_be_served_and_where_each_value_comes_from(
    tmp_path: Path,
) -> None:
    """Chains, providers, and every key: from the file, the environment, a default."""
    path = tmp_path / "majordomo.toml"
    path.write_text(GOOD)
    environ = {"OPENAI_API_KEY": "sk-canary", "MAJORDOMO_CHAIN__STALL_TIMEOUT": "9s"}

    done = await majordomo("check", "--config", path, environ=environ)

    assert (0, "") == (done.code, done.stderr)
    assert "listens on 127.0.0.1:50051" in done.stdout
    assert "(default): fast" in done.stdout
    assert "fast: openai/gpt-5-mini -> openai/gpt-5" in done.stdout
    assert "openai (openai-compatible): gpt-5-mini, and any other" in done.stdout
    rows = {
        tuple(line.split()) for line in done.stdout.splitlines() if len(line.split())
    }
    assert ("chain.transient_retries", "2", f"{path}:4") in rows
    assert (
        *("chain.stall_timeout", "9s"),
        "MAJORDOMO_CHAIN__STALL_TIMEOUT",
    ) in rows
    assert ("server.listen", "127.0.0.1:50051", "default") in rows
    assert ("providers.openai.api_key", "env:OPENAI_API_KEY", f"{path}:8") in rows
    assert "canary" not in done.stdout


async def test_every_fault_is_named(tmp_path: Path) -> None:
    """Six of them, each with its line; nothing else is printed."""
    path = tmp_path / "majordomo.toml"
    path.write_text(BAD)

    done = await majordomo("check", "--config", path)

    assert (1, "") == (done.code, done.stdout)
    reported = done.stderr.splitlines()
    assert 6 == len(reported)
    for line, words in [
        (2, "server.lisen: unknown key; did you mean listen?"),
        (3, "server.default_chain: no provider nowhere"),
        (5, "chain.transient_retries: must be a whole number"),
        (9, "providers.openai.api_key: the environment has no MISSING; set it"),
        (11, "tiers.fast: no tier 'quick' is configured"),
        (12, "tiers.a: tiers in a circle: a -> b -> a"),
    ]:
        assert any(
            problem.startswith(f"{path}:{line}: {words}") for problem in reported
        )


async def test_without_a_file_it_tells_what_appears_by_itself() -> None:
    """The embedded model and the providers whose usual key is there."""
    done = await majordomo("check", environ={"GROQ_API_KEY": "gsk-canary"})

    assert 0 == done.code
    assert "(default): local/smollm2" in done.stdout
    assert "groq (openai-compatible): any model" in done.stdout
    row = next(line for line in done.stdout.splitlines() if "groq.base_url" in line)
    assert row.endswith("GROQ_API_KEY")
    assert "canary" not in done.stdout
