"""Suites of tasks other than one class of many: what stays is what each task says, and spans follow their text."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kft.data.corpus import Corpus
from kft.data.examples import Columns
from kft.errors import SuiteError
from kft.metrics.neighbours import unit_rows
from kft.recipe.schema import DataSpec
from kft.records.document import as_document
from kft.suites.edge_cases import run_suite
from kft.suites.perturbations import PERTURBATIONS
from kft.suites.searched import Searched
from kft.suites.suite import load_suite
from kft.suites.suite_fit import require_fit
from kft.tasks.labels import LabelsPrediction
from kft.tasks.numbers import NumberPrediction
from kft.tasks.registry import TASKS
from kft.tasks.spans import SaidSpan, SpansPrediction
from kft.tasks.task import AnswerSpace

LABELS, NUMBERS, SPANS = map(TASKS.get, ("text-multi-label", "text-regression", "token-tagging"))
TEXTS = ["call read on the disk", "call write and read"]


def several(text):
    """Says what it reads in small letters alone."""
    names = [name for name in ("disk", "read", "write") if name in text]
    return LabelsPrediction(names, 0.75, False, dict.fromkeys(("disk", "read", "write"), 0.5))


def number(text):
    return NumberPrediction(len(text) / 10 + sum(letter.isupper() for letter in text) * 0.4, False)


def spans(text):
    found = [(text.lower().find(name), name) for name in ("read", "write") if name in text.lower()]
    return SpansPrediction([SaidSpan(at, at + len(name), "function", 0.9, name) for at, name in sorted(found)], False)


def asked(folder, task, answer, *checks, labels=("disk", "read", "write")):
    """Runs a suite on something that answers by a rule."""
    path = folder / "checks.yaml"
    path.write_text(json.dumps({"checks": [{"name": "still", "kind": "invariance", **check} for check in checks]}))
    artifact = SimpleNamespace(
        reader=SimpleNamespace(task=task),
        space=AnswerSpace(() if task.kind.numeric else labels),
        spec=SimpleNamespace(data=DataSpec(train="a.csv")),
        predict=lambda inputs: [answer(text) for text in inputs],
        checkpoint="",
    )
    return run_suite(load_suite(path), artifact, Columns("text", "label"))


def test_a_set_of_labels_stays_as_a_whole(tmp_path):
    found = asked(tmp_path, LABELS, several, {"cases": TEXTS, "changes": ["upper", "punctuation"]})
    (check,) = found.checks
    assert (check.n, check.passed, check.agreement_metric) == (4, 2, "micro_f1")
    # Of 8 labels before, 4 are said again and none else: recall one half, precision 1.
    assert check.agreement.value == pytest.approx(2 / 3) and check.agreement.low < 2 / 3 < check.agreement.high
    assert check.failures[0].expected == '["disk", "read"]' and check.failures[0].received == "[]"
    assert as_document(found)["checks"][0]["agreement_metric"] == "micro_f1"


def test_a_number_stays_within_what_the_suite_says(tmp_path):
    check = {"cases": TEXTS, "changes": ["upper", "irrelevant"], "within": 6.6}
    found = asked(tmp_path, NUMBERS, number, check)
    (result,) = found.checks
    assert (result.passed, result.n, result.agreement_metric) == (3, 4, "mae") and result.agreement.value > 4
    failure = result.failures[0]
    assert failure.confidence is None and failure.expected == "2.1, give or take 6.6"
    assert as_document(failure)["confidence"] is None
    with pytest.raises(SuiteError, match="needs `within`: how far the number may move"):
        asked(tmp_path, NUMBERS, number, {"cases": TEXTS, "changes": ["upper"]})
    wider = asked(tmp_path, NUMBERS, number, {**check, "within": 9})
    assert wider.checks[0].passed == 4 and wider.suite_hash != found.suite_hash


def test_spans_follow_their_text(tmp_path):
    changes = ["upper", "polite", "irrelevant", {"name": "prepend", "text": "note:"}]
    found = asked(tmp_path, SPANS, spans, {"cases": TEXTS, "changes": changes}, labels=("function",))
    (check,) = found.checks
    assert check.n == check.passed == 8 and check.agreement.value == 1 and check.agreement_metric == "entity_f1"

    def one_off(text):
        """After a greeting it is wrong about where things stand."""
        return spans(text) if text in TEXTS else spans(text[1:])

    off = asked(tmp_path, SPANS, one_off, {"cases": TEXTS, "changes": ["polite"]}, labels=("function",))
    assert off.passed == 0 and off.checks[0].agreement.value == 0


def test_what_cannot_be_judged_is_refused_by_name(tmp_path):
    def why(task, check):
        path = tmp_path / "checks.yaml"
        path.write_text(json.dumps({"checks": [{"name": "c", "kind": "invariance", "cases": ["a text"], **check}]}))
        with pytest.raises(SuiteError) as caught:
            require_fit(load_suite(path), task, ("a",))
        return str(caught.value)

    half = why(SPANS, {"changes": ["half", "upper", "spaces"]})
    assert "after half nobody knows where a span stands (known: " in half and "after spaces" in half
    assert "after upper" not in half
    by_hand = why(SPANS, {"cases": [{"input": "a", "changed": "b"}]})
    assert "after a change by hand nobody knows where a span stands" in by_hand
    must = why(LABELS, {"kind": "must_pass", "cases": [{"input": "a", "label": "a"}]})
    assert "must_pass is for one class of many; text-multi-label has invariance alone" in must
    assert "`within` is for numbers; the task is text-multi-label" in why(LABELS, {"changes": ["upper"], "within": 1})
    alone = why(NUMBERS, {"kind": "must_pass", "cases": [{"input": "a", "label": "a"}], "within": 1})
    assert "`within` for invariance alone" in alone


QUERIES = TASKS.get("text-embedding")
DOCUMENTS = Corpus(np.array(["call", "disk", "copy"], object), ["how to call", "about the disk", "how to call"])


def found_by_words(folder, *checks, documents=DOCUMENTS):
    """Runs a suite on queries that point where the words in small letters do that they hold."""
    words = ("call", "disk", "read")

    def vectors(texts):
        counted = np.array([[text.count(word) for word in words] for text in texts], np.float32) + 1e-3
        return unit_rows(counted)

    path = folder / "queries.yaml"
    path.write_text(json.dumps({"checks": list(checks)}))
    artifact = SimpleNamespace(
        reader=SimpleNamespace(task=QUERIES),
        space=AnswerSpace(()),
        spec=SimpleNamespace(data=DataSpec(train="a.csv")),
        answers=vectors,
        checkpoint="",
    )
    searched = Searched(documents, vectors(documents.texts))
    return run_suite(load_suite(path), artifact, Columns("query", "document"), searched)


def test_a_query_keeps_its_document_where_the_suite_wants_it(tmp_path):
    must = {"name": "must", "kind": "must_pass", "cases": [{"input": "a call", "label": "call"}]}
    must["cases"].append({"input": "call the disk disk", "label": ["copy", "call"]})
    still = {"name": "still", "kind": "invariance", "cases_of": "must", "changes": ["upper", "reorder"]}
    found = found_by_words(tmp_path, must, still, {**still, "name": "near", "among_first": 3})
    first, second, third = found.checks
    assert (first.passed, second.passed, third.passed) == (1, 3, 4) and second.n == third.n == 4
    # "call the disk disk" is nearest to the disk, with the two documents of one text behind it, in their order.
    assert (
        first.failures[0].expected == "copy or call"
        and "disk, and what is right at rank 2" in first.failures[0].received
    )
    # In capitals no word is seen: all documents are as far, and come in their order.
    assert second.agreement_metric == "mrr" and second.agreement.value == pytest.approx((1 + 1 + 1 + 1 / 2) / 4)
    assert third.failures == () and first.agreement is None
    more = Corpus(np.array([*DOCUMENTS.ids, "more"], object), [*DOCUMENTS.texts, "read read"])
    assert (
        found_by_words(tmp_path, must, still, documents=more).suite_hash
        != found_by_words(tmp_path, must, still).suite_hash
    )


def test_without_a_named_document_the_first_before_the_change_is_right(tmp_path):
    still = {"name": "still", "kind": "invariance", "cases": ["the disk", "a call"], "changes": ["upper"]}
    (check,) = found_by_words(tmp_path, still).checks
    assert (check.passed, check.failures[0].expected) == (1, "disk")


def test_what_a_query_cannot_be_held_to_is_refused_by_name(tmp_path):
    def why(**check):
        with pytest.raises(SuiteError) as caught:
            found_by_words(tmp_path, {"name": "c", "kind": "must_pass", **check})
        return str(caught.value)

    assert "no document of the run: 'calls'; did you mean call?" in why(cases=[{"input": "a", "label": "calls"}])
    unsure = why(cases=[{"input": "a", "label": "call", "abstain": True}])
    assert "a query is answered by documents alone: `label`, and neither abstain" in unsure
    moved = {"kind": "directional", "cases": ["a"], "changes": ["upper"], "expect": "label_changes"}
    assert "directional is for probabilities; text-embedding has must_pass and invariance" in why(**moved)
    assert "`among_first` says how far a document may fall" in why(
        kind="invariance", cases=["a"], changes=["upper"], within=2
    )
    with pytest.raises(SuiteError, match="`among_first` is for text-embedding; the task is text-multi-label"):
        asked(tmp_path, LABELS, several, {"cases": TEXTS, "changes": ["upper"], "among_first": 3})


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab ÉéﬁßI.!?0", max_size=12), st.integers(0, 9))
def test_a_text_that_has_moved_stands_where_it_is_said_to(text, seed):
    """Every letter or digit is where the shift says, but for those that the change was to change."""
    for change in PERTURBATIONS:
        if change.modality != "text" or change.keeps is None:
            continue
        after = change.change(text, np.random.default_rng(seed), "zz-ref" if change.takes_text else "")
        shift = change.shift(text, after)
        if shift is None:
            continue
        body = text.strip().rstrip(".!?")
        start = text.find(body)
        there = after[start + shift : start + shift + len(body)]
        assert len(there) == len(body)
        if change.keeps != "places":
            assert there == body


@pytest.mark.parametrize("text", ["\ufb01rst cafe\u0301 Paris", "\ufb01ne Zoe\u0301 in Lima"])
def test_characters_that_take_more_or_less_room_afterwards_are_not_followed(text):
    change = PERTURBATIONS.get("no-accents")
    after = change.change(text, np.random.default_rng(0), "")
    assert len(after) == len(text) and change.shift(text, after) is None
    assert change.shift("d\u00e9j\u00e0 vu", "deja vu") == 0
