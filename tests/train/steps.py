"""A model of two layers, a batch for it, and one call of a step: what tests of the step have in common."""

import keras
import numpy as np

from kft.replicas import replica_count, to_replicas
from kft.tasks.registry import TASKS
from kft.tasks.task import AnswerSpace
from kft.train.feeding import CallBatches
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


def called(step, inputs, targets, mask, weights, updates=1):
    """Calls a step with a block of batches of one length; returns the sums of each update."""
    *tensors, t, m, w = to_replicas([*inputs, targets, mask, weights], axis=1)
    (stop,) = to_replicas([np.zeros(replica_count(), np.float32)])
    lengths = np.full((len(mask), len(inputs) + 1), inputs[0].shape[2], np.int32)
    found = step(CallBatches(tuple(tensors), t, m, w, lengths), stop, np.int32(updates))
    return [StepSums(*sums) for sums in found.numpy().tolist()]


def one_call(step, *batches):
    """Calls a step with one update for each batch, and gives the sums of them all."""
    inputs, targets, mask, weights = (
        np.stack(each) for each in zip(*[(b[0][0], *b[1:]) for b in batches], strict=True)
    )
    return StepSums(*np.sum(called(step, (inputs,), targets, mask, weights, len(batches)), axis=0))
