"""What turns outputs into answers goes into exported models, so it may need nothing but NumPy."""

import ast
import sys
from pathlib import Path

import numpy as np

from kft.tasks import decode


def test_it_imports_numpy_and_the_standard_library_alone():
    tree = ast.parse(Path(decode.__file__).read_text(encoding="utf-8"))
    names = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or "."] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    assert "numpy" in names and not names - {"numpy", *sys.stdlib_module_names}


def test_softmax_is_safe():
    np.testing.assert_allclose(decode.softmax(np.array([[1e4, 0.0], [-1e4, -1e4]])), [[1, 0], [0.5, 0.5]])
    assert decode.softmax(np.zeros((2, 3), np.float32)).dtype == np.float64


def test_log_softmax_and_sigmoid_are_softmax_seen_otherwise():
    logits = np.random.default_rng(0).normal(0, 5, (20, 3))
    np.testing.assert_allclose(np.exp(decode.log_softmax(logits)), decode.softmax(logits))
    twice = np.stack([logits[:, 0], np.zeros(20)], axis=1)
    np.testing.assert_allclose(decode.sigmoid(logits[:, 0]), decode.softmax(twice)[:, 0])


def test_text_without_words_has_no_spans():
    assert decode.find_spans(np.zeros((2, 3)), ("PER",), np.zeros((2, 3), np.int32)) == ()
