"""The configuration: what it says, and how it says what is wrong."""

import textwrap
from decimal import Decimal
from pathlib import Path

import pytest

from majordomo.chain.call import Policy
from majordomo.chain.health import HealthSettings
from majordomo.config import ConfigError, load, parse
from majordomo.config.sections import sections
from majordomo.config.toml_positions import line_numbers
from majordomo.providers.settings import HttpSettings
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
        config = parse(text, {"KEY": "sk-from-env\n"})
        openai = config.providers["openai"]
        assert isinstance(openai, HttpSettings)
        assert openai.api_key is not None
        keys[reference[:3]] = openai.api_key.get_secret_value()
        assert "sk-" not in repr(config)

    assert {"env": "sk-from-env", "fil": "sk-from-file"} == keys


FAULTS = [
    # what is written, where it is reported, and the words that fix it
    ('[server]\nlisen = "x"', "line 2: server.lisen", "did you mean listen?"),
    (
        '[server]\nmax_request_bytes = "1MiB"',
        "line 2: server.max_request_bytes",
        "it is memory_budget now",
    ),
    (
        f'[tokens.a]\nsha256 = "{"0" * 64}"\nscopes = ["generate"]\nchains = ["x"]',
        "line 4: tokens.a.chains",
        "no tier 'x' is configured",
    ),
    (
        f'[tokens.a]\nsha256 = "{"0" * 64}"\nscopes = ["generate"]\ntargets = ["a/*"]',
        "line 4: tokens.a.targets",
        "no provider a",
    ),
    (
        f'[tokens.a]\nsha256 = "{"0" * 64}"\nscopes = ["generate"]\ntargets = ["fast"]',
        "line 4: tokens.a.targets",
        'write "provider/model-id"',
    ),
    ('[servr]\nlisten = "x"', "line 1: servr", "did you mean server?"),
    ('# none\nservr.listen = "x"', "line 2: servr", "did you mean server?"),
    ("providers.x.closed = true", "line 1: providers.x.kind", "is required"),
    ('[server]\nlisten = "nowhere"', "line 2: server.listen", "host:port"),
    ("[server]\nlisten = 5", "line 2: server.listen", "must be a text"),
    ("server = 5", "line 1: server", "must be a table"),
    ("[chain]\ntransient_retries = 9", "line 2: chain.transient_retries", "5"),
    ("[chain]\ntransient_retries = 1.5", "line 2: chain.transient_retries", "whole"),
    ('[chain]\nadvance_on_permanent = "yes"', "advance_on_permanent", "true or false"),
    ('[chain]\nadvance_on = "x"', "line 2: chain.advance_on", "must be a list"),
    (
        '[chain]\nadvance_on = [\n"credentials",\n"overloaded"]',
        "line 4: chain.advance_on.1",
        "credentials",
    ),
    ("[chain]\nattempt_timeout = 120", "line 2: chain.attempt_timeout", '"5s"'),
    ('[chain]\nstall_timeout = "2 hours"', "line 2: chain.stall_timeout", '"2m"'),
    ('[chain]\nstall_timeout = "2h"', "line 2: chain.stall_timeout", "100ms to 1h"),
    ("[health]\nfailure_threshold = 0", "line 2: health.failure_threshold", "1"),
    ('[health]\ncooldown_base = "0s"', "line 2: health.cooldown_base", "0"),
    ('[health]\ncooldown_base = "60s"', "line 1: health", "cooldown_cap is shorter"),
    ("[providers]\nx = 1", "line 2: providers.x", "must be a table"),
    ("[providers.x]", "line 1: providers.x.kind", "openai-compatible, local, scripted"),
    ('[providers.x]\nkind = "opnai"', "line 2: providers.x.kind", "openai-compatible"),
    ('[providers.X]\nkind = "scripted"', 'line 1: providers."X"', "names are"),
    (
        '[providers.x]\nkind = "openai-compatible"',
        "line 1: providers.x.base_url",
        "is required",
    ),
    (
        f'{OPENAI}api_key = "env:MISSING"',
        "line 5: providers.openai.api_key",
        "the environment has no MISSING; set it",
    ),
    (
        f'{OPENAI}api_key = "file:/nowhere/key"',
        "line 5: providers.openai.api_key",
        "cannot read /nowhere/key",
    ),
    (f'{OPENAI}api_key = "sk-1"', "line 5: providers.openai.api_key", '"env:NAME"'),
    (f'{OPENAI}profile = "grok"', "line 5: providers.openai.profile", "groq, "),
    (f"{OPENAI}max_concurrency = 0", "line 5: providers.openai.max_concurrency", "1"),
    (f'{OPENAI}provider_options = "user"', "provider_options", "must be a list"),
    (
        f'{OPENAI}provider_options = ["user", "messages"]',
        "providers.openai.provider_options",
        "'messages' is set by the server; no caller can",
    ),
    *(
        (
            f'[providers.x]\nprovider_options = ["{key}"]\nkind = "{kind}"',
            "line 2: providers.x.provider_options",
            "is set by the server",
        )
        for kind, key in [
            ("anthropic", "max_tokens"),
            ("gemini", "system_instruction"),
            ("openai", "input"),
            ('openai"\napi = "chat', "stream_options"),
        ]
    ),
    (
        '[providers.x]\nkind = "openai-compatible"\nbase_url = "ftp://x"',
        "line 3: providers.x.base_url",
        "http or https",
    ),
    (
        '[providers.x]\nkind = "openai-compatible"\nbase_url = "https://u:p@x/v1"',
        "line 3: providers.x.base_url",
        "api_key",
    ),
    (
        '[providers.x]\nkind = "anthropic"\nbase_url = "http://host:99999"',
        "line 3: providers.x.base_url",
        "http or https",
    ),
    (
        '[providers.x]\nkind = "anthropic"\nbase_url = "http://[::1"',
        "line 3: providers.x.base_url",
        "http or https",
    ),
    (
        '[providers.x]\nkind = "scripted"\n[providers.x.models."a b"]',
        'line 3: providers.x.models."a b"',
        "no model id",
    ),
    (
        '[providers.x]\nkind = "scripted"\nmodels.m.script = ["explode"]',
        "line 3: providers.x.models.m.script.0",
        "there are echo",
    ),
    (
        '[providers.x]\nkind = "local"\nmodels.m.first_content = "1s"',
        "line 3: providers.x.models.m.first_content",
        "did you mean first_content_timeout?",
    ),
    (
        '[providers.x]\nkind = "local"\n[tiers]\nFast = "x/y"',
        'line 4: tiers."Fast"',
        "names are",
    ),
    ("[tiers]\nfast = 3", "line 2: tiers.fast", "must be a text"),
    ('[tiers]\nfast = "slow"', "line 2: tiers.fast", "no tier 'slow' is configured"),
    ('[tiers]\nfast = ""', "line 2: tiers.fast", "empty element; see its commas"),
    ('[tiers]\nfast = "A"', "line 2: tiers.fast", "neither a target nor a tier"),
    ('[tiers]\na = "b"\nb = "a"', "line 2: tiers.a", "a circle: a -> b -> a"),
    ('[tiers]\na = "a"', "line 2: tiers.a", "a circle: a -> a"),
    ('[tiers]\nfast = "x/y"', "line 2: tiers.fast", "no provider x; configured: none"),
    (
        '[providers.x]\nkind = "scripted"\nclosed = true\n[tiers]\nfast = "x/y"',
        "line 5: tiers.fast",
        "closed and does not list y",
    ),
    (
        '[server]\ndefault_chain = "fast"',
        "line 2: server.default_chain",
        "no tier 'fast'",
    ),
    ("[resolvers.nobody]", "line 1: resolvers.nobody", "no installed package"),
    ("[resolvers.x]\ntimeout = 1", "line 2: resolvers.x.timeout", '"5s"'),
]


MISSPELT = {
    # by the section's heading in the reference: a key of it, and what was meant
    "[server]": ("server.lisen", "listen"),
    "[server.tls]": ("server.tls.certifcate", "certificate"),
    "[tokens.NAME]": ("tokens.a.scops", "scopes"),
    "[chain]": ("chain.transient_retry", "transient_retries"),
    "[health]": ("health.cooldown_bas", "cooldown_base"),
    '[providers.NAME], kind = "openai"': ("providers.openai.ap", "api"),
    '[providers.NAME], kind = "anthropic"': ("providers.anthropic.beta", "betas"),
    '[providers.NAME], kind = "gemini"': ("providers.gemini.projekt", "project"),
    '[providers.NAME], kind = "openai-compatible"': (
        "providers.openai-compatible.profil",
        "profile",
    ),
    '[providers.NAME], kind = "local"': ("providers.local.modelpath", "model_path"),
    '[providers.NAME], kind = "scripted"': ("providers.scripted.clsed", "closed"),
    '[providers.NAME.models."ID"]': ("providers.gemini.models.m.tool", "tools"),
    '[providers.NAME.models."ID".prices]': (
        "providers.gemini.models.m.prices.inpt",
        "input",
    ),
    '[providers.NAME.models."ID"], kind = "scripted"': (
        "providers.scripted.models.m.scrpt",
        "script",
    ),
    "[resolvers.NAME]": ("resolvers.x.timout", "timeout"),
}


@pytest.mark.parametrize(("key", "meant"), MISSPELT.values(), ids=MISSPELT)
def test_a_misspelt_key_is_answered_with_the_one_that_was_meant(
    key: str, meant: str
) -> None:
    """In every section, from the keys of that section."""
    text = f"{key} = 1"
    if key.startswith("providers."):
        kind = key.split(".")[1]
        text += f'\nproviders.{kind}.kind = "{kind}"'

    (found,) = [line for line in problems(text) if "unknown key" in line]

    assert f"line 1: {key}: unknown key; did you mean {meant}?" == found


def test_no_section_is_without_hints() -> None:
    """Those that are tried are all that there are."""
    assert [*MISSPELT] == [heading for heading, _ in sections()]


def test_no_key_is_suggested_that_belongs_elsewhere() -> None:
    """`listen` is a key of [server]; [chain] has none like it."""
    (found,) = problems('[chain]\nlisten = "x"')

    assert "line 2: chain.listen: unknown key" == found


@pytest.mark.rule("1.1", "1.3")
@pytest.mark.rule("2.18")
@pytest.mark.parametrize(("text", "place", "repair"), FAULTS)
def test_a_fault_is_told_with_its_place_its_key_and_the_mend(
    text: str, place: str, repair: str
) -> None:
    """For every way of writing it wrong that the file has."""
    found = [line for line in problems(textwrap.dedent(text)) if place in line]

    assert 1 == len(found), found
    assert repair in found[0]
    assert "sk-1" not in found[0]


def test_all_faults_are_told_at_once() -> None:
    """A misspelt key, a wrong type, a dangling tier, a missing secret, a circle, a
    default that leads nowhere: six faults, six lines."""
    found = problems(
        """[server]
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
    )

    assert [
        "line 11: tiers.fast: no tier 'quick' is configured; configured: fast, a, b",
        "line 12: tiers.a: tiers in a circle: a -> b -> a",
        "line 2: server.lisen: unknown key; did you mean listen?",
        "line 3: server.default_chain: no provider nowhere; configured: openai",
        "line 5: chain.transient_retries: must be a whole number, such as 2",
        "line 9: providers.openai.api_key: the environment has no MISSING; set it",
    ] == sorted(found)


def test_the_file_is_named_with_the_line(tmp_path: Path) -> None:
    """As compilers write it, for editors to go there."""
    path = tmp_path / "majordomo.toml"
    path.write_text("\n\n[chain]\nretries = 1")

    with pytest.raises(ConfigError) as refused:
        load(path, {})

    (problem,) = refused.value.problems
    assert problem.startswith(f"{path}:4: chain.retries: unknown key")


@pytest.mark.parametrize(
    ("key", "words"),
    [("sk-1\nsk-2", "one line of ASCII"), ("sk-\xe9", "one line"), (" \n", "is empty")],
)
def test_a_secret_is_a_line(key: str, words: str) -> None:
    """It goes out in a header; what it is instead is not quoted."""
    with pytest.raises(ConfigError) as refused:
        parse(f'{OPENAI}api_key = "env:KEY"', {"KEY": key})

    (problem,) = refused.value.problems
    assert words in problem
    assert "sk-" not in problem


def test_the_environment_is_over_the_file() -> None:
    """Numbers, booleans, lists and texts; tables come to be where they were not."""
    config = parse(
        '[server]\nlisten = "127.0.0.1:1"\n[providers.acme]\nkind = "scripted"',
        {
            "MAJORDOMO_SERVER__LISTEN": "0.0.0.0:50051",
            "MAJORDOMO_SERVER__DEFAULT_CHAIN": "fast",
            "MAJORDOMO_CHAIN__TRANSIENT_RETRIES": "3",
            "MAJORDOMO_CHAIN__ADVANCE_ON": '["credentials"]',
            "MAJORDOMO_CHAIN__ATTEMPT_TIMEOUT": "7s",
            "MAJORDOMO_PROVIDERS__ACME__CLOSED": "false",
            "MAJORDOMO_PROVIDERS__ACME__MAX_CONCURRENCY": "4",
            "MAJORDOMO_TIERS__FAST": "acme/echo",
            "MAJORDOMO_CONFIG": "not a setting",
        },
    )

    assert ("0.0.0.0:50051", "fast") == (
        config.server.listen,
        config.server.default_chain,
    )
    assert (3, 7, [FAILURE_REASON_CREDENTIALS]) == (
        config.chain.transient_retries,
        config.chain.attempt_timeout,
        config.chain.advance_on,
    )
    assert 4 == config.providers["acme"].max_concurrency


@pytest.mark.parametrize(
    ("variable", "value", "reported"),
    [
        ("MAJORDOMO_SERVER__LISEN", "x", "server.lisen: unknown key"),
        ("MAJORDOMO_CHAIN__TRANSIENT_RETRIES", "two", "must be a whole number"),
        ("MAJORDOMO_TIERS__FAST", "slow", "no tier 'slow' is configured"),
        ("MAJORDOMO_SERVER__LISTEN__PORT", "1", "listen is no table"),
    ],
)
def test_a_fault_in_the_environment_names_the_variable(
    variable: str, value: str, reported: str
) -> None:
    """It is the place to fix it."""
    (problem,) = problems('[server]\nlisten = "127.0.0.1:1"', **{variable: value})

    assert variable in problem
    assert reported in problem


def test_without_a_file_providers_appear_by_their_usual_keys() -> None:
    """And the embedded model, which is then the default chain."""
    config = load(None, {"OPENAI_API_KEY": "sk-1", "GROQ_API_KEY": "", "HF_TOKEN": "h"})

    assert {"openai", "huggingface", "local"} == set(config.providers)
    openai = config.providers["openai"]
    assert isinstance(openai, HttpSettings)
    assert "https://api.openai.com/v1" == openai.base_url
    assert openai.api_key is not None
    assert "sk-1" == openai.api_key.get_secret_value()
    huggingface = config.providers["huggingface"]
    assert isinstance(huggingface, HttpSettings)
    assert "https://router.huggingface.co/v1" == huggingface.base_url
    assert "local/smollm2" == config.server.default_chain


def test_with_a_file_nothing_appears_that_is_not_written() -> None:
    """A key in the environment opens no provider that the file does not have."""
    config = parse("", {"OPENAI_API_KEY": "sk-1"})

    assert {} == config.providers
    assert "" == config.server.default_chain


def test_the_line_of_a_key_is_found_however_it_is_written() -> None:
    """Tables, dotted and quoted keys, inline tables, lists over several lines."""
    text = """
a.b = { c = 1, "d.e".f = 2 }
[x."y.z"]
list = [
    1, # one
    { k = 2 },
]
[[t]]
k = 1
[[t]]
k = 2
"""

    assert {
        ("a", "b"): 2,
        ("a", "b", "c"): 2,
        ("a", "b", "d.e", "f"): 2,
        ("x", "y.z"): 3,
        ("x", "y.z", "list"): 4,
        ("x", "y.z", "list", "0"): 5,
        ("x", "y.z", "list", "1"): 6,
        ("x", "y.z", "list", "1", "k"): 6,
        ("t", "0"): 8,
        ("t", "0", "k"): 9,
        ("t", "1"): 10,
        ("t", "1", "k"): 11,
    } == line_numbers(text)


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


PRICED = """
    [providers.acme]
    kind = "scripted"
    [providers.acme.models.dear.prices]
    input = {input}
    output = 3
    {more}
"""


@pytest.mark.rule("2.22")
@pytest.mark.parametrize("written", ["0.1", "0.075", "2.5e-3", "30", "0"])
def test_prices_are_what_was_written(written: str) -> None:
    """Decimals, not the binary numbers next to them; cached input as any other."""
    config = parse(PRICED.format(input=written, more=""))

    prices = config.providers["acme"].models["dear"].prices
    assert prices is not None
    assert Decimal(written) == prices.prices().input
    assert Decimal(written) == prices.prices().cached_input
    assert Decimal(written) == prices.prices().cache_write


@pytest.mark.rule("2.22")
def test_prices_of_what_is_cached() -> None:
    """Where they are given they count."""
    more = "cached_input = 0.01\n    cache_write = 0.2"
    prices = parse(PRICED.format(input="0.1", more=more)).providers["acme"]

    made = prices.models["dear"].prices
    assert made is not None
    assert (Decimal("0.01"), Decimal("0.2")) == (
        made.prices().cached_input,
        made.prices().cache_write,
    )


@pytest.mark.parametrize("wrong", ["-1", "nan", "inf", '"0.1"', "true", "1000001"])
def test_what_is_no_price(wrong: str) -> None:
    """Is reported with its key."""
    (problem,) = problems(PRICED.format(input=wrong, more=""))

    assert "prices.input" in problem
