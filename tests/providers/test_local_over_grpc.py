"""The real model behind a chain, from end to end."""

import os
import signal

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from majordomo.providers.local.provider import Local
from majordomo.v1.attempt_pb2 import (
    ANSWER_FAULT_LENGTH,
    ANSWER_FAULT_NOT_JSON,
    ANSWER_FAULT_SCHEMA,
    FAILURE_REASON_CONTEXT_TOO_LONG,
    FAILURE_REASON_OVERLOADED,
)
from majordomo.v1.errors_pb2 import CallFailure
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
)
from testkit.servers import (
    Running,
    failed,
    generate,
    running,
    stream,
    text_of,
)

CONFIG = """
    [providers.acme]
    kind = "scripted"
    [providers.local]
    kind = "local"
    [tiers]
    demo = "acme/status:503,local/smollm2"
"""

pytestmark = pytest.mark.usefixtures("smollm2")


async def test_a_chain_fails_over_to_the_real_model() -> None:
    """Generate and Stream answer with text and usage, and show what failed."""
    async with running(CONFIG) as it:
        request = generate("demo", "Say hello to Bob.")
        request.call.prompt.config.max_output_tokens = 12
        whole = await it.generation.Generate(request)
        streamed = stream("demo", "Say hello to Bob.")
        streamed.call.prompt.config.max_output_tokens = 12
        events = [event async for event in it.generation.Stream(streamed)]

    assert FAILURE_REASON_OVERLOADED == whole.completion.attempts[0].failure_reason
    assert whole.message.parts[0].text
    assert text_of(events)
    for completion in (whole.completion, events[-1].completion):
        assert "local/smollm2" == completion.target
        assert completion.usage.input_tokens > 5
        assert 1 <= completion.usage.output_tokens <= 12
    # It may come to its own end, with the last token that it is allowed as well.
    ended = (whole.completion.finish_reason, whole.completion.usage.output_tokens)
    assert (FINISH_REASON_LENGTH, 12) == ended or FINISH_REASON_STOP == ended[0]


async def test_an_overlong_prompt_fits_none() -> None:
    """Not cut in silence: INVALID_ARGUMENT, with the reason on the attempt."""
    async with running(CONFIG) as it:
        reported = await failed(
            it.generation.Generate(generate("local/smollm2", "word " * 9000))
        )

    assert (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_UNSUPPORTED") == (
        reported.code,
        reported.details[ErrorInfo].reason,
    )
    (attempt,) = reported.details[CallFailure].attempts
    assert FAILURE_REASON_CONTEXT_TOO_LONG == attempt.failure_reason


def _child(it: Running) -> int:
    """The process id of the model's server."""
    provider = it.server._registry.catalog.providers["local"].provider
    assert isinstance(provider, Local)
    number = provider.child.process_id
    assert number is not None
    return number


async def test_a_server_killed_in_mid_answer_is_an_aborted_stream() -> None:
    """And the next call has a new one."""
    async with running(CONFIG) as it:
        request = stream("local/smollm2", "Count from one to one thousand.")
        request.call.prompt.config.max_output_tokens = 1500
        call = it.generation.Stream(request)
        first = await call.read()
        os.kill(_child(it), signal.SIGKILL)
        reported = await failed(call)
        again = generate("local/smollm2", "Say hello to Bob.")
        again.call.prompt.config.max_output_tokens = 4
        answered = await it.generation.Generate(again)

    assert first
    assert (grpc.StatusCode.ABORTED, "STREAM_INTERRUPTED") == (
        reported.code,
        reported.reason,
    )
    assert answered.message.parts[0].text


@pytest.mark.rule("3.17")
async def test_an_answer_that_breaks_its_schema_advances() -> None:
    """The model is held to the form by its grammar, but cannot be held to all of it."""
    schema = """{
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1, "multipleOf": 1000003}},
        "required": ["n"], "additionalProperties": false
    }"""
    config = (
        CONFIG
        + """
    [providers.acme.models.exact]
    script = ['text:{"n":1000003}']
    """
    )
    async with running(config) as it:
        request = generate("local/smollm2,acme/exact", "Name a number, as JSON.")
        call = request.call
        call.prompt.response_format.json_schema.schema_json = schema
        call.prompt.config.max_output_tokens = 40
        call.options.answer_policy.advance_on_answer.extend(
            [ANSWER_FAULT_LENGTH, ANSWER_FAULT_NOT_JSON, ANSWER_FAULT_SCHEMA]
        )
        response = await it.generation.Generate(request)
        call.chain = "local/smollm2"
        alone = await it.generation.Generate(request)

    of_model, _ = response.completion.attempts
    assert "acme/exact" == response.completion.target
    assert of_model.answer_fault
    assert of_model.message.startswith("the answer")
    assert of_model.usage.output_tokens >= 1
    total = response.completion.total_usage.usage
    assert of_model.usage.output_tokens + 1 == total.output_tokens
    assert of_model.answer_fault == alone.completion.answer_fault
    assert alone.message.parts[0].text
