"""Bytes of a text file to its text: which encoding it is in, and when none is taken."""

from __future__ import annotations

import codecs
import re
import shlex
from pathlib import Path

from kft.errors import DataError

WINDOWS = "windows-1252"
"""What Excel and older programs write in western Europe and America."""
_BETWEEN = "\u2019\u2018\xb7\u2013\u2014\u2026\xab\xbb\xad\u20ac\xa3\xb0"
"""Signs that can stand between two letters in windows-1252: apostrophes, dashes, dots, units."""
_BEHIND = "\u201a\u201e\u0192\u02c6\u02dc\xa8\xb8\xac\xa4\xa1\xbf"
"""Signs that no letter stands before: they open a quotation, or are none."""
_APART = re.compile(rf"[^\W\d_](?:[^\x00-\x7f\w\s{_BETWEEN}][^\W\d_]|[{_BEHIND}])")
"""A sign within a word: the bytes are of another encoding, such as 0x84 of DOS."""
_CAPITAL = re.compile("[a-z\xdf-\xff][\xc0-\xd6\xd8-\xde\u0160\u017d\u0178\u0152](?![A-Z])")
"""A capital behind a small letter, such as 0x9f of older Macs."""
_LETTERS = re.compile(r"[^\W\d_]")
_FOREIGN = re.compile(r"[^\W\d_\x00-\x7f]")
MOST_FOREIGN = 0.3
"""Of the letters of a text in a western language, at most so many bear marks."""
_WORD = re.compile(r"\w*[^\W\x00-\x7f]\w*")


def decode(raw: bytes, path: Path, encoding: str | None) -> tuple[str, str, str]:
    """Returns the name of the encoding, the text, and a sentence where the encoding was guessed.

    Without a name, UTF-8 is tried, UTF-16 where a mark says so, and windows-1252 where words stay words in it.

    Args:
        raw: What the file holds.
        path: For messages.
        encoding: The one it is in, where somebody said so.

    Raises:
        DataError: It is in none of them.

    Example:
        >>> decode("für alle".encode("windows-1252"), Path("a.csv"), None)[:2]
        ('windows-1252', 'für alle')
    """
    utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    name = "UTF-16" if utf16 else "UTF-8"
    try:
        if utf16 or encoding is None or raw.startswith(codecs.BOM_UTF8) or not raw.isascii():
            return name, raw.decode("utf-16" if utf16 else "utf-8-sig"), ""
    except UnicodeError as error:
        if utf16 or encoding is None:
            text = None if utf16 or raw.startswith(codecs.BOM_UTF8) else _western(raw)
            if text is None:
                raise _undecodable(raw, path, name, error) from None
            word = _WORD.search(text)
            said = f", such as {word.group()[:30]!r}" if word else ""
            return (
                WINDOWS,
                text,
                f"{path.name} is not UTF-8: it is read as windows-1252{said} (data.encoding names another)",
            )
    try:
        return encoding, raw.decode(encoding), ""
    except UnicodeError as error:
        raise _undecodable(raw, path, encoding, error) from None


def _western(raw: bytes) -> str | None:
    """The text in windows-1252, where it reads like one: otherwise UTF-8 that is damaged, or another alphabet."""
    try:
        text = raw.decode(WINDOWS)
    except UnicodeError:
        return None
    several = sum(ord(character) > 127 and character != "\ufffd" for character in raw.decode("utf-8", "replace"))
    single = sum(byte > 127 for byte in raw)
    foreign, letters = len(_FOREIGN.findall(text)), len(_LETTERS.findall(text))
    damaged = several * 20 > single or _APART.search(text) or _CAPITAL.search(text)
    return None if damaged or foreign > MOST_FOREIGN * letters else text


def _undecodable(raw: bytes, path: Path, name: str, error: UnicodeError) -> DataError:
    # The decoder counts from behind a byte order mark. Some codecs say nothing of the place.
    position = error.start + len(raw) - len(error.object) if isinstance(error, UnicodeDecodeError) else 0
    before = raw[:position].decode("utf-16", "ignore") if name == "UTF-16" else raw[:position].decode("latin-1")
    line = before.count("\n") + 1
    old, new = shlex.quote(path.name), shlex.quote("utf8-" + path.name)
    mend = f"iconv -f {'UTF-16' if name == 'UTF-16' else 'WINDOWS-1252'} -t UTF-8 {old} > {new}"
    steps = {
        "UTF-16": f"{mend}, or save it as UTF-8 where it was made",
        "UTF-8": f"--set data.encoding=windows-1252 (kft init --encoding), or what it was written in; or {mend}",
    }
    return DataError(
        f"the file is not {name}" + (", and no words in windows-1252" if name == "UTF-8" else ""),
        where=f"{path}, line {line}, byte {position}",
        received=f"byte 0x{raw[position]:02x}",
        expected=f"text in {name}" + (", as its byte order mark says" if name == "UTF-16" else ""),
        next_step=steps.get(name, "name another data.encoding, or save it as UTF-8 where it was made"),
    )
