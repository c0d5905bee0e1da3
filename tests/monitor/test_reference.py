"""What new rows are held against: bounded, whole, and refused where it is not."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kft.errors import RunError
from kft.monitor.known import KnownRows
from kft.monitor.reference import (
    MOST_BYTES,
    MOST_ROWS,
    SCORES_BYTES,
    half,
    load_reference,
    make_reference,
    save_reference,
    vectors_kept,
)
from kft.monitor.seen import Seen
from tests.monitor.made import made


def test_it_comes_back_as_it_was(tmp_path):
    reference, seen, truth = made()
    size = save_reference(tmp_path / "r.safetensors", reference)
    back = load_reference(tmp_path / "r.safetensors")
    assert size == (tmp_path / "r.safetensors").stat().st_size
    assert (back.task, back.labels, back.n_valid, back.n_test) == ("text-classification", reference.labels, 200, 200)
    assert back.gauges == ("tokens", "class")  # no row has any capitals, so there is nothing to hold new rows against
    for name, edges in back.edges.items():
        assert edges.gaps.sum() == 201
        for part in ("values", "ties", "gaps"):
            np.testing.assert_array_equal(getattr(edges, part), getattr(reference.edges[name], part))
    for name in ("counts", "vectors", "mean", "directions"):
        np.testing.assert_array_equal(getattr(back.known, name), getattr(reference.known, name))
    assert back.known.hashed and back.vectors.shape == (200, 8)
    scores = back.scores
    assert len(scores.truth) == len(scores.probabilities) == 200 and scores.confusion.sum() == 200
    assert scores.confusion[0, 1] == ((truth == 0) & (seen.label == 1)).sum()
    np.testing.assert_array_equal(scores.probabilities.argmax(axis=1), scores.label)
    np.testing.assert_allclose(scores.probabilities.max(axis=1), scores.confidence, atol=1e-3)
    again = tmp_path / "again.safetensors"
    save_reference(again, made()[0])
    assert again.read_bytes() == (tmp_path / "r.safetensors").read_bytes()


@pytest.mark.parametrize(("classes", "width"), [(2, 768), (77, 768), (77, 2048), (1000, 1024), (5, 20_000)])
def test_it_is_bounded(tmp_path, classes, width):
    reference = made(MOST_ROWS if width < 10_000 else 60, classes, width)[0]
    size = save_reference(tmp_path / "r.safetensors", reference)
    assert size <= MOST_BYTES and reference.scores.probabilities.nbytes <= SCORES_BYTES
    assert len(reference.scores.confidence) == reference.n_test and len(reference.vectors) == vectors_kept(
        classes, width
    )


def test_few_rows_and_none(tmp_path):
    for rows in (1, 2, 3):
        reference = made(rows)[0]
        save_reference(tmp_path / "r.safetensors", reference)
        assert load_reference(tmp_path / "r.safetensors").gauges == (("tokens", "class") if rows > 1 else ())
    none = make_reference(("text-regression", ()), KnownRows(), Seen({}, np.zeros(0, np.uint64)), None, 0)
    save_reference(tmp_path / "r.safetensors", none)
    back = load_reference(tmp_path / "r.safetensors")
    assert back.scores is back.vectors is back.known.counts is None and back.n_test == 0


def test_a_missing_or_damaged_one_is_refused_by_name(tmp_path):
    path = tmp_path / "reference.safetensors"
    with pytest.raises(RunError, match="this artifact cannot be watched") as caught:
        load_reference(path)
    assert caught.value.next_step == "export the run again" and caught.value.received == f"no {path.name} in it"
    save_reference(path, made()[0])
    whole = path.read_bytes()
    for damaged in (b"", b"x" * 7, whole[:100], whole[:-5], b"\xff" * 200, whole[:8] + b"[" + whole[9:]):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=r"reference\.safetensors cannot be read"):
            load_reference(path)
    save_file({"a": np.zeros(1)}, path, {"kft": "{}"})
    with pytest.raises(RunError, match="cannot be read"):
        load_reference(path)


def test_one_of_another_version_or_without_a_part_is_refused(tmp_path):
    path = tmp_path / "reference.safetensors"
    save_reference(path, made()[0])
    arrays = load_file(path)
    header = {"task": "t", "labels": ["a"], "gauges": ["tokens"], "n_valid": 1, "n_test": 1, "hashed": False}
    save_file(arrays, path, {"kft": json.dumps({"version": 2, **header})})
    with pytest.raises(RunError, match="was written by another kft") as caught:
        load_reference(path)
    assert caught.value.received == "version 2"
    whole = {"kft": json.dumps({"version": 1, **header})}
    for key in ("edges/tokens/gaps", "scores/truth"):
        save_file({name: each for name, each in arrays.items() if name != key}, path, whole)
        with pytest.raises(RunError, match="cannot be read"):
            load_reference(path)
    save_file({**arrays, "edges/tokens/gaps": np.zeros(3, np.int64)}, path, whole)
    with pytest.raises(RunError, match="cannot be read") as caught:
        load_reference(path)
    assert "the edges of tokens do not belong together" in caught.value.received


def test_vectors_that_are_too_large_for_half_a_float_are_held():
    assert half(np.array([1e9, -1e9, 1.0])).tolist() == [65504, -65504, 1]
