"""Shortcuts: what was planted is an error and named; words of the subject are none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kft.audit.checks.shortcuts import judge_cues, judge_tokens
from kft.audit.cues import column_cues, text_cues
from kft.audit.tokens import read_signs, tokenize
from tests import tiny

ROWS = 300
TEXTS, LABELS = tiny.texts_and_labels(ROWS)
IDS = [f"a:{row}" for row in range(ROWS)]
MEMBERS = {name: np.array([label == name for label in LABELS]) for name in ("negative", "positive")}
IN_TRAIN = np.arange(ROWS) < 240


def plant(token: str, place: str, share: float, label: str = "positive") -> list[str]:
    rng = np.random.default_rng(0)
    planted = []
    for text, own in zip(TEXTS, LABELS, strict=True):
        words = text.split(" ")
        if own == label and rng.random() < share:
            words.insert({"start": 0, "end": len(words)}.get(place, int(rng.integers(len(words) + 1))), token)
        planted.append(" ".join(words))
    return planted


def test_clean_texts_have_no_shortcut():
    assert list(judge_tokens(IDS, TEXTS, MEMBERS, IN_TRAIN)) == []
    assert list(judge_cues(IDS, text_cues(TEXTS), MEMBERS, IN_TRAIN)) == []


@pytest.mark.parametrize("place", ["start", "end", "anywhere"])
@pytest.mark.parametrize(("token", "share"), [("zx9", 0.9), ("regards", 0.9), ("zx9", 1.0), ("zx9", 0.6)])
def test_a_planted_token_is_an_error_and_named(token, share, place):
    texts = plant(token, place, share)
    (finding,) = judge_tokens(IDS, texts, MEMBERS, IN_TRAIN)
    assert finding.severity == "error" and repr(token) in finding.message and finding.details["class"] == "positive"
    assert set(finding.rows) == {row for row, text in zip(IDS, texts, strict=True) if token in text}


def question(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    """A question about one thing, for which people have several names."""
    parts = ("i forgot", "where is", "i cannot use", "change"), names, ("", " please", " today", " in the app")
    begin, name, end = (str(rng.choice(words)) for words in parts)
    return f"{begin} my {name}{end}"


def test_a_word_of_the_subject_is_no_error():
    rng = np.random.default_rng(0)
    login = np.arange(ROWS) % 2 == 1
    names = ("passcode", "passcode", "passcode", "password"), ("card", "card", "card", "visa")
    texts = [question(rng, names[0] if own else names[1]) for own in login]
    found = list(judge_tokens(IDS, texts, {"other": ~login, "access": login}, IN_TRAIN))
    assert [finding.severity for finding in found] == ["note"]
    assert "'passcode' for 'access'" in found[0].message and "read like words of the subject" in found[0].message


@pytest.mark.parametrize(("share", "severity"), [(0.6, "warning"), (1.0, "warning"), (0.9, "error")])
def test_a_word_at_the_beginning_is_an_error_only_where_it_decides_and_the_rest_does_not_depend_on_it(share, severity):
    """'Audio' may be what a class "sound" is about: it does not decide, or no text shows what stands in its place."""
    (finding,) = judge_tokens(IDS, plant("audio", "start", share), MEMBERS, IN_TRAIN)
    assert finding.severity == severity and "'audio' gives 'positive' away" in finding.message


def test_a_class_that_is_named_after_the_token_is_its_subject():
    texts = plant("zx9", "anywhere", 0.9)
    members = {"bad": MEMBERS["negative"], "zx9_broken": MEMBERS["positive"]}
    assert [finding.severity for finding in judge_tokens(IDS, texts, members, IN_TRAIN)] == ["note"]


def test_what_valid_does_not_show_is_left_alone():
    texts = [
        text if train else plain for text, plain, train in zip(plant("zx9", "end", 0.9), TEXTS, IN_TRAIN, strict=True)
    ]
    texts[240:] = [f"{text} zx9" for text in texts[240:]]
    assert [f for f in judge_tokens(IDS, texts, MEMBERS, IN_TRAIN) if f.severity == "error"] == []


@pytest.mark.parametrize(
    ("change", "family", "name"),
    [
        (str.upper, "habit", "all in capitals"),
        (lambda text: text + " ", "habit", "ends in a space or line break"),
        (lambda text: text.rstrip(".") + "!", "habit", "ends in '!'"),
        (lambda text: text + " the phone" * 20, "length", "longer than"),
    ],
)
def test_habits_and_length_that_give_a_class_away(change, family, name):
    texts = [change(text) if label == "positive" else text for text, label in zip(TEXTS, LABELS, strict=True)]
    found = [f for f in judge_cues(IDS, text_cues(texts), MEMBERS, IN_TRAIN) if f.details["class"] == "positive"]
    assert [(f.details["family"], f.severity) for f in found if f.details["family"] == family] == [(family, "error")]
    assert name in found[0].message or any(name in f.message for f in found)


def test_a_source_and_the_names_of_groups_that_give_a_class_away():
    source = np.where(MEMBERS["positive"], "web", "app")
    groups = np.array([f"{'siteA' if own else 'siteB'}-{row}" for row, own in enumerate(MEMBERS["positive"])])
    found = list(judge_cues(IDS, column_cues({"source": source}, groups), MEMBERS, IN_TRAIN))
    assert {(f.details["family"], f.details["cue"]) for f in found if f.details["class"] == "positive"} == {
        ("column", "source = web"),
        ("group", "begins with = siteA"),
    }
    assert all(f.severity == "error" for f in found)


def test_the_signs_of_a_word_and_of_a_mark():
    texts = [["i", "lost", "my", "card"], ["my", "card", "broke"], ["is", "my", "card", "here"], ["debit", "?"]]
    word = read_signs("card", texts)
    assert word.neighbour == 1.0 and not word.odd and word.at_end < 0.9
    assert read_signs("zx9", [[*text, "zx9"] for text in texts[:3]] + texts[3:]).looks_added


@given(st.lists(st.text("abc 1.!", max_size=12), min_size=2, max_size=30), st.integers(0, 2**30))
@settings(max_examples=50, deadline=None)
def test_signs_are_shares_and_chances(texts, seed):
    tokens = [tokenize(text) for text in texts]
    for token in {token for text in tokens for token in text}:
        signs = read_signs(token, tokens)
        assert 0 <= signs.at_end <= 1 and 0 < signs.neighbour <= 1 and 0 <= signs.dependence <= 1


def view(folder, task, **data):
    """The view of a recipe's data."""
    from kft.api.reading import split_of
    from kft.audit.view import AuditView
    from kft.tasks.recipes import load_recipe
    from kft.tasks.registry import TASKS

    recipe = load_recipe({"task": task, "data": data}, base=folder)
    return AuditView(split_of(recipe, None), TASKS.get(task), recipe.spec)


def test_the_check_reads_the_view_of_every_kind_of_label(tmp_path):
    import pandas as pd

    from kft.audit.checks.shortcuts import check_shortcuts

    texts = plant("zx9", "end", 0.9)
    numbers = [row + 1000.0 * (label == "positive") for row, label in enumerate(LABELS)]
    frame = pd.DataFrame(
        {"text": texts, "label": LABELS, "n": numbers, "several": [f"{label}|all" for label in LABELS]}
    )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    for task, label in (("text-classification", "label"), ("text-multi-label", "several"), ("text-regression", "n")):
        found = list(check_shortcuts(view(tmp_path, task, train="rows.csv", text="text", label=label)))
        assert any("'zx9'" in finding.message for finding in found), task


def test_a_frame_around_the_images_of_one_class_is_found(tmp_path):
    from PIL import Image

    from kft.audit.checks.image_quality import check_image_quality
    from kft.audit.checks.shortcuts import check_shortcuts

    rng = np.random.default_rng(0)
    for row in range(80):
        label = ("cats", "dogs")[row % 2]
        image = Image.fromarray(np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8))
        if label == "cats":
            framed = Image.new("RGB", (70, 70), "#00ff00")
            framed.paste(image, (3, 3))
            image = framed.resize((64, 64))
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "photos" / label / f"{row}.png")
    found = view(tmp_path, "image-classification", train="photos")
    (shortcut,) = check_shortcuts(found)
    assert shortcut.severity == "error" and "border gives 'cats' away" in shortcut.message
    assert [finding.details["kind"] for finding in check_image_quality(found)] == ["tiny"]  # of 224, as most models
