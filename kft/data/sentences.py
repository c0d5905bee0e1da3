"""Files with one word a line or a row (CoNLL and its many relatives), to one sentence a row."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pandas as pd

from kft.data.columns import LABEL_NAMES, usual_column
from kft.errors import DataError
from kft.tasks.cells import as_text

SUFFIXES = (".conll", ".conll03", ".conll2003", ".conllu", ".bio", ".iob", ".iob2", ".bioes", ".bilou", ".ner")
"""Endings of files that hold nothing else."""
MAYBE = (".txt", ".tsv", ".csv")
WORD_NAMES = ("word", "words", "token", "tokens", "form")
TAG_NAMES = ("ner", "ner_tag", "iob", "bio", "iob2", "entity", *LABEL_NAMES)
CONLL_U = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_SENTENCE = re.compile(r"(sentence|sent|sequence|seq|example)?[ _.-]*(#|id|idx|index|no|nr|num|number)?", re.IGNORECASE)
MOST_TAGS = 60
"""So many different values are tags, however long the file."""
LONGEST = 100
"""Words; values of a column that stand for more on average are no sentences."""
_LARGER = re.compile("doc|file|page|article|chapter|split|fold|set|tokens|column_")
"""In the name of a column whose values stand for more than a sentence, or for nothing of the kind."""
_DOCUMENT = "-DOCSTART-"
_TAG = re.compile(r"O|o|_|-|[BIESLUMW]|[BIESLUMW][-_:./].+|.+[-_:./][BIESLUMW]", re.IGNORECASE | re.DOTALL)
MOSTLY = 0.95
HEAD = 2**16
"""So many characters tell what a file holds."""
FEWEST = 20
"""With fewer rows of one word each, they can be what they seem: texts of one word."""
_ENDS = (
    "separate sentences by an empty line, or name the sentence of each word in a column sentence_id; data.columns "
    "names the columns of a file without a header"
)

Row = list[str] | None
"""The cells of a line; None where a sentence ends."""


@dataclass(frozen=True)
class _Words:
    """Rows of words, with what is known of their columns."""

    rows: Sequence[Row]
    lines: Sequence[int]
    names: Sequence[str] | None
    where: str


def read_sentences(text: str, path: Path, columns: Sequence[str] | None) -> pd.DataFrame | None:
    r"""Reads a file with one word a line; None where that is not what it is.

    Args:
        text: What it holds.
        path: For its ending, and for messages.
        columns: Names of its columns, where the recipe has them.

    Raises:
        DataError: It holds words, but its lines differ, or nothing says where a sentence ends.

    Example:
        >>> frame = read_sentences("Ada B-PER\nleft O\n\nBye O\n", Path("a.conll"), None)
        >>> frame.to_dict("list")
        {'tokens': [['Ada', 'left'], ['Bye']], 'tags': [['B-PER', 'O'], ['O']]}
    """
    surely = path.suffix.lower() in SUFFIXES
    if text.startswith("#FORMAT=WebAnno"):
        raise DataError(
            "WebAnno's and INCEpTION's own TSV is not read",
            where=str(path),
            received=text.split("\n", 1)[0],
            expected="one word a line with its tag behind it",
            next_step="export it as CoNLL 2002 there",
        )
    if not text.strip() or not (surely or holds_words(text[:HEAD], path, surely=False)):
        return None
    found = _split(text, path)
    widths = Counter(len(row) for row in found.rows if row is not None)
    if not widths:
        return None
    width = widths.most_common(1)[0][0]
    return _to_frame(_named(_without_comments(found, width, path), columns, path))


def holds_words(text: str, path: Path, *, surely: bool = True) -> bool:
    r"""Whether a file holds one word and its tag a line, judged by its beginning.

    Args:
        text: How it begins.
        path: For its ending.
        surely: Whether it has to be so; where tags are wanted, words of one line are hardly anything else.

    Example:
        >>> holds_words("Ada B-PER\nleft O\n\nBye O\n", Path("a.txt"))
        True
    """
    found = _split(text.rpartition("\n")[0] if len(text) >= HEAD else text, path)
    widths = Counter(len(row) for row in found.rows if row is not None)
    if not widths:
        return False
    width = widths.most_common(1)[0][0]
    others = sum(row is not None and len(row) != width and not row[0].startswith("#") for row in found.rows)
    return width > 1 and others <= (1 - MOSTLY) * widths.total() and _are_words(found, width, surely=surely)


def group_words(frame: pd.DataFrame, where: str) -> pd.DataFrame | None:
    """Turns a table with one word a row into one with one sentence a row; None where that is not what it is.

    Raises:
        DataError: It holds words, and nothing says where a sentence ends.

    Example:
        >>> frame = pd.DataFrame({"sentence_id": [1, 1, 2], "word": ["Ada", "left", "Bye"], "tag": ["B-PER", "O", "O"]})
        >>> group_words(frame, "a.csv")["word"].tolist()
        [['Ada', 'left'], ['Bye']]
    """
    names = [str(name) for name in frame.columns]
    word, tag = usual_column(names, WORD_NAMES), usual_column(names, TAG_NAMES)
    word = usual_column(names, ("text",)) if word is None else word
    if word is None or tag is None or word == tag:
        return None
    cells = [as_text(cell) if not isinstance(cell, (list, tuple, dict)) else " " for cell in frame[word]]
    tags = [as_text(cell) if not isinstance(cell, (list, tuple, dict)) else " " for cell in frame[tag]]
    single = sum(len(cell.split()) <= 1 and len(mark.split()) <= 1 for cell, mark in zip(cells, tags, strict=True))
    if single < MOSTLY * len(cells) or sum(map(bool, map(str.strip, cells))) < 2:
        return None
    rows: list[Row] = [[as_text(cell) for cell in row] for row in frame.itertuples(index=False, name=None)]
    rows = [row if row is not None and any(map(str.strip, row)) else None for row in rows]
    found = _Words(rows, range(1, len(rows) + 1), names, where)
    if _sentence_column(found) is None and None not in rows and len(rows) < FEWEST:
        return None
    return _to_frame(found)


def has_sentences(frame: pd.DataFrame) -> bool:
    """Whether a table has columns of words and of tags, by their names, and one that names the sentence of each."""
    names = [str(name) for name in frame.columns]
    if usual_column(names, WORD_NAMES) is None or usual_column(names, TAG_NAMES) is None:
        return False
    rows = [[as_text(cell) for cell in row] for row in frame.itertuples(index=False, name=None)]
    return _sentence_column(_Words(rows, range(len(rows)), names, "")) is not None


def _split(text: str, path: Path) -> _Words:
    return _split_csv(text) if path.suffix.lower() == ".csv" else _split_lines(text, path)


def _split_lines(text: str, path: Path) -> _Words:
    lines = [line.rstrip("\r") for line in text.split("\n")]
    filled = [line for line in lines if line.strip()]
    tabs = sum("\t" in line for line in filled) > len(filled) / 2
    rows: list[Row] = []
    for line in lines:
        if not line.strip():
            rows.append(None)
        elif tabs:
            rows.append([cell.strip(" ") for cell in line.rstrip("\t ").split("\t")])
        else:
            rows.append(re.split(r"[ \t]+", line.strip(" \t")))
    return _Words(rows, range(1, len(rows) + 1), None, str(path))


def _split_csv(text: str) -> _Words:
    """Splits by the separator that parts most of the first lines alike."""
    head = text[:HEAD].rpartition("\n")[0] if len(text) > HEAD else text
    scores = {mark: _alike(_cells(head, mark)[0]) for mark in (",", ";", "\t")}
    rows, lines = _cells(text, max(scores, key=lambda mark: scores[mark]))
    return _Words(rows, lines, None, "")


def _alike(rows: Sequence[Row]) -> int:
    width = Counter(len(row) for row in rows if row is not None).most_common(1)
    return width[0][1] if width and width[0][0] > 1 else 0


def _cells(text: str, mark: str) -> tuple[list[Row], list[int]]:
    """Returns each line's cells and its number; nothing where the quotes do not fit."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    rows: list[Row] = []
    lines: list[int] = []
    try:
        for cells in reader:
            rows.append(cells if any(map(str.strip, cells)) else None)
            lines.append(reader.line_num)
    except csv.Error:
        return [], []
    return rows, lines


def _are_words(found: _Words, width: int, *, surely: bool) -> bool:
    """Whether each line holds one word and one tag; surely where hardly anything else can look so."""
    rows = [row for row in found.rows if row is not None and len(row) == width]
    spaced = [sum(" " in row[place].strip() for row in rows) / len(rows) for place in range(width)]
    tags = Counter(row[-1].strip() for row in rows)
    tagged = sum(count for tag, count in tags.items() if is_tag(tag)) / len(rows)
    outside = sum(count for tag, count in tags.items() if tag.lower() in ("o", "_", "-", "")) / len(rows)
    broken = None in found.rows[1:-2] or any(row is not None and row[0] == _DOCUMENT for row in found.rows)
    enough = len(rows) > 2 if broken else len(rows) >= FEWEST
    single = max(spaced) <= 0.5 and min(spaced[:-1]) <= 1 - MOSTLY and spaced[-1] <= 1 - MOSTLY
    usual = tagged >= 0.9 and outside > 0
    return enough and single and (usual or (not surely and len(tags) <= max(MOST_TAGS, len(rows) / 10)))


def is_tag(cell: str) -> bool:
    """Whether a cell can be one tag.

    Example:
        >>> is_tag("B-PER"), is_tag("O"), is_tag("delivery")
        (True, True, False)
    """
    return not cell or bool(_TAG.fullmatch(cell))


def _without_comments(found: _Words, width: int, path: Path) -> _Words:
    tags = {row[-1] for row in found.rows if row is not None and len(row) == width and not row[0].startswith("#")}
    rows: list[Row] = []
    lines = []
    for number, row in zip(found.lines, found.rows, strict=True):
        begins = not rows or rows[-1] is None
        if row is not None and row[0].startswith("#") and (len(row) != width or (begins and row[-1] not in tags)):
            continue
        if row is not None and row[0] == _DOCUMENT:
            rows += [None, row]
            lines += [number, number]
            continue
        if row is not None and len(row) != width:
            raise DataError(
                "a line has another number of columns than the others",
                where=f"{path}, line {number}",
                received=f"{len(row)}: {' '.join(row)[:80]}",
                expected=f"{width} columns: a word, its tag, and what stands between them",
                next_step="mend the line: no word holds a space, and every word has a tag",
            )
        rows.append(row)
        lines.append(number)
    if width < 2:
        raise DataError(
            "the lines hold words without tags",
            where=str(path),
            received=" ".join(next((row for row in rows if row is not None), []))[:80],
            expected="a word, and its tag behind it",
            next_step="check that this is the right file",
        )
    return _Words(rows, lines, None, str(path))


def _named(found: _Words, columns: Sequence[str] | None, path: Path) -> _Words:
    """Names the columns: as the recipe does, by a first line that is a header, or by their places."""
    rows, lines = list(found.rows), list(found.lines)
    first = next((place for place, row in enumerate(rows) if row is not None and row[0] != _DOCUMENT), None)
    if first is None:
        raise DataError(
            "the file holds no words",
            where=str(path),
            received=f"{len(rows):,} lines",
            expected="a word and its tag a line",
            next_step="check that this is the right file",
        )
    head = rows[first] or []
    width = len(head)
    if columns is not None:
        if len(columns) != width:
            _refuse_width(columns, width, path)
        return _Words(rows, lines, columns, found.where)
    tags = Counter(row[-1] for row in rows if row is not None and row[0] != _DOCUMENT)
    lower = [cell.strip().lower() for cell in head]
    known = any(cell in WORD_NAMES for cell in lower) or any(cell in TAG_NAMES and cell != "o" for cell in lower[1:])
    if known and tags[head[-1]] == 1 and not _TAG.fullmatch(head[-1]):
        return _Words(rows[first + 1 :], lines[first + 1 :], [cell.strip() for cell in head], found.where)
    if width == len(CONLL_U) and _numbered(rows, 0):
        words = [row if row is None or row[0].isdigit() else [] for row in rows]  # 1-2 and 1.1 are no words
        kept = [place for place, row in enumerate(words) if row != []]
        return _Words([words[place] for place in kept], [lines[place] for place in kept], CONLL_U, found.where)
    if width > 2 and _numbered(rows, 0):  # words are counted in each sentence
        rows = [None if row is None else row if row[0] == _DOCUMENT else row[1:] for row in rows]
        width -= 1
    between = [f"column_{place + 2}" for place in range(width - 2)]
    return _Words(rows, lines, ["tokens", *between, "tags"], found.where)


def _refuse_width(columns: Sequence[str], width: int, path: Path) -> NoReturn:
    raise DataError(
        "data.columns names another number of columns than there are",
        where=str(path),
        received=", ".join(columns),
        expected=f"{width} names",
        next_step="mend data.columns, or leave it out: the word is the first column, its tag the last",
    )


def _numbered(rows: Sequence[Row], column: int) -> bool:
    """Whether a column counts the words of each sentence."""
    before: int | None = None
    for row in rows:
        if row is None or row[0] == _DOCUMENT:
            before = None
            continue
        if not re.fullmatch(r"\d{1,6}", row[column]):
            if re.fullmatch(r"\d+[-.]\d+", row[column]):
                continue
            return False
        number = int(row[column])
        if number != (before + 1 if before is not None else number) or (before is None and number > 1):
            return False
        before = number
    return True


def _sentence_column(found: _Words) -> int | None:
    """Finds the column that names the sentence of each word: by its name and its values, or by its values alone."""
    if found.names is None:
        return None
    names = [name.strip().lower() for name in found.names]
    called = [
        place for place, name in enumerate(names) if name and _SENTENCE.fullmatch(name) and name not in ("no", "nr")
    ]
    others = [
        place
        for place, name in enumerate(names)
        if place not in called and not _LARGER.search(name) and name not in (*WORD_NAMES, *TAG_NAMES, "text")
    ]
    surely = (place for place in called if _words_a_run(found, place) > 1)
    return next(surely, next((place for place in others if 2 <= _words_a_run(found, place) <= LONGEST), None))


def _words_a_run(found: _Words, place: int) -> float:
    """Returns how many rows a value of a column has on average; 0 where a value comes back, or stands in all rows."""
    values = [row[place].strip() for row in found.rows if row is not None]
    runs = [value for value, before in zip(values, ["", *values], strict=False) if value not in ("", before)]
    return len(values) / len(runs) if 1 < len(runs) == len(set(runs)) else 0.0


def _to_frame(found: _Words) -> pd.DataFrame:
    assert found.names is not None
    for line, row in zip(found.lines, found.rows, strict=True):
        broken = next((cell for cell in row or () if "\n" in cell.strip()), None)
        if broken is not None:
            raise DataError(
                "a word goes over several lines",
                where=f"{found.where}, line {line}",
                received=repr(broken)[:80],
                expected="one word a row",
                next_step='write a quotation mark that is a word as """": one alone opens a field up to the next',
            )
    names = list(found.names)
    sentence = _sentence_column(found)
    groups: list[list[list[str]]] = [[]]
    documents, document, before = [], 0, ""
    for row in found.rows:
        starts = row is None or (sentence is not None and row[sentence].strip() not in ("", before))
        if row is not None and row[0] == _DOCUMENT:
            document, starts = document + 1, True
        if starts and groups[-1]:
            groups.append([])
        if row is None or row[0] == _DOCUMENT:
            continue
        if sentence is not None:
            before = row[sentence].strip() or before
        if not groups[-1]:
            documents.append(str(document))
        groups[-1].append(row)
    groups = [group for group in groups if group]
    if len(groups) < 2:
        raise DataError(
            "one word a row, and nothing says where a sentence ends",
            where=found.where,
            received=f"{sum(map(len, groups)):,} words, columns {', '.join(names)}",
            expected="sentences that are separated",
            next_step=_ENDS,
        )
    table: dict[str, list[object]] = {}
    for place, name in enumerate(names):
        cells = [[row[place].strip() for row in group] for group in groups]
        table[name] = [group[0] for group in cells] if place == sentence else list(cells)
    if document:
        table[_free("document", table)] = list(documents)
    return pd.DataFrame(table, columns=pd.Index(list(table), dtype=object), dtype=object)


def _free(name: str, taken: Mapping[str, object]) -> str:
    while name in taken:
        name += "_"
    return name
