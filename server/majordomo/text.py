"""Text for those who take only so much of it."""


def cut(text: str, most: int) -> str:
    """`text` within `most` bytes, cut between characters, with an ellipsis then."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= most:
        return text
    return encoded[: most - 3].decode(errors="ignore") + "\N{HORIZONTAL ELLIPSIS}"
