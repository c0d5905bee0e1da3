"""kft's loop on one device against a bare tf.function loop over the same batches, with the same optimizer.

What the loop adds: tf.distribute, the sums for every strategy, the look for NaN, callbacks, progress, the note of where
it stands. One epoch of the top 2 of 6 blocks on features in memory; tracing is left out on both sides.
"""

from __future__ import annotations

import itertools
import statistics

import numpy as np
from common import arguments, in_turns, ratios, report, timed, workplace, write_subset
from kft_side import load_rows


def main() -> None:
    """Measures, checks that both loops train alike, writes the result."""
    args = arguments(__doc__, rows=500, repeats=7)
    with workplace() as folder:
        phases = [{"name": "top", "unfreeze": "top-2", "epochs": 99, "lr": 1e-4}]
        rows = load_rows(write_subset(args.train, args.rows, folder / "train.csv"), args.test, phases=phases)
        ours, bare = prepare(rows), prepare(rows)
        runs = {"kft": kft_loop(ours), "bare loop": bare_loop(bare)}
        losses = {name: [run()] for name, run in runs.items()}  # traces

        def turn(name: str) -> dict[str, float]:
            loss, seconds = timed(runs[name])
            losses[name].append(loss)
            return seconds

        found = in_turns({"bare loop": lambda: turn("bare loop"), "kft": lambda: turn("kft")}, args.repeats)
        np.testing.assert_allclose(losses["kft"], losses["bare loop"], rtol=1e-3)
        report(
            "distribution",
            found,
            ratios_to_bare_loop=ratios(found, "bare loop"),
            median_overhead=statistics.median(
                mine / other - 1 for mine, other in zip(found["kft"]["cpu_s"], found["bare loop"]["cpu_s"], strict=True)
            ),
            rows=len(rows.split.train),
        )


def prepare(rows):
    """Returns a job whose top blocks train, the model from the boundary on, and its features."""
    from kft import runtime
    from kft.features.boundary import split_at_boundary
    from kft.features.store import compute_features, make_front
    from kft.model.backbones import load_backbone
    from kft.model.freeze import freeze
    from kft.train.callbacks import CallbackDriver
    from kft.train.job import Job
    from kft.train.prepare import prepare as prepare_run
    from kft.train.progress import Progress

    runtime.start()
    spec, progress = rows.spec, Progress(quiet=True)
    spec = spec.model_copy(update={"model": spec.model.model_copy(update={"dropout": 0.0})})
    runtime.seed_everything(spec.seed)
    backbone = load_backbone(spec.model.backbone, dropout=0.0)
    prepared = prepare_run(spec, rows.split.without_test(), backbone, progress)
    model, data = prepared.model, prepared.data
    freeze(model, "top-2")
    split = split_at_boundary(model)
    names = tuple(tensor.name for tensor in split.front.inputs)
    train = compute_features(make_front(split), data.train.source.select(names))
    job = Job(model, backbone.name, data, prepared.phases, spec, CallbackDriver(model, []), progress)
    return job, split.back, train


def kft_loop(prepared):
    """Returns a function that runs an epoch of kft's loop and gives its mean loss."""
    from kft.train.job import FitState, LoopState, Patience
    from kft.train.loop import make_fitting, take_steps

    job, back, train = prepared
    (phase,) = job.phases
    state, fitting = LoopState(), make_fitting(job, phase, back, (train, train))

    def epoch() -> float:
        fit = FitState(Patience(None, 1))
        for _ in take_steps(job, state, fitting, fit):
            pass
        state.epochs_done += 1
        return fit.sums[0] / fit.sums[2]

    return epoch


def bare_loop(prepared):
    """Returns a function that runs an epoch as one would write it by hand, and gives its mean loss."""
    import tensorflow as tf

    from kft.features.inference import signature
    from kft.feed.batches import plan
    from kft.train.optimizer import make_optimizer

    job, back, train = prepared
    (phase,) = job.phases
    size, variables = job.train.batch_size, job.model.trainable_variables
    optimizer = make_optimizer(job.model, phase, job.train, -(-len(train) // size))
    row = tf.TensorSpec((size,), tf.float32)

    @tf.function(input_signature=(signature(back.inputs, size), tf.TensorSpec((size,), tf.int32), row), autograph=False)
    def step(tensors, targets, mask):
        with tf.GradientTape() as tape:
            logits = back(list(tensors), training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits) * mask
            loss = tf.reduce_sum(losses) / tf.reduce_sum(mask)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, [v.value for v in variables]), job.train.clip_norm)
        optimizer.apply(gradients, variables)
        return loss

    numbers = itertools.count()

    def epoch() -> float:
        total = 0.0
        for rows in plan(job.spec.seed, next(numbers), train.lengths, batch_size=size):
            mask = (rows >= 0).astype(np.float32)
            targets = job.data.train.targets[np.maximum(rows, 0)]
            total += float(step(train.batch(rows), targets, mask)) * mask.sum()
        return total / len(train)

    return epoch


if __name__ == "__main__":
    main()
