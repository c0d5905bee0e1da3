"""A cell of spans: the forms that tools write, and what its numbers count."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd

from kft.metrics.tagging import Span
from kft.tasks.cells import as_text
from kft.tasks.words import trimmed, word_numbers

Unit = Literal[
    "characters", "utf-16", "bytes", "words", "characters-inclusive", "utf-16-inclusive", "bytes-inclusive",
    "words-inclusive",
]  # fmt: skip
UNITS: tuple[Unit, ...] = (
    "characters", "utf-16", "bytes", "characters-inclusive", "utf-16-inclusive", "bytes-inclusive",
)  # fmt: skip
OF_LISTS: tuple[Unit, ...] = ("words", "words-inclusive")
"""What else offsets can count where a text is a list of words."""
IN_WORDS: Mapping[Unit, str] = {
    "characters": "characters (Unicode code points), the end behind the last",
    "utf-16": "UTF-16 units, in which an emoji is two",
    "bytes": "bytes of UTF-8, in which an accented letter is two and an emoji four",
    "characters-inclusive": "characters, and the end is the last character itself",
    "utf-16-inclusive": "UTF-16 units, and the end is the last one itself",
    "bytes-inclusive": "bytes of UTF-8, and the end is the last one itself",
    "words": "words of the list, the end behind the last",
    "words-inclusive": "words of the list, and the end is the last word itself",
}
STARTS = ("start", "start_offset", "startOffset", "begin", "start_char", "start_idx", "from")
ENDS = ("end", "end_offset", "endOffset", "stop", "end_char", "end_idx", "to")
NAMES = ("label", "labels", "type", "tag", "entity", "entity_group", "entity_type", "category", "class")
OWN_WORDS = ("text", "surface", "surface_text", "surface_form", "mention", "span_text", "quote", "exact")
MOST_ROWS = 2000
"""Of plain texts, and of others, so many are looked at for what offsets count."""
INSIDE = ("entities", "spans", "ents")
"""Keys under which a tool puts the list of spans."""


_TAG = r"[^\s,|;\[\](){}'\"]+"
_MARKED = re.compile(rf"\s*{_TAG}([,|;]{_TAG})+\s*|\s*\[\s*{_TAG}(\s*[,|;]\s*{_TAG})*\s*\]\s*")
"""Tags between commas, bars or semicolons, as some write them in one cell."""


@dataclass(frozen=True)
class RawSpan:
    """A span as it stands in a cell: numbers that count something, a kind, and perhaps its own words."""

    start: int
    end: int
    label: str
    surface: str | None = None


def cell_values(cell: object) -> list[Any]:
    """Returns the values of a cell: spans, or tags.

    Raises:
        ValueError: It holds no list.

    Example:
        >>> cell_values("B-PER O"), cell_values("['B-PER', 'O']"), cell_values(None)
        (['B-PER', 'O'], ['B-PER', 'O'], [])
    """
    if hasattr(cell, "tolist") and getattr(cell, "ndim", False):
        cell = cell.tolist()
    if isinstance(cell, str) and _MARKED.fullmatch(cell):
        return [each for each in re.split(r"\s*[,|;]\s*", cell.strip(" []")) if each]
    if isinstance(cell, str) and cell.lstrip()[:1] in ("[", "{", "("):
        cell = parse_list(cell)
    if isinstance(cell, Mapping):
        if "start" in cell and isinstance(cell["start"], (list, tuple)):
            return _turned(cell)
        found = next((cell[key] for key in INSIDE if key in cell), None)
        if found is None:
            raise ValueError("label is not a list of spans or tags: an object without " + ", ".join(INSIDE))
        return cell_values(found)
    if isinstance(cell, (list, tuple)):
        return list(cell)
    if isinstance(cell, str) or (pd.api.types.is_scalar(cell) and pd.isna(cell)):
        return as_text(cell).split()
    raise ValueError(f"label is not a list of spans or tags: a {type(cell).__name__}")


def _turned(cell: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns an object of lists, as Hugging Face's datasets keep lists of objects, as a list of objects."""
    lists = {key: value for key, value in cell.items() if isinstance(value, (list, tuple))}
    if len({len(value) for value in lists.values()}) != 1:
        raise ValueError("label is an object of lists that differ in length")
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def parse_list(text: str) -> Any:
    """Reads a list as JSON or as Python writes it; nothing is run.

    Raises:
        ValueError: It is neither.

    Example:
        >>> parse_list("['a', 'b']"), parse_list('["a"]')
        (['a', 'b'], ['a'])
    """
    try:
        return json.loads(text, parse_int=str)
    except (ValueError, RecursionError) as error:
        problem = error
    try:
        found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise ValueError(f"label is not JSON: {problem}") from None
    # Python joins strings that stand side by side: an array that NumPy printed would be one word.
    texts = found if isinstance(found, (list, tuple)) else ()
    quotes = text.count("'") + text.count('"')
    if any(isinstance(each, str) for each in texts) and "," not in text and quotes > 2 * len(texts):
        raise ValueError("label is an array as NumPy prints it, without commas")
    return found


def raw_spans(values: Sequence[Any]) -> list[RawSpan]:
    """Reads objects and triples.

    Raises:
        ValueError: One lacks a place or a kind, or has several kinds.

    Example:
        >>> raw_spans([[0, 3, "PER"], ["LOC", 4, 8]])[1]
        RawSpan(start=4, end=8, label='LOC', surface=None)
    """
    return [_of_object(value) if isinstance(value, dict) else _of_triple(value) for value in values]


def _of_object(value: Mapping[str, Any]) -> RawSpan:
    if isinstance(value.get("value"), Mapping):  # Label Studio's own
        value = value["value"]
    if "start" in value and "end" in value and isinstance(value.get("label"), str):
        return RawSpan(_place(value["start"]), _place(value["end"]), value["label"].strip(), _own_words(value))
    start = _key(value, STARTS if "length" not in value else (*STARTS, "offset"), "start")
    if "length" in value and not any(key in value for key in ENDS):
        end = _place(start) + _place(value["length"])
    else:
        end = _place(_key(value, ENDS, "end"))
    return RawSpan(_place(start), end, _kind(_key(value, NAMES, "label")), _own_words(value))


def _own_words(value: Mapping[str, Any]) -> str | None:
    return next((value[key] for key in OWN_WORDS if key in value and isinstance(value[key], str)), None)


def _of_triple(value: Any) -> RawSpan:
    if not isinstance(value, (list, tuple)) or len(value) < 3:
        raise ValueError(f"a span is not [start, end, label]: {str(value)[:60]}")
    first, second, third = value[:3]
    if not _is_place(first) and _is_place(second) and _is_place(third):  # Argilla's: [label, start, end]
        first, second, third = second, third, first
    return RawSpan(_place(first), _place(second), _kind(third))


def _key(value: Mapping[str, Any], keys: Sequence[str], what: str) -> Any:
    found = next((value[key] for key in keys if value.get(key) is not None), None)
    if found is None:
        raise ValueError(f"a span lacks {what!r}")
    return found


def _kind(value: Any) -> str:
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if len(values) != 1:
        raise ValueError(f"a span has {len(values)} labels, and can have one")
    (only,) = values
    if not isinstance(only, str) and (isinstance(only, (Mapping, bytes, list, tuple, set)) or only is None):
        raise ValueError(f"the label of a span is not a name: a {type(only).__name__}")
    return as_text(only).strip()


def _is_place(value: Any) -> bool:
    try:
        _place(value)
    except ValueError:
        return False
    return True


def _place(value: Any) -> int:
    if isinstance(value, str) and len(value) < 16 and value.isascii() and value.isdigit():
        return int(value)  # what nearly all are, at a tenth of the time
    try:
        found = float(value) if not isinstance(value, bool) else None
        if found is not None and found.is_integer() and abs(found) < 2**53:
            return int(found)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"the start or end of a span is not a whole number: {str(value)[:40]!r}")


def read_spans(
    raws: Sequence[RawSpan], text: str, unit: Unit, words: Sequence[tuple[int, int]] = ()
) -> tuple[Span, ...]:
    """Returns spans of characters, without white space at their edges, in order.

    Args:
        raws: From ``raw_spans``.
        text: The text.
        unit: What the numbers count.
        words: Where the words of a list stand.

    Raises:
        ValueError: One is empty, beyond the text, overlaps another, has no name, or is not what it says it is.

    Example:
        >>> read_spans([RawSpan(3, 6, "PER")], "\U0001f600 Ada", "utf-16")
        (Span(start=2, end=5, label='PER'),)
    """
    convert = converter(text, unit, words)
    found = set()
    for raw in raws:
        placed = convert(raw.start, raw.end)
        if placed is None or not raw.label:
            problem = "is empty or beyond the text" if raw.label else "has no name"
            raise ValueError(f"the span {raw.start} to {raw.end} {problem}")
        if raw.surface is not None and not same_words(text[slice(*placed)], raw.surface):
            raise ValueError(
                f"a span is not the words it says it is, {raw.surface[:40]!r}: {raw.start} to {raw.end} are "
                f"{text[slice(*placed)][:40]!r}, counted in {IN_WORDS[unit]}"
            )
        start, end = trimmed(*placed, text)
        if start == end:
            raise ValueError(f"the span {raw.start} to {raw.end} holds nothing but white space")
        found.add(Span(start, end, raw.label))
    spans = sorted(found)
    for before, span in pairwise(spans):
        if span.start < before.end:
            raise ValueError(f"the span {span.start} to {span.end} overlaps the one before")
    return tuple(spans)


def converter(
    text: str, unit: Unit, words: Sequence[tuple[int, int]] = ()
) -> Callable[[int, int], tuple[int, int] | None]:
    """Returns what turns numbers of a unit into characters; None for what is empty or not in the text."""
    more = 1 if unit.endswith("inclusive") else 0
    ends: Mapping[int, int]
    starts: Mapping[int, int]
    if unit.startswith("words"):
        starts = {number: start for number, (start, _) in enumerate(words)}
        ends = {number + 1: end for number, (_, end) in enumerate(words)}
    else:
        starts = _characters(text, unit.removesuffix("-inclusive"))
        ends = starts

    def convert(start: int, end: int) -> tuple[int, int] | None:
        first, last = starts.get(start), ends.get(end + more)
        return (first, last) if first is not None and last is not None and first < last else None

    return convert


def _characters(text: str, unit: str) -> Mapping[int, int]:
    if unit == "characters" or text.isascii():
        places: Any = range(len(text) + 1)
    else:
        widths = (1 + (ord(each) > 0xFFFF) if unit == "utf-16" else len(each.encode()) for each in text)
        places = accumulate(widths, initial=0)
    return {place: number for number, place in enumerate(places)}


def same_words(found: str, said: str) -> bool:
    """Whether two texts are the same words, apart from white space, case and the form of accents."""
    return _folded(found) == _folded(said)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split())).casefold()


def fits_words(start: int, end: int, text: str, numbers: np.ndarray) -> bool:
    """Whether a span of characters begins and ends where words do."""
    start, end = trimmed(start, end, text)
    if start == end:
        return False
    begins = start == 0 or numbers[start] != numbers[start - 1]
    return bool(begins and (end == len(text) or numbers[end] != numbers[end - 1]))


@dataclass(frozen=True)
class SpanRow:
    """The spans of one text, as they stand in the data."""

    raws: Sequence[RawSpan]
    text: str
    words: Sequence[tuple[int, int]]


def count_edges(rows: Sequence[SpanRow], unit: Unit) -> int:
    """Counts the spans that begin or end with white space.

    Example:
        >>> count_edges([SpanRow([RawSpan(0, 4, "PER"), RawSpan(0, 3, "PER")], "Ada left", [])], "characters")
        1
    """
    count = 0
    for row in rows:
        convert = converter(row.text, unit, row.words)
        placed = [convert(raw.start, raw.end) for raw in row.raws]
        count += sum(each is not None and trimmed(*each, row.text) != each for each in placed)
    return count


def find_unit(rows: Sequence[SpanRow]) -> tuple[Unit, str]:
    """Finds what the offsets of a whole column count, and returns it with the reason in words; empty where it is usual.

    The spans' own words tell, where they have them. Else: spans that end inside words in one way of counting, and
    where words do in another.

    Example:
        >>> row = SpanRow([RawSpan(3, 6, "PER", "Ada")], "\U0001f600 Ada", [])
        >>> find_unit([row])[0]
        'utf-16'
    """
    units = (*UNITS, *OF_LISTS) if any(row.words for row in rows) else UNITS
    with_words = [(row, raw) for row in rows for raw in row.raws if raw.surface is not None]
    if with_words:
        return _by_words(with_words, units)
    return _by_edges(rows, units)


def _by_words(spans: Sequence[tuple[SpanRow, RawSpan]], units: Sequence[Unit]) -> tuple[Unit, str]:
    right = {unit: sum(_says_the_same(spans, unit)) for unit in units[:1]}
    if right[units[0]] == len(spans):
        return units[0], ""
    right |= {unit: sum(_says_the_same(spans, unit)) for unit in units[1:]}
    best = max(units, key=lambda unit: right[unit])
    if best == units[0] or right[best] < 0.95 * len(spans):
        return units[0], ""
    return best, f"the words of {right[best]:,} of {len(spans):,} spans say so; of {right[units[0]]:,} as characters"


def _says_the_same(spans: Sequence[tuple[SpanRow, RawSpan]], unit: Unit) -> Iterator[bool]:
    row_before, convert = None, None
    for row, raw in spans:
        if row is not row_before:
            row_before, convert = row, converter(row.text, unit, row.words)
        assert convert is not None
        placed = convert(raw.start, raw.end)
        yield placed is not None and same_words(row.text[slice(*placed)], raw.surface or "")


def _by_edges(rows: Sequence[SpanRow], units: Sequence[Unit]) -> tuple[Unit, str]:
    """Compares ways of counting by the spans on which they differ, in some thousands of the texts."""
    rows = _some([row for row in rows if row.text.isascii()]) + _some([row for row in rows if not row.text.isascii()])
    numbers = [word_numbers(row.text) for row in rows]
    usual = _edges(rows, numbers, "characters")
    if all(fits for fits, _ in usual):
        return "characters", ""
    for unit in units[1:]:
        pairs = zip(usual, _edges(rows, numbers, unit), strict=True)
        differ = [(here[0], there[0]) for here, there in pairs if here[1] != there[1]]
        n, before, after = len(differ), sum(pair[0] for pair in differ), sum(pair[1] for pair in differ)
        if not n or after < 0.95 * n or before > 0.5 * n or (n < 10 and unit not in ("utf-16", "bytes")):
            continue
        if unit.endswith("inclusive") and unit not in OF_LISTS and not (before <= 0.2 * n and _ends_vary(rows)):
            continue
        return unit, f"{after:,} of {n:,} spans then begin and end where words do, and {before:,} as characters"
    return "characters", ""


def _some(rows: Sequence[SpanRow]) -> list[SpanRow]:
    return list(rows[:: max(1, len(rows) // MOST_ROWS)])


def _edges(
    rows: Sequence[SpanRow], numbers: Sequence[np.ndarray], unit: Unit
) -> list[tuple[bool, tuple[int, int] | None]]:
    """Returns of each span whether it fits the words, and where it stands."""
    found = []
    for row, words in zip(rows, numbers, strict=True):
        convert = converter(row.text, unit, row.words)
        for raw in row.raws:
            placed = convert(raw.start, raw.end)
            found.append((placed is not None and fits_words(*placed, row.text, words), placed))
    return found


def _ends_vary(rows: Sequence[SpanRow]) -> bool:
    """Whether many letters stand behind the ends: one alone, as in "Marie|s", is an ending that was left out."""
    behind = [row.text[raw.end] for row in rows for raw in row.raws if 0 <= raw.end < len(row.text)]
    return len(set(behind)) >= 4 and max(map(behind.count, set(behind))) <= 0.6 * len(behind)
