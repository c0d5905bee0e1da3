"""Frozen blocks in int8: near float32, the same for an example in any batch, stored apart, refused by name."""

import importlib.util
import subprocess
import sys

import keras
import numpy as np
import pytest

import kft
from kft.errors import ModelError
from kft.features import int8, store
from kft.features.boundary import split_at_boundary
from kft.feed.batches import Ragged
from kft.feed.source import text_source

pytestmark = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="kft[int8] is not installed")
HAS_PRODUCTS = importlib.util.find_spec("openvino") is not None and int8.multiplies_in_int8()
needs_products = pytest.mark.skipif(not HAS_PRODUCTS, reason="this CPU has no products of 8 bits")


@pytest.fixture(scope="module")
def split(tiny_folder):
    model = kft.build_model(kft.load_backbone(str(tiny_folder)), classes=2)
    kft.freeze(model, "top-1")  # features of every token, and so the stricter test
    return split_at_boundary(model)


def texts(rows=150):
    rng = np.random.default_rng(0)
    return text_source(Ragged.from_rows([rng.integers(1, 30, rng.integers(2, 40)) for _ in range(rows)]))


def values(front, source, root):
    (name,) = front.tensors
    found = store.store_features(front, source, root)
    return [found.columns[name].row(row) for row in range(len(source))]


@needs_products
def test_it_is_near_float32_and_stored_apart(split, tmp_path):
    front, exact, source = store.make_front(split, precision="int8"), store.make_front(split), texts(40)
    assert store.store_folder(front, tmp_path) != store.store_folder(exact, tmp_path)
    assert front.inference.positions == exact.inference.positions == 64  # no text is padded beyond them
    pairs = list(zip(values(front, source, tmp_path), values(exact, source, tmp_path), strict=True))
    ours, theirs = (np.concatenate(side).astype(np.float64) for side in zip(*pairs, strict=True))
    cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosines.min() > 0.97 and not np.allclose(ours, theirs, atol=1e-4)  # and it is really rounded


@needs_products
def test_features_hang_on_the_example_alone(split, tmp_path):
    """By itself, among others, in what is left after a kill: the same to the bit."""
    front, source = store.make_front(split, precision="int8"), texts()
    whole = values(front, source, tmp_path / "whole")
    (name,) = front.tensors
    for rows in ([0], [7, 3], range(0, 150, 3)):
        few = source.with_columns(
            {key: Ragged.from_rows([column.row(row) for row in rows]) for key, column in source.columns.items()}
        )
        few = text_source(few.columns["token_ids"])
        found = store.compute_features(front, few).columns[name]
        for place, row in enumerate(rows):
            np.testing.assert_array_equal(found.row(place), whole[row])
    killed = tmp_path / "killed"
    store.store_features(
        front, text_source(Ragged.from_rows([source.columns["token_ids"].row(row) for row in range(50)])), killed
    )
    for one, other in zip(values(front, source, killed), whole, strict=True):
        np.testing.assert_array_equal(one, other)


@needs_products
def test_other_weights_are_converted_anew(split):
    variable = next(v for v in split.front.weights if v.path.endswith("kernel"))
    other = store.make_front(split, {variable.path: variable.numpy() * 2}, "int8")
    own = store.make_front(split, precision="int8")
    (name,) = own.tensors
    one, two = (store.compute_features(front, texts(3)).columns[name].values for front in (own, other))
    assert not np.allclose(one, two, atol=1e-2)


@needs_products
def test_a_graph_without_products_is_refused():
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    model = keras.Model([ids], keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(9, 4)(ids)))
    with pytest.raises(ModelError, match="this backbone cannot be computed in int8") as caught:
        int8.convert(model, "without products")
    assert caught.value.received == "a graph without one product of activations and weights"
    assert caught.value.next_step == "--set features.precision=float32"


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    int8._openvino.cache_clear()
    try:
        with pytest.raises(ModelError, match="int8 needs the package openvino, which is not installed") as caught:
            int8.require_int8()
        assert caught.value.next_step == "pip install 'kft[int8]'"
    finally:
        int8._openvino.cache_clear()


def test_nothing_is_reported_to_the_vendor():
    code = "import sys; from kft.runtime import load_openvino; load_openvino(); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "openvino.tools.ovc.telemetry_stub" in found and "openvino_telemetry" not in found


def test_a_graph_that_openvino_computes_otherwise_is_refused():
    from kft.features.int8 import is_near

    features = np.random.default_rng(0).normal(size=(4, 8))
    assert is_near([features * 1.01], [features])
    assert not is_near([features * 0], [features * 0])
    for wrong in (features[:, ::-1], features * np.nan, features * 0):
        with pytest.raises(ModelError, match="cannot be computed in int8"):
            is_near([wrong], [features])
