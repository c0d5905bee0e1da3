"""Tags and spans as they come: read into the right spans, or refused in words; never into others."""

import json
import unicodedata

import pytest
from hypothesis import strategies as st

from kft.data.forms import read_form
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.registry import TASKS
from kft.tasks.spans import SPANS
from kft.tasks.task import LabelColumn
from kft.tasks.words import trimmed
from tests.malformed.surviving import HOW_MANY, survives

TAGGING = TASKS.get("token-tagging")
SPEC = DataSpec(train="a.csv")


@pytest.mark.parametrize("examples", HOW_MANY)
@pytest.mark.parametrize("name", ["schemes", "damaged", "offsets", "cells", "files", "exports"])
def test_tags_are_read_right_or_refused(name, examples):
    survives(STRATEGIES[name], MEETS[name], examples)


LETTERS = "abzÀßéж一あ서דشक"
MARKS = "\u0301\u094d\u093f\u05b8\u064e\u00ad\u200c\u200d\u2060"
WORDS = st.tuples(
    st.sampled_from(LETTERS),
    st.text(st.sampled_from(LETTERS + MARKS + "'\u2019-_.1😀"), max_size=6),
    st.sampled_from(LETTERS),
).map("".join)
KINDS = st.sampled_from(["PER", "LOC", "E-mail", "misc_thing", "Größe", "p/q"])
SCHEMES = st.sampled_from(["BIIB", "BIES", "BILU", "BMEW"])
SPELLINGS = st.sampled_from(["{0}-{1}", "{0}_{1}", "{0}:{1}", "{1}-{0}", "{1}_{0}"])
OUTSIDE = st.sampled_from(["O", "o", "-", "_", "", "OUT", "none", "OTHER"])
SPACES = st.sampled_from([" ", "  ", "\t", "\n", "\u00a0", "\u3000", " \r\n ", "\u2009"])


@st.composite
def rows(draw):
    """Returns words, with the first and last word and the kind of each span, in order and apart."""
    words = draw(st.lists(WORDS, min_size=1, max_size=7))
    spans, place = [], 0
    while place < len(words):
        length = draw(st.integers(0, 3))
        if length and place + length <= len(words):
            spans.append((place, place + length - 1, draw(KINDS)))
        place += max(1, length)
    return words, spans


def written(row, scheme, spelling, outside):
    words, spans = row
    tags = [outside] * len(words)
    for first, last, kind in spans:
        letters = scheme[3] if first == last else scheme[0] + scheme[1] * (last - first - 1) + scheme[2]
        tags[first : last + 1] = [spelling.format(letter, kind) for letter in letters]
    return tags


def laid_out(words, gaps):
    """Returns a text, and where its words stand."""
    text, places = gaps[0].strip(" ") if len(gaps) > 2 else "", []
    for place, word in enumerate(words):
        places.append((len(text), len(text) + len(word)))
        text += word + gaps[place % len(gaps)]
    return text, places


def read(cells, texts):
    """Returns each row's spans, or why it has none."""
    column = LabelColumn(cells, texts, "a.csv, column 'tags'")
    settled = SPANS.labels.settle(column, SPEC)
    SPANS.labels.notes(column, SPEC)
    return [SPANS.labels.parse(cell, text, settled) for cell, text in zip(cells, texts, strict=True)]


def meet_schemes(folder, fault):
    made, scheme, spelling, outside, gaps, as_list = fault
    cells = [written(row, scheme, spelling, outside) for row in made]
    laid = [laid_out(words, [" "] if as_list else gaps) for words, _ in made]
    expected = [
        [(*trimmed(places[first][0], places[last][1], text), kind) for first, last, kind in spans]
        for (text, places), (_, spans) in zip(laid, made, strict=True)
    ]
    found = read(cells, [row[0] for row in made] if as_list else [text for text, _ in laid])
    assert [[tuple(span) for span in label] for label, _ in found] == expected
    assert not any(problem for _, problem in found)


def meet_damaged(folder, fault):
    """A tag too few, too many, or of another form: such a row is refused, or the column is."""
    made, scheme, damage, place = fault
    made = [*made, (["Ada", "left"], [(0, 0, "PER")])]
    cells = [written(row, scheme, "{0}-{1}", "O") for row in made]
    texts = [" ".join(words) for words, _ in made]
    row = place % (len(cells) - 1)
    if damage == "short":
        cells[row] = cells[row][:-1]
    elif damage == "long":
        cells[row] = [*cells[row], "O"]
    else:
        cells[row][place % len(cells[row])] = damage
    try:
        _, problem = read(cells, texts)[row]
    except DataError as error:
        assert error.received and error.next_step
        return
    assert problem or (damage == "short" and not cells[row])


UNITS = {"characters": ("utf-32-le", 4), "utf-16": ("utf-16-le", 2), "bytes": ("utf-8", 1)}


def meet_offsets(folder, fault):
    """Spans with their own words are these words, whatever their numbers count; or the row is refused."""
    made, unit, inclusive, lead = fault
    coding, width = UNITS[unit]
    cells, texts = [], []
    for words, spans in made:
        text, places = laid_out(words, [" "])
        text, cell = lead + text, []
        for first, last, kind in spans:
            start, end = places[first][0] + len(lead), places[last][1] + len(lead)
            begin, stop = (len(text[:each].encode(coding)) // width for each in (start, end))
            cell.append({"start": begin, "end": stop - inclusive, "label": kind, "text": text[start:end]})
        cells.append(cell)
        texts.append(text)
    for (label, problem), cell, text in zip(read(cells, texts), cells, texts, strict=True):
        said = [(text[span.start : span.end], span.label) for span in label]
        assert problem or [(_bare(words), kind) for words, kind in said] == [
            (_bare(e["text"]), e["label"]) for e in cell
        ]


def _bare(text):
    return unicodedata.normalize("NFC", text.strip("\u00ad\u200c\u200d\u2060")).casefold()


PIECES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["PER", "B-x", "O", "['a' 'b']", "[", "{}", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["start", "end", "label", "labels", "text", "value", "entities", "offset", "length"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)


def meet_cells(folder, fault):
    cells, lists = fault
    text = ["Ada", "left", "Rome"] if lists else "Ada left  Rome"
    whole = " ".join(text) if lists else text
    for label, problem in read(cells, [text] * len(cells)):
        assert problem or all(0 <= span.start < span.end <= len(whole) and span.label for span in label)
        assert all(trimmed(span.start, span.end, whole) == span[:2] for span in label)


LINES = st.lists(
    st.sampled_from(
        [
            "Ada B-PER",
            "left O",
            "",
            "",
            "-DOCSTART- O",
            "# id = 1",
            "# O",
            "Ada\tB-PER",
            "New York B-LOC",
            "word",
            "1 Ada O",
            " ",
            "\t",
            '" O',
            ",O",
            "a,b,c",
            "\ufeff",
            "\x00",
            "é\u00a0x O",
        ]
    ),
    max_size=30,
)
SUFFIXES = st.sampled_from([".conll", ".txt", ".tsv", ".csv", ".conllu", ".json", ".jsonl"])


def meet_files(folder, fault):
    lines, suffix, newline = fault
    path = folder / f"a{suffix}"
    path.write_text(newline.join(lines), encoding="utf-8", newline="")
    frame = read_form(path, TAGGING).frame
    assert len(frame) and len(frame.columns)


KEYS = st.sampled_from(
    [
        "text",
        "data",
        "annotations",
        "completions",
        "fields",
        "responses",
        "annotation",
        "prediction",
        "answer",
        "accept",
        "options",
        "_task_hash",
        "spans",
        "label",
        "cats",
        "entities",
        "annotator",
        "lead_time",
        "annotation_id",
        "result",
        "value",
        "choices",
        "values",
        "status",
        "tokens",
        "word",
        "tag",
        "sentence_id",
    ]
)
NESTED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 9)
    | st.sampled_from(["Ada left", "accept", "reject", "PER", "", "submitted"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)


def meet_exports(folder, fault):
    made, name, task, unlabelled = fault
    path = folder / name
    path.write_text(json.dumps(made) if name.endswith("json") else "".join(json.dumps(row) + "\n" for row in made))
    read_form(path, TASKS.get(task), unlabelled=unlabelled)


MADE = st.lists(rows(), min_size=1, max_size=5)
STRATEGIES = {
    "schemes": st.tuples(
        MADE.filter(lambda made: any(spans for _, spans in made)),
        SCHEMES,
        SPELLINGS,
        OUTSIDE,
        st.lists(SPACES, min_size=1, max_size=4),
        st.booleans(),
    ),
    "damaged": st.tuples(
        MADE, SCHEMES, st.sampled_from(["short", "long", "7", "X-PER-", "B-PER|B-LOC"]), st.integers(0, 99)
    ),
    "offsets": st.tuples(
        MADE, st.sampled_from(list(UNITS)), st.booleans(), st.sampled_from(["", "😀 ", "ü ", "a 😀🎉 é "])
    ),
    "cells": st.tuples(st.lists(PIECES, max_size=4), st.booleans()),
    "files": st.tuples(LINES, SUFFIXES, st.sampled_from(["\n", "\r\n"])),
    "exports": st.tuples(
        st.lists(st.dictionaries(KEYS, NESTED, max_size=6), max_size=4),
        st.sampled_from(["a.json", "a.jsonl"]),
        st.sampled_from(["token-tagging", "text-classification", "text-multi-label", "text-regression"]),
        st.booleans(),
    ),
}
MEETS = {
    "schemes": meet_schemes,
    "damaged": meet_damaged,
    "offsets": meet_offsets,
    "cells": meet_cells,
    "files": meet_files,
    "exports": meet_exports,
}
