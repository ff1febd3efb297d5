"""Citations of recorded answers are those that the official packages read.

The packages are handed the recorded bytes; what they make of citations, annotations and
grounding is put in majordomo's terms, and must be what majordomo reads.
"""

from typing import Any, NamedTuple

import anthropic
import httpx2
import openai
import pytest
from google.genai import types

from majordomo.chain.failure import Failure
from majordomo.v1.content_pb2 import Citation, Message, Part
from majordomo.v1.generation_service_pb2 import Prompt
from tests.recordings.corpus import Recording, recordings
from tests.recordings.reading import events, read, wire

RECORDINGS = [one for one in recordings("") if one.kind != "error"]

MARKS = (b'"citations"', b'"annotations"', b'"groundingMetadata"')
"""What stands in every answer that has citations."""


class Cited(NamedTuple):
    """A citation; `text` is that which rests on it."""

    where: str
    title: str
    quoted: str
    text: str


def by_majordomo(message: Message) -> list[Cited]:
    return [
        Cited(
            citation.uri or citation.provider_file,
            citation.title,
            citation.quoted_text,
            _text(part, citation),
        )
        for part in message.parts
        for citation in part.citations
    ]


def _text(part: Part, citation: Citation) -> str:
    if not citation.HasField("range"):
        return part.text
    span = citation.range
    return part.text.encode()[span.start : span.end].decode()


def by_anthropic(recording: Recording) -> list[Cited]:
    client = anthropic.Anthropic(api_key="none", http_client=_httpx2(recording))
    asked: Any = {"model": "recorded", "max_tokens": 1, "messages": []}
    if recording.kind == "unary":
        answer = client.messages.create(**asked)
    else:
        with client.messages.stream(**asked) as stream:
            answer = stream.get_final_message()
    return [
        Cited(
            str(getattr(one, "url", "")),
            str(getattr(one, "title", None) or getattr(one, "document_title", "")),
            one.cited_text,
            block.text,
        )
        for block in answer.content
        if block.type == "text"
        for one in block.citations or ()
    ]


def by_google(recording: Recording) -> list[Cited]:
    """A citation for each chunk of each support, then those without one."""
    cited = []
    for body in events(recording):
        # By the types alone: the client leaves out what Vertex AI recites.
        said = types.GenerateContentResponse.model_validate(body)
        for candidate in said.candidates or ():
            grounding = candidate.grounding_metadata or types.GroundingMetadata()
            chunks = [_chunk(chunk) for chunk in grounding.grounding_chunks or ()]
            for support in grounding.grounding_supports or ():
                segment = support.segment
                assert segment is not None
                text = segment.text or ""
                indices = support.grounding_chunk_indices or ()
                cited += [chunks[index]._replace(text=text) for index in indices]
            cited += _recited(recording, candidate)
    return cited


def _chunk(chunk: types.GroundingChunk) -> Cited:
    if chunk.web is not None:
        return Cited(chunk.web.uri or "", chunk.web.title or "", "", "")
    found = chunk.retrieved_context
    assert found is not None
    where = found.uri or found.document_name or found.file_search_store or ""
    return Cited(where, found.title or "", found.text or "", "")


def _recited(recording: Recording, candidate: types.Candidate) -> list[Cited]:
    """What was recited: its range is in bytes of all text."""
    metadata = candidate.citation_metadata
    whole = "".join(
        part.get("text", "")
        for body in events(recording)
        for one in body.get("candidates", [])
        for part in (one.get("content") or {}).get("parts", [])
    ).encode()
    return [
        Cited(
            one.uri or "",
            one.title or "",
            "",
            whole[one.start_index or 0 : one.end_index].decode(),
        )
        for one in (metadata and metadata.citations) or ()
    ]


def by_responses(recording: Recording) -> list[Cited]:
    client = openai.OpenAI(api_key="none", http_client=_httpx2(recording))
    if recording.kind == "unary":
        answer: Any = client.responses.create(model="recorded", input="")
    else:
        received: Any = client.responses.create(model="recorded", input="", stream=True)
        ends = ("response.completed", "response.incomplete")
        answer = next(one.response for one in received if one.type in ends)
    return [
        _annotation(one, part.text)
        for item in answer.output
        if item.type == "message"
        for part in item.content
        if part.type == "output_text"
        for one in part.annotations
    ]


def _annotation(said: Any, text: str) -> Cited:
    if said.type == "url_citation":
        return Cited(said.url, said.title, "", text[said.start_index : said.end_index])
    return Cited(said.file_id, said.filename, "", "")


def by_chat(recording: Recording) -> list[Cited]:
    """OpenAI's annotations, and the lists of sources that the client passes on."""
    client = openai.OpenAI(api_key="none", http_client=_httpx2(recording))
    if recording.kind == "stream":
        received = client.chat.completions.create(
            model="recorded", messages=[], stream=True
        )
        return [
            _annotation(one, "")
            for chunk in received
            for choice in chunk.choices or ()
            for one in getattr(choice.delta, "annotations", None) or ()
        ]
    answer: Any = client.chat.completions.create(model="recorded", messages=[])
    message = answer.choices[0].message
    text = message.content or ""
    nested = [
        _annotation(one.url_citation, text)
        for one in message.annotations or ()
        if one.type == "url_citation"
    ]
    extra = answer.model_extra
    results = {one["url"]: one for one in extra.get("search_results") or ()}
    return nested + [
        Cited(url, results[url]["title"], results[url]["snippet"], text)
        for url in extra.get("citations") or ()
    ]


def _httpx2(recording: Recording) -> httpx2.Client:
    kinds = {"unary": "application/json", "stream": "text/event-stream"}
    return httpx2.Client(
        transport=httpx2.MockTransport(
            lambda _: httpx2.Response(
                200,
                headers={"content-type": kinds[recording.kind]},
                content=recording.body,
            )
        )
    )


PACKAGES = {
    "anthropic": by_anthropic,
    "gemini": by_google,
    "responses": by_responses,
    "chat": by_chat,
}


@pytest.mark.rule("3.14")
@pytest.mark.parametrize(
    "recording",
    [one for one in RECORDINGS if any(mark in one.body for mark in MARKS)],
    ids=lambda one: one.id,
)
def test_citations_read_alike(recording: Recording) -> None:
    try:
        message, _ = read(recording, Prompt())
    except Failure:
        return  # no answer: that these fail is another test's

    assert PACKAGES[wire(recording)](recording) == by_majordomo(message)


def test_there_are_citations_to_read() -> None:
    """Of every wire, so that the above is no empty claim."""
    found = set()
    for recording in RECORDINGS:
        try:
            message, _ = read(recording, Prompt())
        except Failure:
            continue
        if by_majordomo(message):
            found.add(wire(recording))

    assert set(PACKAGES) == found
