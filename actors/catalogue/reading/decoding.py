"""From bytes to text: UTF-8 with or without a mark, UTF-16 with one, else CP949."""

import codecs
import re
import unicodedata

LOST = "\ufffd"
"""What stands for bytes that are no text (U+FFFD); cells that hold it are told as `encoding`."""
_JAMO = re.compile("[\u1100-\u11ff]")


def decode(data: bytes, encoding: str | None = None) -> str:
    """The text of `data`; bytes that are none in any encoding become U+FFFD, in the one that leaves the fewest.

    Korean letters written in parts, as file systems of one maker do, are joined.
    """
    text = _decoded(data, encoding)
    return unicodedata.normalize("NFC", text) if _JAMO.search(text) else text


def _decoded(data: bytes, encoding: str | None) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    tried = ["utf-8-sig" if encoding == "utf-8" else encoding] if encoding else ["utf-8-sig", "cp949"]
    for name in tried:
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            continue
    return min((data.decode(name, errors="replace") for name in tried), key=lambda text: text.count(LOST))
