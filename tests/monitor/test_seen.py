"""What is seen of rows."""

import numpy as np
import pytest

from kft.monitor.gauges.texts import TokenizerLimits
from kft.monitor.known import KnownRows
from kft.monitor.seen import WITHIN, Lens, ProductionRows, Seen, copies, keys_of, see_rows

TEXTS = ["a great phone", "an awful phone", "a great phone"]
ANSWERS = {
    "probabilities": np.array([[0.1, 0.9], [0.8, 0.2], [0.1, 0.9]]),
    "label": np.array([1, 0, 1]),
    "confidence": np.array([0.9, 0.8, 0.9]),
    "abstain": np.array([False, True, False]),
    "vectors": np.eye(3),
}


def seen(form="class", outputs=ANSWERS, before=None):
    tokens = [np.arange(3)] * len(TEXTS)
    rows = ProductionRows(TEXTS, [{"labels": ["a"]}] * len(TEXTS), outputs, texts=TEXTS, tokens=tokens)
    lens = Lens(form, True, TokenizerLimits(16), KnownRows(1, vectors=np.eye(3)[:2].astype(np.float16)))
    return see_rows(rows, lens, *([] if before is None else [before]))


def test_one_entry_a_row():
    found = seen()
    assert len(found) == 3 and {values.dtype for values in found.values.values()} == {np.dtype(np.float64)}
    kinds = {"probabilities": "f4", "label": "i4", "confidence": "f4", "abstain": "?", "vectors": "f4"}
    for name, kind in kinds.items():
        assert getattr(found, name).dtype == np.dtype(kind) and len(getattr(found, name)) == 3
    assert found.values["copy"].tolist() == [0, 0, 1] and found.values["distance"].tolist() == [0, 0, 1]
    assert seen(before=keys_of(TEXTS[1:2])).values["copy"].tolist() == [0, 1, 1]


def test_what_a_task_does_not_have_is_none():
    found = seen("number", {"value": np.array([1.0, 2.0, 3.0]), "abstain": np.zeros(3, bool)})
    assert found.values["value"].tolist() == [1, 2, 3]
    assert found.probabilities is found.label is found.confidence is found.abstain is found.vectors is None
    several = seen("set", {name: ANSWERS[name] for name in ("probabilities", "confidence", "abstain")})
    assert several.label is several.abstain is None and several.probabilities is not None


def test_taken_and_joined():
    found = seen()
    back = Seen.join([found.take(np.array([0])), found.take(np.array([1, 2]))])
    for name, values in found.values.items():
        np.testing.assert_array_equal(back.values[name], values)
    np.testing.assert_array_equal(back.keys, found.keys)
    np.testing.assert_array_equal(back.vectors, found.vectors)
    assert len(Seen.join([])) == 0
    without = Seen({"tokens": np.array([1.0])}, np.array([7], np.uint64))
    mixed = Seen.join([found, without])
    assert mixed.vectors is None and np.isnan(mixed.values["norm"][-1]) and mixed.values["tokens"][-1] == 1


def test_copies_are_told_within_a_thousand_rows():
    keys = np.concatenate([[5], np.arange(100, 100 + WITHIN - 1), [5]]).astype(np.uint64)
    assert copies(keys)[-1] == 1 and copies(np.insert(keys, 1, 99))[-1] == 0
    assert copies(keys[-1:], keys[:-1]).tolist() == [1] and copies(keys[:0]).tolist() == []
    parts = np.random.default_rng(0).integers(0, 900, 3000).astype(np.uint64)
    whole = copies(parts)
    by_block = [copies(parts[at : at + 70], parts[:at]) for at in range(0, 3000, 70)]
    np.testing.assert_array_equal(np.concatenate(by_block), whole)
    slow = [float(key in parts[max(0, at - WITHIN) : at]) for at, key in enumerate(parts)]
    assert whole.tolist() == slow and 0.5 < whole.mean() < 1


def test_a_key_is_of_what_a_row_holds():
    one, two, three, four = keys_of(["a", b"a", "b", "\ud800"])
    assert one == two != three and four not in (one, three)


@pytest.mark.parametrize("form", ["class", "set", "number", "spans"])
def test_no_rows(form):
    outputs = {
        "probabilities": np.zeros((0, 2)),
        **{name: np.zeros(0) for name in ("label", "confidence", "abstain", "value")},
    }
    assert len(see_rows(ProductionRows([], [], outputs), Lens(form, True, TokenizerLimits(16)))) == 0
