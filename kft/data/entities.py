"""HTML entities in texts. The standard library alone: what ships carries this file."""

from __future__ import annotations

from html import unescape


def unescaped(text: str) -> str:
    """Returns a text with its HTML entities decoded.

    Text that was encoded twice is decoded twice: so nothing changes what was decoded before, and data that
    ``kft data build`` has prepared are those of the run.

    Example:
        >>> unescaped("fish &amp;amp; chips")
        'fish & chips'
    """
    while (decoded := unescape(text)) != text:
        text = decoded
    return text
