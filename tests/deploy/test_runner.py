"""Batches of a shipped model: inputs of like length stand together."""

from itertools import pairwise

import numpy as np

from kft.deploy.runner.model import BATCH, CALL, Model, begins
from kft.deploy.runner.reading import Read


def cost(lengths, starts):
    ends = [*starts[1:], len(lengths)]
    return sum(CALL + (end - start) * lengths[end - 1] for start, end in zip(starts, ends, strict=True))


def test_no_other_batches_cost_less():
    rng = np.random.default_rng(0)
    for _ in range(40):
        lengths = sorted(rng.integers(3, 90, size=rng.integers(1, 9)).tolist())
        most = int(rng.integers(1, 9))
        inner = range(1, len(lengths))
        every = [[0, *(at for at in inner if bits >> at & 1)] for bits in range(0, 2 ** len(lengths), 2)]
        allowed = [each for each in every if all(b - a <= most for a, b in pairwise([*each, len(lengths)]))]
        assert cost(lengths, begins(lengths, most)) == min(cost(lengths, each) for each in allowed)


def test_answers_come_back_in_order_and_no_batch_is_too_large():
    seen = []

    def engine(arrays):
        seen.append(arrays["x"].shape)
        return {"sum": arrays["x"].sum(axis=1)}

    rng = np.random.default_rng(1)
    rows = [{"x": np.full(size, size, np.int32)} for size in rng.integers(1, 100, size=200)]
    found = Model({"inputs": ["x"]}, None, engine).compute(Read([], [], rows))
    assert [int(row["sum"]) for row in found] == [len(row["x"]) ** 2 for row in rows]
    assert sum(count for count, _ in seen) == 200 and max(count for count, _ in seen) <= BATCH
    padded = sum(count * length for count, length in seen)
    assert padded < 1.1 * sum(len(row["x"]) for row in rows)
    seen.clear()
    Model({"inputs": ["x"], "alone": True}, None, engine).compute(Read([], [], rows))
    assert {count for count, _ in seen} == {1}
