"""What is measured of answers and vectors."""

import numpy as np
import pytest

from kft.monitor.gauges.answers import FORMS, entropy, measure_vectors
from kft.monitor.known import NOTHING, KnownRows, principal


def test_one_class():
    outputs = {
        "probabilities": np.array([[0.9, 0.1], [0.5, 0.5]], np.float32),
        "confidence": np.array([0.9, 0.5], np.float32),
        "label": np.array([0, 1]),
        "abstain": np.array([False, True]),
    }
    found = FORMS["class"](outputs, [], True)
    assert found["class"].tolist() == [0, 1] and found["withheld"].tolist() == [False, True]
    assert found["entropy"] == pytest.approx([0.325, np.log(2)], abs=1e-3)
    assert "withheld" not in FORMS["class"](outputs, [], False)


def test_several_labels():
    outputs = {"probabilities": np.array([[0.9, 0.6, 0.1], [0.2, 0.0, 1.0]]), "confidence": np.array([0.5, 0.8])}
    said = [{"labels": ["a", "b"]}, {"labels": ["c"]}]
    found = FORMS["set"]({**outputs, "abstain": np.array([False, True])}, said, True)
    assert found.pop("withheld").tolist() == [0, 1] and found.keys() == FORMS["set"](outputs, said, False).keys()
    assert found["labels"].tolist() == [2, 1] and found["class"].tolist() == [0, 2]
    assert found["entropy"] == pytest.approx([0.325 + 0.673 + 0.325, 0.5], abs=1e-2)


def test_numbers_and_spans():
    assert FORMS["number"]({"value": np.array([3.5])}, [], False) == {"value": pytest.approx([3.5])}
    spans = [{"spans": [{"start": 0, "end": 4}, {"start": 5, "end": 6}]}, {"spans": []}]
    found = FORMS["spans"]({"confidence": np.array([0.9, 0.8]), "characters": np.array([10.0, 5.0])}, spans, False)
    assert found["spans"].tolist() == [2, 0] and found["tagged"].tolist() == [0.5, 0]


def test_distance_is_that_to_the_nearest():
    known = KnownRows(2, vectors=np.array([[2, 0], [0, 3]], np.float16))
    found = measure_vectors(np.array([[5.0, 0.0], [1.0, 1.0], [-1.0, 0.0]], np.float32), known)
    assert found["distance"] == pytest.approx([0, 1 - np.sqrt(0.5), 1], abs=1e-4)
    assert found["norm"] == pytest.approx([5, np.sqrt(2), 1], rel=1e-3)
    assert set(measure_vectors(np.ones((1, 2)), NOTHING)) == {"norm"}


def test_principal_directions_are_those_of_the_largest_spread():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 6)) * np.array([1, 9, 3, 0.1, 0.1, 0.1]) + 5
    mean, directions = principal(vectors)
    assert mean == pytest.approx(vectors.mean(axis=0), abs=1e-5) and directions.shape == (4, 6)
    assert np.abs(directions[:3]).argmax(axis=1).tolist() == [1, 2, 0] and (directions.max(axis=1) > 0).all()
    found = measure_vectors(vectors, KnownRows(200, mean=mean, directions=directions))
    assert found["direction_1"].std() > found["direction_2"].std() > found["direction_3"].std()
    assert principal(vectors[:1])[1].shape == (0, 6)  # one row has no direction
    assert principal(vectors[:3])[1].shape == (2, 6)


def test_entropy_of_what_is_certain_is_nothing():
    assert entropy(np.array([[1.0, 0.0]])).tolist() == [0.0]


def test_rows_that_are_alike_stay_alike_however_they_are_computed():
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(40, 64)), 5, axis=0).astype(np.float32)
    mean, directions = principal(vectors)
    known = KnownRows(9, vectors=vectors[::5].astype(np.float16), mean=mean, directions=directions)
    near = (vectors * (1 + rng.normal(0, 2e-7, vectors.shape))).astype(np.float32)
    one, other = measure_vectors(vectors, known), measure_vectors(near, known)
    assert set(one) == {"norm", "distance", *(f"direction_{at}" for at in range(1, 5))}
    for name, values in one.items():
        assert (values == other[name]).mean() > 0.95, name
    sure = np.array([1.0, 0.99999994, 0.9999999], np.float32)
    outputs = {"probabilities": np.stack([sure, 1 - sure], axis=1), "confidence": sure, "label": np.zeros(3)}
    found = FORMS["class"](outputs, [], False)
    assert found["confidence"].tolist() == [1, 1, 1] and found["entropy"].tolist() == [0, 0, 0]
