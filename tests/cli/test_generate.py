"""`majordomo generate`: prompts in, answers out."""

import json
from pathlib import Path

import pytest

from testkit.servers import running
from testkit.upstream import Connection, Upstream
from testkit.upstream import answer as reply
from tests.cli.command import majordomo

CONFIG = """
    [providers.acme]
    kind = "scripted"
    [providers.acme.models.answer]
    script = ["text:The answer is 42."]
    [tiers]
    demo = "acme/status:503,acme/answer"
"""
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452")


async def test_the_answer_is_on_stdout_and_what_happened_on_stderr() -> None:
    """What failed, as it fails, and who answered at last."""
    async with running(CONFIG) as it:
        done = await majordomo(
            "generate", "-a", it.server.address, "-c", "demo", "why?"
        )

    assert 0 == done.code
    assert "The answer is 42.\n" == done.stdout
    reported = done.stderr.splitlines()
    assert reported[0].startswith(
        "1. acme/status:503: failed (OVERLOADED) HTTP 503 in "
    )
    assert "now benched until" in reported[1]
    assert reported[2].startswith("3. acme/answer: answered HTTP 200 in ")
    assert "   finished: stop, 1 tokens in, 4 out" == reported[3]


ANSWER = {
    "choices": [
        {
            "message": {
                "content": "Two million [1]. Seine-côté [2].",
                "annotations": [
                    {
                        "type": "url_citation",
                        "url_citation": {
                            "url": f"https://example.org/{name}",
                            "title": name.upper(),
                            "start_index": start,
                            "end_index": end,
                        },
                    }
                    for name, start, end in (("a", 0, 11), ("b", 17, 27), ("a", 17, 27))
                ],
                "images": [
                    {"image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
                ],
            },
            "finish_reason": "stop",
        },
        {"index": 1, "message": {"content": "no"}},
    ]
}


async def play(connection: Connection) -> None:
    """A server that answers with sources and an image."""
    while await connection.request():
        body = json.dumps(ANSWER).encode()
        await connection.send(reply(200, body, content_type="application/json"))


@pytest.mark.rule("3.14")
async def test_sources_are_numbered() -> None:
    """With the words that rest on them; what is no text is reported."""
    async with Upstream(play) as upstream:
        config = f"""
            [providers.acme]
            kind = "openai-compatible"
            base_url = "{upstream.url}"
        """
        async with running(config) as it:
            ask = ("generate", "-a", it.server.address, "-c", "acme/m", "How large?")
            done = await majordomo(*ask)

    assert done.stdout.splitlines() == [
        "Two million [1]. Seine-côté [2].",
        "",
        "Sources:",
        "[1] A - https://example.org/a",
        '    "Two million"',
        '    "Seine-côté"',
        "[2] B - https://example.org/b",
        '    "Seine-côté"',
    ]
    assert "   wrote: image/png, 8 bytes; --json has them" in done.stderr
    assert "   not shown: choices: answers beside the first" in done.stderr


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ([], "from a pipe"),
        (["-"], "from a pipe"),
        (["say", "this:", "-"], "say this: from a pipe"),
        (["no pipe"], "no pipe"),
    ],
)
async def test_a_pipe_is_asked_where_it_is_meant(words: list[str], answer: str) -> None:
    """Without a prompt, and for the word "-"; a prompt alone leaves it unread."""
    async with running(CONFIG) as it:
        done = await majordomo(
            *("generate", "-a", it.server.address, "-c", "acme/echo", *words),
            stdin="from a pipe",
        )

    assert f"{answer}\n" == done.stdout


async def test_json_is_the_contract_s_own() -> None:
    """The whole answer, for programs."""
    async with running(CONFIG) as it:
        done = await majordomo(
            "generate", "-a", it.server.address, "-c", "demo", "--json", "why?"
        )

    answer = json.loads(done.stdout)
    assert "The answer is 42." == answer["message"]["parts"][0]["text"]
    assert "acme/answer" == answer["completion"]["target"]
    assert 3 == len(answer["completion"]["attempts"])
    assert "" == done.stderr


async def test_nobody_answers() -> None:
    """The status, its reason, and every attempt; nothing on stdout; exit code 1."""
    async with running(CONFIG) as it:
        ask = ("generate", "-a", it.server.address, "-c")
        done = await majordomo(*ask, "acme/status:500", "x")
        unknown = await majordomo(*ask, "nope", "x")
        reported = await majordomo(*ask, "acme/status:500", "--json", "x")

    assert (1, "") == (done.code, done.stdout)
    assert "UNAVAILABLE: no target answered" in done.stderr
    assert "reason: CHAIN_EXHAUSTED" in done.stderr
    assert "retry after" in done.stderr
    assert (1, "") == (unknown.code, unknown.stdout)
    assert "NOT_FOUND: no tier 'nope' is configured" in unknown.stderr
    error = json.loads(reported.stdout)["error"]
    assert (1, "CHAIN_EXHAUSTED") == (reported.code, error["reason"])
    assert "acme/status:500" == error["attempts"][0]["target"]


async def test_sources_of_a_whole_answer_are_a_list() -> None:
    """As the demo's provider gives them, and docs/providers.md shows."""
    script = "text:[1][2].+source:https://a.b+source:https://c.d"
    config = f"""
        [providers.acme]
        kind = "scripted"
        [providers.acme.models.cited]
        script = ["{script}"]
    """
    async with running(config) as it:
        ask = ("generate", "-a", it.server.address, "-c", "acme/cited", "x")
        done = await majordomo(*ask)

    lines = ["[1][2].", "", "Sources:", "[1] https://a.b", "[2] https://c.d"]
    assert lines == done.stdout.splitlines()


async def test_files_go_with_the_prompt(tmp_path: Path) -> None:
    """Texts as text, images as media; what it is not known for is refused."""
    text, image, unknown = (tmp_path / name for name in ("a.txt", "b.png", "c.weird"))
    text.write_text("a report")
    image.write_bytes(PNG)
    unknown.write_bytes(b"?")
    async with running(CONFIG) as it:
        ask = ("generate", "-a", it.server.address, "-c", "acme/echo")
        read = await majordomo(*ask, "-f", text, "-f", image, "short")
        refused = await majordomo(*ask, "-f", unknown, "x")

    assert "a report short\n" == read.stdout
    assert 2 == refused.code
    assert "cannot tell the media type of c.weird" in refused.stderr


async def test_tools_and_schemas_are_read_from_files(tmp_path: Path) -> None:
    """And refused with what they must be, before anybody is asked."""
    tools, bad, schema = (tmp_path / name for name in ("t.json", "b.json", "s.json"))
    tools.write_text('[{"name": "now", "parameters": {"type": "object"}}]')
    bad.write_text('[{"title": "now"}]')
    schema.write_text("{")
    async with running(CONFIG) as it:
        ask = ("generate", "-a", it.server.address, "-c", "acme/answer", "x")
        taken = await majordomo(*ask, "--tools", tools)
        refused = await majordomo(*ask, "--tools", bad)
        malformed = await majordomo(*ask, "--schema", schema)

    assert (0, "The answer is 42.\n") == (taken.code, taken.stdout)
    assert 2 == refused.code
    assert "must hold [{name, description, parameters" in refused.stderr
    assert 1 == malformed.code
    assert "prompt.response_format.json_schema.schema_json" in malformed.stderr


async def test_explain_tells_what_would_be_done() -> None:
    """Tried, skipped and refused, and why; nobody is called."""
    async with running(CONFIG) as it:
        at = ("-a", it.server.address)
        await majordomo("bench", *at, "acme/answer", "-r", "upgrade")
        done = await majordomo(
            "generate", *at, "-c", "demo,acme/nonsense", "--explain", "x"
        )
        data = await majordomo(
            "generate", *at, "-c", "demo", "--explain", "--json", "x"
        )
        health = await majordomo("health", *at, "--json")

    lines = done.stdout.splitlines()
    assert ["TARGET", "WOULD", "BE", "BECAUSE"] == lines[0].split()
    assert "1.  acme/status:503  tried     waits 3m for the first content" == lines[1]
    assert "2.  acme/answer      skipped   BENCHED: benched until unbenched" in lines[2]
    assert lines[3].startswith("3.  acme/nonsense    refused   MODEL_NOT_FOUND: ")
    assert "ACTION_SKIP" == json.loads(data.stdout)["targets"][1]["action"]
    shown = json.loads(health.stdout)["targets"]
    assert not any("total_attempts" in target for target in shown)
