"""Damage of text on its way here: wrong encodings, lost characters, HTML left in, control characters."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence

from kft.audit.check import Check
from kft.audit.sampling import SAMPLE_ROWS
from kft.audit.texts import TAG, counted, ids_of, texts_of
from kft.audit.view import AuditView
from kft.records.findings import Finding

_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,30}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
WARNED = 0.01
"""Share of the texts from which on it is more than a slip."""


def is_mojibake(text: str) -> bool:
    """Whether UTF-8 was read as another encoding on the way here, by ftfy (Speer, 2019).

    Example:
        >>> is_mojibake("schÃ¶n"), is_mojibake("schön")
        (True, False)
    """
    if text.isascii():
        return False
    import ftfy

    # A lone C1 control is mended too; those are counted by themselves.
    return ftfy.fix_encoding(text) != text and not _CONTROL.search(text)


def has_entity(text: str) -> bool:
    """Whether an HTML entity stands in a text.

    Example:
        >>> has_entity("it&#039;s"), has_entity("R&D; and more")
        (True, False)
    """
    return "&" in text and any(html.unescape(found) != found for found in _ENTITY.findall(text))


_KINDS: tuple[tuple[str, Callable[[str], bool], str, str], ...] = (
    (
        "mojibake",
        is_mojibake,
        "were read in the wrong encoding, such as Ã¶ for ö",
        "Save the source as UTF-8 again where it came from, or mend it: pip install ftfy; ftfy FILE.",
    ),
    (
        "replacement",
        lambda text: "\ufffd" in text,
        "hold U+FFFD, which stands for a character that was lost",
        "Export the texts again: what was lost cannot be brought back.",
    ),
    (
        "entities",
        has_entity,
        "hold HTML entities such as &amp;",
        "--set data.html=unescape turns them into characters.",
    ),
    (
        "tags",
        lambda text: "<" in text and TAG.search(text) is not None,
        "hold HTML tags",
        "Take the tags out at the source: the model reads them as words.",
    ),
    (
        "control",
        lambda text: _CONTROL.search(text) is not None,
        "hold control characters",
        "Take them out: tokenizers drop them or read them as unknown.",
    ),
)


def check_encoding(view: AuditView) -> Iterable[Finding]:
    """Looks for texts that were damaged on their way."""
    return judge_encoding(ids_of(view.all), texts_of(view.all))


def judge_encoding(ids: Sequence[str], texts: Sequence[str]) -> Iterable[Finding]:
    """Judges texts by traces of wrong handling.

    Example:
        >>> [finding.details["kind"] for finding in judge_encoding(["a"], ["schÃ¶n &amp; gut"])]
        ['mojibake', 'entities']
    """
    for kind, damaged, what, advice in _KINDS:
        rows = tuple(identifier for identifier, text in zip(ids, texts, strict=True) if damaged(text))
        if rows:
            share = len(rows) / len(texts)
            yield Finding(
                "encoding",
                "warning" if share >= WARNED else "note",
                counted(len(rows), len(texts), "texts", f"{what}."),
                advice,
                share,
                rows,
                {"kind": kind},
            )


CHECK = Check(
    "encoding",
    "wrong encodings, lost characters, HTML",
    check_encoding,
    medium="text",
    rank=100,
    most_rows=SAMPLE_ROWS,
)
