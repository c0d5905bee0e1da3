"""The last layers of an exported graph decide as kft/answer/decide.py does: intervals, and what looks foreign."""

import numpy as np
import pytest

from kft.answer.decide import Decisions, Scope
from kft.deploy.graph import LAST
from kft.metrics.neighbours import unit_rows
from kft.records.rules import IntervalRule
from kft.tasks.task import AnswerSpace

RNG = np.random.default_rng(0)
VECTORS, KNOWN = RNG.normal(size=(64, 6)).astype(np.float32), RNG.normal(size=(40, 6)).astype(np.float16)
SCOPE = Scope(unit_rows(KNOWN.astype(np.float32)).astype(np.float16), (0.3, 0.2), None, 0.2, 0.95, 64)
SPACE = AnswerSpace(("a", "b"), 3.0, 2.0)


def decided(form, decisions, outputs):
    layer = LAST[form](SPACE, decisions)
    if decisions.scope is not None:
        layer.known.assign(unit_rows(decisions.scope.known.astype(np.float32)))
    found = layer(outputs, VECTORS) if decisions.scope is not None else layer(outputs)
    return {name: np.asarray(values) for name, values in found.items()}


@pytest.mark.parametrize("scope", [None, SCOPE])
@pytest.mark.parametrize(("edges", "reaches"), [((), (1.5,)), ((2.0, 4.0), (0.5, 1.0, 2.5))])
@pytest.mark.parametrize("widest", [None, 2.2])
def test_a_number_with_an_interval(edges, reaches, widest, scope):
    rule = IntervalRule(0.9, widest, edges, reaches, 90)
    decisions, outputs = Decisions(scope=scope, interval=rule), RNG.normal(size=(64, 1)).astype(np.float32)
    found, values = decided("number", decisions, outputs), outputs[:, 0].astype(np.float64) * 2 + 3
    np.testing.assert_allclose(np.stack([found["low"], found["high"]], axis=-1), rule.bounds(values), atol=1e-5)
    assert found["abstain"].tolist() == decisions.abstains(values, VECTORS).tolist()
    assert found["foreign"].tolist() == decisions.foreign(values, VECTORS).tolist()


@pytest.mark.parametrize(("form", "shape"), [("number", (64, 1)), ("set", (64, 2)), ("spans", (64, 5, 5))])
def test_what_looks_foreign(form, shape):
    outputs = RNG.normal(size=shape).astype(np.float32)
    found = decided(form, Decisions(scope=SCOPE), outputs)
    wanted = SCOPE.flags(VECTORS, None)
    assert found["abstain"].tolist() == found["foreign"].tolist() == wanted.tolist() and 0 < wanted.sum() < 64
    assert not {"abstain", "foreign", "low"} & set(decided(form, Decisions(), outputs))
