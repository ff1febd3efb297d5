"""Failing over on answers, through a real server."""

from typing import TypeVar

import grpc
import pytest

from majordomo.rpc.memory import Account
from majordomo.rpc.shares import Shares
from majordomo.v1.attempt_pb2 import (
    ANSWER_FAULT_NOT_JSON,
    ANSWER_FAULT_SCHEMA,
    FAILURE_REASON_UNSUPPORTED,
    AnswerFault,
)
from majordomo.v1.content_pb2 import Tool, WebSearchTool
from majordomo.v1.generation_service_pb2 import (
    INTERRUPTION_POLICY_RESTART,
    GenerateRequest,
    StreamRequest,
)
from testkit.servers import failed, generate, rest_of, running, stream

SCHEMA = '{"type": "object", "required": ["n"]}'
CONFIG = """
    [providers.acme]
    kind = "scripted"
    [providers.acme.models.chatty]
    script = ["text:Sure! Here it is."]
    [providers.acme.models.wrong]
    script = ['text:{"m":1}']
    [providers.acme.models.good]
    script = ['text:{"n":1}']
    [tiers]
    all = "acme/chatty,acme/wrong,acme/good"
    bad = "acme/chatty,acme/wrong"
"""


Asked = TypeVar("Asked", GenerateRequest, StreamRequest)


def asking(request: Asked, *faults: AnswerFault, schema: str = SCHEMA) -> Asked:
    call = request.call
    call.prompt.response_format.json_schema.schema_json = schema
    call.options.answer_policy.advance_on_answer.extend(faults)
    call.options.interruption_policy = INTERRUPTION_POLICY_RESTART
    return request


@pytest.mark.rule("3.17")
async def test_the_first_answer_without_a_fault_wins() -> None:
    """Every attempt before it says what was wrong; what it used is in the total."""
    both = (ANSWER_FAULT_NOT_JSON, ANSWER_FAULT_SCHEMA)
    async with running(CONFIG) as it:
        response = await it.generation.Generate(asking(generate("all"), *both))

    completion = response.completion
    assert '{"n":1}' == response.message.parts[0].text
    assert [*both, 0] == [attempt.answer_fault for attempt in completion.attempts]
    assert "schema" in completion.attempts[1].message
    assert 0 == completion.answer_fault
    assert 4 + 1 + 1 == completion.total_usage.usage.output_tokens
    assert not completion.total_usage.lower_bound


@pytest.mark.rule("3.17")
async def test_a_stream_takes_back_what_it_showed() -> None:
    """The caller sees both answers, and a Restart between them."""
    request = asking(stream("all"), ANSWER_FAULT_NOT_JSON)
    async with running(CONFIG) as it:
        events = await rest_of(it.generation.Stream(request))

    kinds = [event.WhichOneof("event") for event in events]
    restart = kinds.index("restart")
    assert "acme/wrong" == events[restart].restart.target
    assert ANSWER_FAULT_NOT_JSON == events[restart].restart.interrupted.answer_fault
    after = "".join(event.part_delta.text for event in events[restart:])
    assert '{"m":1}' == after
    assert 1 == kinds.count("restart")


@pytest.mark.rule("3.17")
async def test_the_first_one_kept_is_the_answer_if_nobody_is_better() -> None:
    """Streamed, it is shown again: the other one had been shown since."""
    both = (ANSWER_FAULT_NOT_JSON, ANSWER_FAULT_SCHEMA)
    async with running(CONFIG) as it:
        whole = await it.generation.Generate(asking(generate("bad"), *both))
        events = await rest_of(it.generation.Stream(asking(stream("bad"), *both)))

    assert "acme/chatty" == whole.completion.target
    assert ANSWER_FAULT_NOT_JSON == whole.completion.answer_fault
    kinds = [event.WhichOneof("event") for event in events]
    last = len(kinds) - 1 - kinds[::-1].index("restart")
    assert "acme/chatty" == events[last].restart.target
    after = "".join(event.part_delta.text for event in events[last:])
    assert whole.message.parts[0].text == after
    assert ANSWER_FAULT_NOT_JSON == events[-1].completion.answer_fault


@pytest.mark.rule("3.17", "8.7")
@pytest.mark.parametrize(
    "schema", ['{"type": 3}', '{"$ref": "https://example.org/s.json"}']
)
async def test_a_schema_that_cannot_be_checked(schema: str) -> None:
    """Is refused at once where answers shall be held against it, and only there."""
    checked = asking(generate("all"), ANSWER_FAULT_SCHEMA, schema=schema)
    unchecked = asking(generate("all"), ANSWER_FAULT_NOT_JSON, schema=schema)
    async with running(CONFIG) as it:
        reported = await failed(it.generation.Generate(checked))
        response = await it.generation.Generate(unchecked)

    assert grpc.StatusCode.INVALID_ARGUMENT == reported.code
    assert "schema_json" in reported.message
    assert "acme/wrong" == response.completion.target


@pytest.mark.rule("6.1")
def test_what_is_kept_is_taken_from_the_server_s_memory() -> None:
    """As long as the caller may have it; nothing is taken where it may not."""
    shares = Shares(1000)
    other, own = Account(shares, "other"), Account(shares, "own")
    other.take(700)

    assert own.try_take(200)
    assert not own.try_take(200)
    assert (200, 200) == (own.held, shares.held("own"))
    own.give(200)
    assert own.try_take(300)


@pytest.mark.rule("2.23")
async def test_a_chain_goes_on_where_a_target_has_no_such_tool() -> None:
    """Nothing is sent there; the attempt names the field."""
    config = (
        CONFIG
        + """
    [providers.plain]
    kind = "openai-compatible"
    base_url = "http://127.0.0.1:9/v1"
    """
    )
    request = generate("plain/m,acme/good")
    request.call.prompt.tools.add(web_search=WebSearchTool())
    async with running(config) as it:
        response = await it.generation.Generate(request)

    skipped, _ = response.completion.attempts
    assert "acme/good" == response.completion.target
    assert FAILURE_REASON_UNSUPPORTED == skipped.failure_reason
    assert "prompt.tools[0].web_search" in skipped.message


@pytest.mark.rule("2.23")
async def test_a_tool_is_declared_once() -> None:
    """Another one of its kind would have other limits."""
    request = generate("acme/good")
    request.call.prompt.tools.extend([Tool(web_search=WebSearchTool())] * 2)
    async with running(CONFIG) as it:
        reported = await failed(it.generation.Generate(request))

    assert "call.prompt.tools[1].web_search" in reported.message
