"""A model of two layers, a batch for it, and one call of a step: what tests of the step have in common."""

import keras
import numpy as np

from kft.tasks.registry import TASKS
from kft.tasks.task import AnswerSpace
from kft.train.optimizer import ScheduledAdamW
from kft.train.schedules import make_schedule
from kft.train.step import StepSums

CLASSES = TASKS.get("text-classification").kind
OBJECTIVE = CLASSES.learning.objective(AnswerSpace(("a", "b")), label_smoothing=0.0)


def tiny_model():
    inputs = keras.Input((3,), name="x")
    logits = keras.layers.Dense(2, name="top")(keras.layers.Dense(4, activation="tanh", name="low")(inputs))
    return keras.Model([inputs], logits)


def optimizer_for(model, *, decay=0.0, factors=None, lr=0.1, total=10, warmup=0):
    schedule = make_schedule("linear", total_steps=total, warmup_steps=warmup)
    optimizer = ScheduledAdamW(lr)
    optimizer.plan(schedule, dict.fromkeys((v.path for v in model.weights), 1.0) | (factors or {}), decay)
    optimizer.build(model.trainable_variables)
    return optimizer


def batch(rows, size, seed=0):
    """Returns x, targets, mask and weights for `rows` real examples in a batch of `size`."""
    rng = np.random.default_rng(seed)
    x = np.zeros((size, 3), np.float32)
    x[:rows] = rng.normal(size=(rows, 3))
    targets = np.zeros(size, np.int32)
    targets[:rows] = rng.integers(0, 2, rows)
    mask = (np.arange(size) < rows).astype(np.float32)
    return (x,), targets, mask, mask


def one_call(step, *batches):
    """Calls a step with one update for each batch, and gives the sums."""
    inputs, targets, mask, weights = (
        np.stack(each) for each in zip(*[(b[0][0], *b[1:]) for b in batches], strict=True)
    )
    return StepSums(*step((inputs,), targets, mask, weights, np.zeros(1, np.float32), np.int32(len(batches))).numpy())
