"""One tag a word: every usual scheme and spelling is read into the same spans, and what is none is refused by name."""

import pytest

from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.spans import SPANS
from kft.tasks.tags import find_form, join_tags, tell_tags
from kft.tasks.task import LabelColumn
from tests import tagged
from tests.tagged import iob2, sentences, truth, words

MADE = sentences()
NEIGHBOURS = [
    ("Ada", "PER", "S"),
    ("Lovelace", "PER", "S"),
    ("met", "", ""),
    ("Grace", "PER", "B"),
    ("Hopper", "PER", "E"),
]


def letters(scheme):
    """Returns what writes a scheme's letter: `scheme` names those for begin, inside, end and alone."""
    return lambda mark: dict(zip("BIES", scheme, strict=True))[mark]


SCHEMES = {
    "IOB2": "BIIB",
    "BIOES": "BIES",
    "BILOU": "BILU",
    "BMEWO": "BMEW",
    "BMES": "BMES",
}
WRITE = {
    "B-PER": lambda letter, kind: f"{letter}-{kind}",
    "B_PER": lambda letter, kind: f"{letter}_{kind}",
    "B:PER": lambda letter, kind: f"{letter}:{kind}",
    "b-PER": lambda letter, kind: f"{letter.lower()}-{kind}",
    "PER-B": lambda letter, kind: f"{kind}-{letter}",
    "B PER": lambda letter, kind: f"{letter} - {kind}",
    "PER_b": lambda letter, kind: f"{kind}_{letter.lower()}",
}


def read(rows, texts=None, **spec):
    """Returns each row's spans as kinds and words, by the tags of the whole column."""
    texts = [" ".join(words(each)) for each in MADE] if texts is None else texts
    settled = SPANS.labels.settle(LabelColumn(rows, texts, "a.csv, column 'tags'"), DataSpec(train="a.csv", **spec))
    found = []
    for cell, text in zip(rows, texts, strict=True):
        label, problem = SPANS.labels.parse(cell, text, settled)
        whole = text if isinstance(text, str) else " ".join(text)
        found.append(problem or [(span.label, " ".join(whole[span.start : span.end].split())) for span in label])
    return found


@pytest.mark.parametrize("spelling", WRITE)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_in_each_spelling_is_the_same_spans(scheme, spelling):
    letter = letters(SCHEMES[scheme])
    rows = [tagged.tags(each, lambda mark, kind: WRITE[spelling](letter(mark), kind)) for each in MADE]
    assert read(rows) == [truth(each) for each in MADE]
    if spelling != "B PER":
        assert read([" ".join(row) for row in rows]) == [truth(each) for each in MADE]
        assert read([",".join(row) for row in rows]) == [truth(each) for each in MADE]
        assert read([f"[{', '.join(row)}]" for row in rows]) == [truth(each) for each in MADE]


@pytest.mark.parametrize("outside", ["O", "o", "-", "_", "", "OUT", "none", "0", "OTHER"])
def test_what_is_outside_is_no_kind_of_span(outside):
    rows = [tagged.tags(each, iob2, outside) for each in MADE]
    assert read(rows) == [truth(each) for each in MADE]
    said = SPANS.labels.notes(LabelColumn(rows, [words(each) for each in MADE], "a"), DataSpec(train="a.csv"))
    shown = outside if outside.lower() == "o" else repr(outside)
    assert said == (f"the tags are read as IOB2 (2 kinds of span: LOC, PER); outside is {shown}",)


def test_iob1_begins_a_span_only_where_two_of_a_kind_meet():
    parts = [(0, 3), (4, 12), (13, 16), (17, 22), (23, 29)]
    tags = ["I-PER", "B-PER", "O", "I-PER", "I-PER"]
    assert find_form(tags, "a") == "iob"
    assert [(span.start, span.end) for span in join_tags(tags, parts, "iob")] == [(0, 3), (4, 12), (17, 29)]
    assert tell_tags([tags], "iob").startswith("the tags are read as IOB, 2 spans begin with I")
    ends = ["E-PER", "E-PER", "O", "I-PER", "E-PER"]
    assert find_form(ends, "a") == "iob" and join_tags(ends, parts, "iob") == join_tags(tags, parts, "iob")
    assert tell_tags([ends], "iob").startswith("the tags are read as IOE")
    alone = ["B", "B", "O", "B", "I"]
    assert [span[:2] for span in join_tags(alone, parts, find_form(alone, "a"))] == [(0, 3), (4, 12), (17, 29)]


@pytest.mark.parametrize(
    ("tags", "form"),
    [
        (["NOUN", "VERB", "PUNCT"], "plain"),
        (["E-mail", "O"], "plain"),
        (["S-Bahn", "E-Bus", "O"], "plain"),
        (["M-size", "L-size", "O"], "plain"),
        (["S-PER", "O"], "bioes"),
        (["U-PER", "O"], "bioes"),
        (["O"], "plain"),
        (["B-E-mail", "I-E-mail", "O"], "iob"),
        (["B-per", "I-per", "o"], "iob"),
        (["per-b", "per-i", "o"], "iob-suffix"),
        (["BEGIN_PER", "INSIDE_PER", "O"], "iob"),
    ],
)
def test_the_form_is_found_over_the_whole_column(tags, form):
    assert find_form(tags, "a") == form


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (["0", "1", "2"], "the tags are numbers, and nothing says what they mean"),
        (["B-PER", "I-PER", "LOC", "O"], "the tags are of two forms"),
        (["B-PER", "OTHER", "O"], "the tags are of two forms"),
        (["PER", "OTHER"], "'OTHER' can be a kind of span, or what is outside of all"),
        (["B-PER|B-LOC", "O"], "one word has several tags"),
        (["B-PER", "I-per", "O"], "kinds of span differ by capitals alone"),
        (["PER", "per"], "kinds of span differ by capitals alone"),
        (["BPER", "IPER", "O"], "a letter is glued to the name of a kind"),
        (["(PER*", "*)", "*"], "tags are brackets or markup"),
        (["B-O", "I-PER", "O"], "a kind of span is called O"),
        (["start_time", "end_time", "O"], "the tags can be names of kinds, or the ends of one kind"),
    ],
)
def test_what_cannot_be_told_is_refused_by_name(tags, said):
    with pytest.raises(DataError) as error:
        find_form(tags, "a.csv, column 'tags'")
    assert said in str(error.value) and "a.csv, column 'tags'" in str(error.value)
    assert error.value.received and error.value.expected and error.value.next_step


def test_a_recipe_can_name_the_form():
    assert read([["B-cell", "B-cell"]], [["one", "two"]], tags="plain") == [[("B-cell", "one two")]]
    assert read([["E-mail", "O"]], [["one", "two"]], tags="iob") == [[("mail", "one")]]
    assert "no letter before its kind" in read([["B-x", "y"]], ["one two"], tags="iob")[0]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (["O", "E-PER"], "continues a span that has not begun"),
        (["B-PER", "S-PER"], "has no tag that ends it"),
        (["B-PER", "I-PER"], "the last span has no tag that ends it"),
        (["B-PER", "E-LOC"], "continues a span that has not begun"),
    ],
)
def test_a_span_that_does_not_end_as_its_scheme_says_is_refused(tags, said):
    with pytest.raises(ValueError, match=said):
        join_tags(tags, [(0, 1), (2, 3)], "bioes")


GAPS = {
    "two": "  ",
    "tab": "\t",
    "newline": "\n",
    "no-break": "\u00a0",
    "mixed": " \u3000\t",
}


@pytest.mark.parametrize("edge", ["", " ", "\n\t", "\u00a0"])
@pytest.mark.parametrize("gap", GAPS)
def test_white_space_of_any_kind_moves_no_span(gap, edge):
    texts = [edge + GAPS[gap].join(words(each)) + edge for each in MADE]
    rows = [" ".join(tagged.tags(each, iob2)) for each in MADE]
    assert read(rows, texts) == [truth(each) for each in MADE]


def test_nothing_between_two_spaces_can_have_a_tag_of_its_own():
    assert read([["O", "O", "B-PER", "I-PER"]], ["so  Ada Byron"]) == [[("PER", "Ada Byron")]]
    assert read([["B-PER", "I-PER", "O"]], [["Ada", "", "left"]]) == [[("PER", "Ada")]]
    assert "holds nothing is tagged" in read([["O", "B-PER", "O"]], [["Ada", "", "left"]])[0]
    assert read([["O", "B-PER"]], [["so", " New  York "]]) == [[("PER", "New York")]]
    assert "3 tags for 2 words" in read([["O", "B-PER", "O"]], ["Ada left"])[0]


def test_tags_that_are_lists_or_objects_among_names_are_refused():
    assert "mixes tags" in read([["O", ["B-PER"]]], ["Ada left"])[0]
    assert "label is not a list of spans or tags" in read([{"a": 1}], ["Ada left"])[0]
