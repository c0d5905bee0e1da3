"""Cases made from a suite, answers judged, and what was fixed and broken: without a model."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from ruamel.yaml import YAML

from kft.data.examples import Columns
from kft.errors import DataError, SuiteError
from kft.metrics.proportions import share_interval
from kft.recipe.schema import DataSpec
from kft.suites.cases import expand
from kft.suites.edge_cases import judge
from kft.suites.suite import load_suite
from kft.suites.suite_fit import require_fit
from kft.suites.suite_text import Shortcut, SuiteRow, quote, write_suite
from kft.tasks.classes import Prediction
from kft.tasks.registry import TASKS

TEXTS, IMAGES, PAIRS = map(TASKS.get, ("text-classification", "image-classification", "text-pairs"))
DATA, COLUMNS = DataSpec(train="a.csv"), Columns("text", "label")


def cases_of(folder, checks, task=TEXTS, data=DATA, **suite):
    path = folder / "checks.yaml"
    path.write_text(json.dumps({"checks": checks, **suite}))
    return expand(load_suite(path), task, data, COLUMNS, folder)


def must(*cases, **more):
    return {"name": "must", "kind": "must_pass", "cases": list(cases), **more}


def still(*cases, changes=("upper",), **more):
    return {"name": "still", "kind": "invariance", "cases": list(cases), "changes": list(changes), **more}


def test_each_input_meets_each_change_and_what_changes_nothing_is_no_case(tmp_path):
    found = cases_of(
        tmp_path, [must({"input": "It works.", "label": "a"}), still("one", "TWO", changes=["upper", "lower"])]
    )
    assert [case.id for case in found.cases] == ["must:1", "still:1:upper", "still:2:lower"]
    assert [case.changed for case in found.cases] == [None, "ONE", "two"]
    assert found.left_out == {"must": 0, "still": 2}


def test_a_check_that_tests_nothing_is_an_error(tmp_path):
    with pytest.raises(SuiteError, match=r"checks\[0\]: tests nothing: no input holds what upper, no-accents changes"):
        cases_of(tmp_path, [still("ONE", changes=["upper", "no-accents"])])


def test_the_hash_follows_what_decides_and_nothing_else(tmp_path):
    base = [still("it works", "it broke", changes=["typos"])]
    known = cases_of(tmp_path, base).suite_hash
    assert cases_of(tmp_path, [{**base[0], "about": "said", "at_least": 0.5}]).suite_hash == known
    assert cases_of(tmp_path, [{**base[0], "cases": ["it works", "it works"]}]).suite_hash != known
    assert cases_of(tmp_path, base, seed=1).suite_hash != known
    assert cases_of(tmp_path, [{**base[0], "name": "other"}]).suite_hash != known


def test_a_case_is_changed_alike_whatever_stands_beside_it(tmp_path):
    alone = cases_of(tmp_path, [still("it works very well", changes=["typos"])]).cases[0]
    later = cases_of(tmp_path, [still("more", "it works very well", changes=["typos"])]).cases[1]
    assert alone.changed == later.changed != alone.given


def test_inputs_from_a_table_are_cleaned_as_in_training(tmp_path):
    pd.DataFrame({"text": ["mail a@example.com", "two", "three"], "note": ["x", "y", ""]}).to_csv(
        tmp_path / "rows.csv", index=False
    )
    check = {"name": "rows", "kind": "invariance", "changes": "upper", "rows": {"file": "rows.csv", "most": 2}}
    found = cases_of(tmp_path, [check], data=DataSpec(train="a.csv", redact=("email",)))
    assert [(case.given, case.changed) for case in found.cases] == [("mail [EMAIL]", "MAIL [EMAIL]"), ("two", "TWO")]
    check["rows"] = {"file": "rows.csv", "column": "note"}
    with pytest.raises(DataError, match="1 of 3 texts is empty"):
        cases_of(tmp_path, [check])


def test_either_text_of_a_pair_can_be_changed(tmp_path):
    checks = [still(["a", "b"], changes=[{"name": "upper", "side": side} for side in ("first", "second", "both")])]
    found = cases_of(tmp_path, checks, task=PAIRS)
    assert [case.changed for case in found.cases] == [("A", "b"), ("a", "B"), ("A", "B")]
    assert [case.id for case in found.cases] == ["still:1:upper first", "still:1:upper second", "still:1:upper"]


def test_changed_images_are_written_once_and_damaged_ones_named(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = cases_of(tmp_path, [still("a.png", changes=["flip", "grey"])], task=IMAGES)
    assert [case.given for case in found.cases] == [tmp_path / "a.png"] * 2
    with Image.open(found.cases[0].changed) as image:
        assert np.array_equal(np.asarray(image), pixels[:, ::-1])
    (tmp_path / "b.png").write_bytes(b"none")
    with pytest.raises(SuiteError, match=r"checks\[0\].cases\[1\].input: not an image"):
        cases_of(tmp_path, [still("a.png", "b.png", changes=["flip"])], task=IMAGES)


def test_a_draft_of_pairs_is_a_valid_suite(tmp_path):
    rows = [SuiteRow(("Is it open?", 'a "quoted"\ntext: 12'), "same"), SuiteRow(("Who is Anna?", "é"), "other")]
    shortcut = Shortcut("#", "same", (SuiteRow(("# a", "b"), "same"),), (rows[1],), first=True)
    text, names = write_suite(rows, [shortcut], PAIRS, tmp_path / "drafted.yaml", "a run")
    assert "kft evaluate 'a run' --suite" in text
    (tmp_path / "drafted.yaml").write_text(text, encoding="utf-8")
    suite = load_suite(tmp_path / "drafted.yaml")
    require_fit(suite, PAIRS, ("other", "same"))
    assert tuple(check.name for check in suite.spec.checks) == names
    assert {"train rows", "nothing said", "without #", "with #", "names", "numbers", "no-accents"} <= set(names)
    assert "half" not in names and "negation" not in names
    found = expand(suite, PAIRS, DATA, COLUMNS, tmp_path)
    changed = {case.id: case.changed for case in found.cases}
    assert changed["without #:1:remove '#'"] == ("a", "b")
    assert changed["with #:1:prepend '#'"] == ("# Who is Anna?", "# é")
    assert found.cases[0].given == rows[0].given and found.cases[2].given == ("", "")


def answer(positive, abstain=False):
    label = "positive" if positive >= 0.5 else "negative"
    return Prediction(label, max(positive, 1 - positive), abstain, {"positive": positive, "negative": 1 - positive})


@pytest.mark.parametrize(("case", "given", "passed", "expected", "received"), [
    ({"label": "positive"}, answer(0.8), True, "positive", "positive"),
    ({"label": "positive"}, answer(0.3), False, "positive", "negative"),
    ({"label": "positive"}, answer(0.8, True), False, "positive", "positive (abstains)"),
    ({"label": ["neutral", "negative"]}, answer(0.3), True, "neutral or negative", "negative"),
    ({"abstain": True}, answer(0.8), False, "to abstain", "positive"),
    ({"label": "positive", "abstain": True}, answer(0.3, True), True, "positive or to abstain", "negative (abstains)"),
    ({"confidence_at_most": 0.6}, answer(0.55), True, "a confidence of at most 0.6", "positive"),
    ({"confidence_at_most": 0.6}, answer(0.65), False, "a confidence of at most 0.6", "positive"),
])  # fmt: skip
def test_must_pass(tmp_path, case, given, passed, expected, received):
    (made,) = cases_of(tmp_path, [must({"input": "it", **case})]).cases
    found = judge(TEXTS.kind, made, {"it": given}, tmp_path)
    assert (found.passed, found.expected, found.received) == (passed, expected, received)
    assert found.confidence == given.confidence and found.changed is None


@pytest.mark.parametrize(("before", "after", "passed"), [(0.9, 0.6, True), (0.6, 0.4, False), (0.1, 0.2, True)])
def test_invariance_and_its_opposite(tmp_path, before, after, passed):
    answers = {"it": answer(before), "IT": answer(after)}
    (made,) = cases_of(tmp_path, [still("it")]).cases
    assert judge(TEXTS.kind, made, answers, tmp_path).passed is passed
    (made,) = cases_of(tmp_path, [{**still("it"), "kind": "directional", "expect": "label_changes"}]).cases
    assert judge(TEXTS.kind, made, answers, tmp_path).passed is not passed


@pytest.mark.parametrize(("expect", "moves"), [
    ("rises", {0.5: False, 0.51: True}),
    ("falls", {0.5: False, 0.49: True}),
    ("does_not_rise", {0.54: True, 0.56: False, 0.1: True}),
    ("does_not_fall", {0.46: True, 0.44: False, 0.9: True}),
])  # fmt: skip
def test_directional(tmp_path, expect, moves):
    check = {**still("it"), "kind": "directional", "expect": expect, "label": "positive"}
    (made,) = cases_of(tmp_path, [check]).cases
    for after, passed in moves.items():
        found = judge(TEXTS.kind, made, {"it": answer(0.5), "IT": answer(after)}, tmp_path)
        assert found.passed is passed
        assert found.expected == f"positive {expect.replace('_', ' ')} from 0.500"
        assert found.received == f"positive {after:.3f}" and found.changed == "IT"


def test_wilsons_interval():
    """Against the values of scipy.stats.binomtest(k, n).proportion_ci(method='wilson')."""
    from scipy.stats import binomtest

    for passed, n in ((0, 5), (3, 4), (24, 24), (199, 224)):
        ci = binomtest(passed, n).proportion_ci(method="wilson")
        found = share_interval(passed / n, n)
        assert (found.low, found.high) == pytest.approx((ci.low, ci.high), abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_reads_back_from_yaml(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return  # half a surrogate pair is no text, and kft reads none
    assert YAML(typ="safe").load(f"- {{input: {quote(text)}}}") == [{"input": text}]
