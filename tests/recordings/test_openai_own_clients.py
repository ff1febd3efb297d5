"""Recorded traffic of Groq and Mistral reads as their own clients read it."""

from typing import Any

import groq
import httpx
import pytest
from mistralai.client import Mistral

from tests.recordings.corpus import Recording, recordings
from tests.recordings.test_openai import (
    REASONS,
    Read,
    by_majordomo,
    streamed,
    whole,
)

RECORDINGS = [
    pytest.param(recording, id=recording.id)
    for recording in recordings("openai-compatible:groq", "openai-compatible:mistral")
    if recording.kind != "error" and recording.id not in REASONS
]
CONTENT_TYPES = {"unary": "application/json", "stream": "text/event-stream"}


def by_its_own_client(recording: Recording) -> Read:
    """What the provider's own client reads."""
    transport = httpx.MockTransport(
        lambda _: httpx.Response(
            recording.status,
            headers={"content-type": CONTENT_TYPES[recording.kind]},
            content=recording.body,
        )
    )
    with httpx.Client(transport=transport) as http:
        read = _by_groq if recording.provider.endswith(":groq") else _by_mistral
        return read(http, stream=recording.kind == "stream")


def _by_groq(http: httpx.Client, *, stream: bool) -> Read:
    client = groq.Groq(
        api_key="none", base_url="http://recorded", http_client=http, max_retries=0
    )
    answer: Any = client.chat.completions.create(model="m", messages=[], stream=stream)
    if stream:
        return streamed([chunk.model_dump(warnings=False) for chunk in answer])
    return whole(answer.model_dump(warnings=False))


def _by_mistral(http: httpx.Client, *, stream: bool) -> Read:
    transport: Any = http
    client = Mistral(api_key="none", server_url="http://recorded", client=transport)
    asked: Any = [{"role": "user", "content": ""}]
    if stream:
        with client.chat.stream(model="m", messages=asked) as events:
            return streamed([event.data.model_dump() for event in events])
    return whole(client.chat.complete(model="m", messages=asked).model_dump())


@pytest.mark.parametrize("recording", RECORDINGS)
def test_answers_read_alike(recording: Recording) -> None:
    """Content, reasoning, tool calls, finish reason, usage, model and id."""
    expected = by_its_own_client(recording)

    assert expected == by_majordomo(recording, piece=len(recording.body))
