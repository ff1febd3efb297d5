"""Texts cut to a length in bytes."""


def cut(text: str, most: int) -> str:
    """`text` within `most` bytes, cut between characters, with an ellipsis then."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= most:
        return text
    return encoded[: most - 3].decode(errors="ignore") + "\N{HORIZONTAL ELLIPSIS}"


def line(text: str, most: int) -> str:
    """`text` as one line of at most `most` bytes."""
    return cut(" ".join(text.split()), most)
