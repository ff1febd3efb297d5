"""JSON Schemas of a prompt in the form that a target takes, and what of it is
reported."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from majordomo.chain.failure import Failure
from majordomo.codec.request_json import EMPTY_PARAMETERS, invalid, unsupported
from majordomo.schemas.absence import Place
from majordomo.schemas.dialects import OPENAI_STRICT, Dialect
from majordomo.schemas.fitted import fitted
from majordomo.schemas.reading import NotASchema, UnfitSchema

Adapted = Callable[[str, str], None]
"""Takes the path of a field, and what was changed of it."""

_LONGEST = 200
"""Characters of what is informed of one schema."""


class AnswerSchema(NamedTuple):
    """The schema of an answer as it is sent."""

    json: msgspec.Raw
    strict: bool
    """The target makes sure that the answer follows it."""

    absent: Place | None
    """Where null stands for an absent key in the answer."""


def schema_form(
    text: str, path: str, dialect: Dialect, adapted: Adapted
) -> msgspec.Raw:
    """A schema as the target takes it; of a tool without one: none are wanted.

    Failure (INVALID_REQUEST) for what is no schema, UNSUPPORTED where the target has no
    form for it.
    """
    if not text:
        return EMPTY_PARAMETERS
    try:
        made = fitted(text, dialect)
    except UnfitSchema as unfit:
        raise refusal(unfit, path) from None
    if made.reported:
        adapted(path, made.reported)
    return made.json


def answer_form(
    text: str, path: str, strict: Dialect | None, loose: Dialect, adapted: Adapted
) -> AnswerSchema:
    """The schema of an answer, enforced by `strict` if there is a form for that.

    Without a dialect for it, what happens to be in the subset that all have is enforced
    as it is. Raises as schema_form() does.
    """
    try:
        made = fitted(text, strict or OPENAI_STRICT)
        if strict is not None or bytes(made.json) == text.encode():
            if made.reported:
                adapted(path, made.reported)
            return AnswerSchema(made.json, strict=True, absent=made.absent)
        problem = "is not in the form that strict modes take"
    except NotASchema as none:
        raise refusal(none, path) from None
    except UnfitSchema as unfit:
        problem = str(unfit)
    adapted(path, f"not enforced: the schema {problem}"[:_LONGEST])
    json = schema_form(text, path, loose, adapted)
    return AnswerSchema(json, strict=False, absent=None)


def refusal(unfit: UnfitSchema, path: str) -> Failure:
    """The failure of a schema that cannot be sent."""
    if isinstance(unfit, NotASchema):
        return invalid(path, str(unfit))
    return unsupported(path, f"the schema {unfit}")
