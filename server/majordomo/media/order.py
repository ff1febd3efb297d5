"""What is reported to the process that makes an image, and what it answers."""

from typing import NamedTuple


class Order(NamedTuple):
    """What is to be made of an image, and what that may take."""

    media_type: str
    """What the image is declared to be."""

    formats: list[str]
    """Media types, one of which it has to be."""

    longest_edge: int
    """Pixels."""

    most_bytes: int
    seconds: int
    """Of the processor's time."""

    memory: int
    """Bytes of the process."""


class Outcome(NamedTuple):
    """What became of an image: its new media type and what was done, or a problem."""

    media_type: str = ""
    description: str = ""
    problem: str = ""
