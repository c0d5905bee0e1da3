"""Characters that act where a person expects to see them: control sequences, marks of direction, what has no width.

What comes from data, file names, recipes and arguments may hold them. They are made visible where people read, and
refused in names that reach a shell.
"""

from __future__ import annotations

import re

ACTING = (
    "\x00-\x1f\x7f-\x9f"  # control characters, ESC and NEL among them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks of direction
    "\u2028\u2029"  # separators of lines and paragraphs
    "\u00ad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e0fff"  # nothing to see
    "\ud800-\udfff"  # halves of a pair, as in a file name that is not UTF-8
)
"""As in a regular expression. The two joiners (U+200C, U+200D) are left out: words and emoji are written with them."""
_ACTING = re.compile(f"[{ACTING}]")
_ACTING_IN_LINES = re.compile(f"(?![\n\t])[{ACTING}]")
CHARACTER_NAMES = {
    **{"\n": "line feed", "\r": "carriage return", "\t": "tab", "\0": "NUL"},
    **{"\x1b": "escape", "\x85": "next line"},
}


def visible(text: str, *, lines: bool = False) -> str:
    r"""Returns a text with each character that acts written as its escape.

    Args:
        text: As it came.
        lines: Line feeds and tabs stay: the text is several lines of kft's own.

    Example:
        >>> print(visible("red \x1b[31m, \u202etfel\nnew line"))
        red \x1b[31m, \u202etfel\nnew line
    """
    return (_ACTING_IN_LINES if lines else _ACTING).sub(_escape, text)


def visible_json(text: str) -> str:
    r"""Returns JSON with the characters that act as escapes of JSON: it is the same document.

    Example:
        >>> print(visible_json('"\u202e\x9b"'))
        "\u202e\u009b"
    """
    return _ACTING_IN_LINES.sub(lambda found: _units(found.group()), text)


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode()


def _units(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def acting_in(text: str, allowed: str = "") -> str:
    r"""Returns the characters of a text that act, each once, in words; empty where there are none.

    Args:
        text: A name, a path, an argument.
        allowed: Characters that may stand there.

    Example:
        >>> acting_in("a\nb\x1b\u202e"), acting_in("a\tb", allowed="\t")
        ('U+000A line feed, U+001B escape, U+202E', '')
    """
    found = [character for character in dict.fromkeys(_ACTING.findall(text)) if character not in allowed]
    return ", ".join(f"U+{ord(character):04X} {CHARACTER_NAMES.get(character, '')}".rstrip() for character in found)


def half_pair(text: str, what: str) -> str:
    r"""Says that a text holds half a surrogate pair; empty where it does not.

    Example:
        >>> half_pair("\ud83d", "label"), half_pair("fine", "text")
        ('label holds half a surrogate pair, which is not a character', '')
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{what} holds half a surrogate pair, which is not a character"
    return ""


def several(count: int, one: str, many: str = "") -> str:
    """Returns a count with its noun.

    Example:
        >>> several(1, "gate"), several(2000, "class", "classes")
        ('1 gate', '2,000 classes')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def shorten(text: str, width: int) -> str:
    """Returns a text on one line of at most so many characters.

    Example:
        >>> shorten("one  two three", 9)
        'one tw...'
    """
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 3] + "..."
