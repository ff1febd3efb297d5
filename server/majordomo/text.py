"""Texts cut to a length in bytes."""


def bounded(text: str, most: int) -> str:
    """`text` in at most `most` bytes of UTF-8, cut between characters."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= most:
        return text
    return encoded[: most - 3].decode(errors="ignore") + "…"


def line(text: str, most: int) -> str:
    """`text` as one line of at most `most` bytes."""
    return bounded(" ".join(text.split()), most)
