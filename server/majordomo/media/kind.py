"""What media is, reported from its first bytes.

Providers look at them too, and refuse media that is not what it is declared to be.
Sources: PNG 3rd edition, 5.2; ITU-T T.81, B.1; GIF89a, 17; RFC 9649, 2.3; ISO
32000-1, 7.5.2; RIFF WAVE; RFC 3533, 6; RFC 9639, 5; ISO 14496-12, 4.3.
"""

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"avif": "image/avif",
}
"""Of the files that begin with a box `ftyp`, those that are images."""

_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "application/x-pdf": "application/pdf",
}
"""Other names of a type, which providers refuse."""

_SAME = {
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/x-flac": "audio/flac",
    "image/heif": "image/heic",
}
"""Other names of a type, which are left as they are."""


def media_type(named: str, data: bytes) -> str:
    """The IANA media type of `data`: `named`, unless its bytes say another.

    Texts are what they are declared to be, whatever they begin with.
    """
    lower = named.lower()
    if lower.startswith("text/"):
        return named
    found = _found(data)
    if not found:
        return _ALIASES.get(lower, named)
    if found == lower:
        return found
    if _SAME.get(found, found) == _SAME.get(lower, lower):
        return named
    if lower.startswith(("audio/", "video/")) and found == "audio/ogg":
        return named  # of either
    return found


def _found(data: bytes) -> str:
    for beginning, type_ in _BEGINNINGS:
        if data.startswith(beginning):
            return type_
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12], "")
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "")
    return ""
