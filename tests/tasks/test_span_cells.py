"""Spans as tools write them: any unit of offsets is found by the spans' own words or by where words end, or refused."""

import json

import pytest

from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.spans import SPANS
from kft.tasks.task import LabelColumn
from tests.tagged import places, sentences, truth, words

MADE = sentences(40)


def moved(unit, text, start, end):
    """Returns a span's places in a unit."""
    if unit == "words":
        return len(text[:start].split()), len(text[:end].split())
    coding = {"utf-16": "utf-16-le", "bytes": "utf-8", "characters": "utf-32-le"}[unit.removesuffix("-inclusive")]
    width = {"utf-16-le": 2, "utf-8": 1, "utf-32-le": 4}[coding]
    first, last = (len(text[:place].encode(coding)) // width for place in (start, end))
    return first, last - unit.endswith("inclusive")


def column(unit, *, own, lead, as_words=False):
    """Returns texts and cells, each second text with something before its words that units count in several ways."""
    texts, cells = [], []
    for number, sentence in enumerate(MADE):
        before = lead if number % 2 else ""
        text = before + " ".join(words(sentence))
        cell = []
        for start, end, label in places(sentence):
            start, end = start + len(before), end + len(before)
            first, last = moved(unit, text, start, end)
            cell.append({"start": first, "end": last, "label": label, **({"text": text[start:end]} if own else {})})
        texts.append(text.split() if as_words else text)
        cells.append(cell)
    return texts, cells


def read(texts, cells, **spec):
    spec = DataSpec(train="a.csv", **spec)
    whole = LabelColumn(cells, texts, "a.jsonl, column 'spans'")
    settled = SPANS.labels.settle(whole, spec)
    found = []
    for cell, text in zip(cells, texts, strict=True):
        label, problem = SPANS.labels.parse(cell, text, settled)
        text = " ".join(text) if isinstance(text, list) else text
        found.append(problem or [(span.label, text[span.start : span.end]) for span in label])
    return found, settled.offsets, SPANS.labels.notes(whole, spec)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("unit", "lead"),
    [
        ("characters", "😀🎉 "),
        ("utf-16", "😀🎉 "),
        ("bytes", "Grüß Gott, "),
        ("bytes", "😀🎉 "),
        ("characters-inclusive", ""),
        ("utf-16-inclusive", "😀🎉 "),
        ("bytes-inclusive", "déjà "),
    ],
)
def test_offsets_of_every_unit_are_the_same_spans(unit, lead, own):
    texts, cells = column(unit, own=own, lead=lead)
    found, offsets, notes = read(texts, cells)
    assert offsets == unit and found == [truth(each) for each in MADE]
    assert bool(notes) == (unit != "characters")


def test_offsets_that_count_the_words_of_a_list_are_found():
    texts, cells = column("words", own=False, lead="", as_words=True)
    found, offsets, _ = read(texts, cells)
    assert offsets == "words" and found == [truth(each) for each in MADE]


def test_one_emoji_is_enough_where_spans_then_end_in_words():
    texts = ["😀 Ada left", "Bob left"]
    cells = [[{"start": 3, "end": 6, "label": "PER"}], [{"start": 0, "end": 3, "label": "PER"}]]
    found, offsets, (note,) = read(texts, cells)
    assert offsets == "utf-16" and found == [[("PER", "Ada")], [("PER", "Bob")]]
    assert note.startswith("the offsets of spans count UTF-16 units, in which an emoji is two: 1 of 1 spans then begin")


def test_a_recipe_can_name_the_unit():
    texts, cells = ["😀 Ada left"], [[{"start": 3, "end": 6, "label": "PER"}]]
    assert read(texts, cells, offsets="characters")[0] == [[("PER", "da ".strip())]]
    assert read(texts, cells, offsets="utf-16")[0] == [[("PER", "Ada")]]


def test_a_span_that_is_not_its_own_words_is_refused_with_both():
    (said,), _, _ = read(["Ada left"], [[{"start": 0, "end": 3, "label": "PER", "text": "Bob"}]])
    assert "a span is not the words it says it is, 'Bob': 0 to 3 are 'Ada'" in said


def test_an_ending_that_was_left_out_is_no_other_way_of_counting():
    texts = [f"{name}s friend left" for name in ("Marie", "Ada", "Linus", "Euclid", "Gauss", "Otto") * 4]
    cells = [[{"start": 0, "end": text.index("s friend"), "label": "PER"}] for text in texts]
    assert read(texts, cells)[1] == "characters"


FORMS = {
    "object": {"start": 0, "end": 3, "label": "PER"},
    "offsets": {"start_offset": "0", "end_offset": "3", "label": "PER", "id": 4},
    "list of one": {"start": 0, "end": 3, "labels": ["PER"]},
    "studio": {"value": {"start": 0, "end": 3, "labels": ["PER"]}, "type": "labels"},
    "triple": [0, 3, "PER"],
    "triple of a list": [0, 3, ["PER"]],
    "argilla": ["PER", 0, 3, 0.9],
    "fractions": {"start": 0.0, "end": 3.0, "label": "PER"},
    "length": {"offset": 0, "length": 3, "category": "PER"},
    "pipeline": {"entity_group": "PER", "start": 0, "end": 3, "score": 0.99},
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("write", [lambda cell: cell, json.dumps, str, lambda cell: {"entities": cell}], ids=range(4))
def test_each_form_of_a_span_is_read(name, write):
    assert read(["Ada left"], [write([FORMS[name]])])[0] == [[("PER", "Ada")]]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ([{"start": 0, "end": 3, "label": ["PER", "LOC"]}], "a span has 2 labels"),
        ([{"start": 0, "end": 3, "label": []}], "a span has 0 labels"),
        ([{"start": 0, "end": 3, "label": {"id": 3}}], "the label of a span is not a name: a dict"),
        ([{"start": 0, "end": 3}], "a span lacks 'label'"),
        ([{"start": 0, "end": 3, "label": " "}], "has no name"),
        ([{"start": 3, "end": 3, "label": "PER"}], "is empty or beyond the text"),
        ([{"start": 3, "end": 4, "label": "PER"}], "holds nothing but white space"),
        ([{"start": -2, "end": 3, "label": "PER"}], "is empty or beyond the text"),
        ([{"start": 0, "end": 9, "label": "PER"}], "is empty or beyond the text"),
        ([{"start": 0.5, "end": 3, "label": "PER"}], "is not a whole number: '0.5'"),
        ([{"start": True, "end": 3, "label": "PER"}], "is not a whole number: 'True'"),
        ([[0, 3]], "a span is not [start, end, label]"),
        ([[0, 3, "PER"], [2, 8, "LOC"]], "overlaps the one before"),
        ("['a' 'b']", "an array as NumPy prints it"),
    ],
)
def test_what_is_no_span_is_refused_by_name(cell, said):
    assert said in read(["Ada left"], [cell])[0][0]


def test_kinds_that_are_numbers_are_refused():
    with pytest.raises(DataError, match="the kinds of span are numbers, and nothing says what they mean"):
        read(["Ada left"], [[{"start": 0, "end": 3, "label": 4}]])


def test_white_space_at_an_edge_is_left_out_and_said():
    cells = [[{"start": 0, "end": 4, "label": "PER"}, {"start": 3, "end": 8, "label": "ACT"}][:1]]
    found, _, notes = read(["Ada left"], cells)
    assert found == [[("PER", "Ada")]]
    assert notes == ("1 of 1 spans begin or end with white space, which is left out of them",)


def test_the_same_span_twice_is_one():
    assert read(["Ada left"], [[[0, 3, "PER"], [0, 3, "PER"]]])[0] == [[("PER", "Ada")]]
