"""One call of a step on N replicas, as JSON: ``python -m tests.step_on cpu:N contrastive`` (or soft, pairs, graded).

With ``compiled`` behind it, XLA compiles the updates.
"""

import json
import sys

import numpy as np

from kft import strategy


def main() -> None:
    made = strategy.start(sys.argv[1])
    import keras

    from kft.recipe.pairs import GradedSpec
    from kft.recipe.training import TrainSpec
    from kft.tasks.registry import TASKS
    from kft.tasks.task import AnswerSpace
    from kft.train.contrast import Contrast
    from kft.train.feeding import Execution
    from kft.train.graded import Graded
    from kft.train.optimizer import OPTIMIZERS
    from kft.train.pairs import InBatch
    from kft.train.schedules import make_schedule
    from kft.train.step import make_train_step
    from tests.train.steps import called

    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 12, 5)).astype(np.float32)
    targets = np.array([[0, 1, 2, 0, 1, 2, 0, 1, 3, 0, 0, 0], [1, 1, 0, 0, 2, 2, 3, 3, 1, 1, 0, 0]], np.int32)
    mask = np.array([[1] * 9 + [0] * 3, [1] * 10 + [0] * 2], np.float32)  # a whole replica of four has padding alone
    weights = mask * rng.uniform(0.5, 2, mask.shape).astype(np.float32)
    objective = Contrast(0.1)
    if sys.argv[2] == "soft":
        objective = TASKS.get("text-classification").kind.learning.soft(AnswerSpace(("a", "b", "c", "d")), 0.1)
        targets = rng.dirichlet(np.ones(4), targets.shape).astype(np.float32)
    if sys.argv[2] == "pairs":  # queries first, then their documents: of two replicas one has queries alone
        objective = InBatch(0.1, (2, 4), 4)
        keys = np.array([[0, 1, 2, 2, 3, 0, 1, 2, 2, 3, 4, 4], [5, 6, 7, 8, 5, 5, 6, 7, 8, 5, 9, 9]], np.int32)
        side = np.array([[0] * 5 + [1] * 7, [0] * 5 + [1] * 7], np.int32)
        more = np.where(side == 0, np.array([[3], [6]]), -1)  # one more document that answers every query
        targets = np.stack([side, keys, np.where(side == 0, keys, -1), more], axis=-1).astype(np.int32)
        mask, weights = np.ones_like(mask), np.ones_like(mask)
        mask[:, 11] = weights[:, 11] = 0
    if sys.argv[2] == "graded":  # five first texts, their second texts, and padding
        objective = Graded(GradedSpec(), 5, AnswerSpace((), 0.0, 5.0))
        targets = np.tile(rng.uniform(size=(2, 5)), (1, 3))[:, :12, None].astype(np.float32)
        mask = weights = np.array([[1] * 10 + [0] * 2] * 2, np.float32)
    with made.scope():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((5,))
        model = keras.Model([inputs], keras.layers.Dense(4)(keras.layers.Dense(6, activation="tanh")(inputs)))
        optimizer = OPTIMIZERS.get("sgd")(learning_rate=1.0)  # which shows the gradients as they are
        optimizer.plan(
            make_schedule("constant", total_steps=9, warmup_steps=0), {v.path: 1.0 for v in model.weights}, 0
        )
        optimizer.build(model.trainable_variables)
        spec = TrainSpec(batch_size=12, clip_norm=0.5)
        step = make_train_step(model, model, optimizer, spec, objective, Execution(2, "compiled" in sys.argv))
        sums = np.sum(called(step, (x,), targets, mask, weights, updates=2), axis=0).tolist()
        print(json.dumps([sums, [variable.numpy().tolist() for variable in model.weights]]))


if __name__ == "__main__":
    main()
