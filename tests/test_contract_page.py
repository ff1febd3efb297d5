"""docs/contract.md is what the protos say."""

import json
import re

import pytest

from majordomo.contract import ERROR_DOMAIN
from majordomo.rpc.status import CODES
from majordomo.v1.errors_pb2 import ErrorReason
from scripts import contract_page


def test_the_page_is_fresh() -> None:
    """`make reference` would change nothing."""
    assert contract_page.page() == contract_page.PAGE.read_text()


def test_nothing_is_needed_beside_google_s_own_types() -> None:
    """Any protoc compiles the protos, with nothing fetched."""
    imports = {name for file in contract_page.files() for name in file.proto.dependency}

    strangers = {
        name
        for name in imports
        if not name.startswith(("majordomo/v1/", "google/protobuf/"))
    }
    assert set() == strangers


def _reasons() -> dict[str, str]:
    """The comment of each reason, without the one that is never sent."""
    (file,) = (
        f for f in contract_page.files() if f.proto.name.endswith("errors.proto")
    )
    (enum,) = file.proto.enum_type
    return {
        value.name.removeprefix("ERROR_REASON_"): file.comments[5, 0, 2, i]
        for i, value in enumerate(enum.value)
        if value.number
    }


@pytest.mark.parametrize(("reason", "comment"), _reasons().items())
def test_every_reason_has_an_example(reason: str, comment: str) -> None:
    """Its code first, then a google.rpc.ErrorInfo with the metadata that is named."""
    example = contract_page.example(comment)
    named = re.search(r"Metadata: ([^.]*)", " ".join(comment.split()))
    words = set(re.findall(r"\w+", named[1])) if named else set()
    metadata = example["metadata"]
    assert isinstance(metadata, dict), json.dumps(example)

    assert (reason, ERROR_DOMAIN) == (example["reason"], example["domain"])
    assert {"reason", "domain", "metadata"} == example.keys()
    assert metadata.keys() - {"generation_id"} <= words
    code = CODES[
        next(each for each in CODES if ErrorReason.Name(each).endswith(f"N_{reason}"))
    ].name
    assert comment.strip().startswith(f"{code}.")
