"""Does kft know when not to answer? Intents left out of training, and a promise about the errors among the answered.

    python benchmarks/unsure.py --train banking77/train.csv --test banking77/test.csv

For each of several draws, 15 classes are left out of training; a linear probe on the pooled features of MiniLM-L6
learns the others, 15 % of whose training rows are validation. Measured on the test rows:

- the AUROC of each score of kft/answer/scope.py, left-out classes against the others; and of the one that
  `evaluate.out_of_scope` uses, with the share that is flagged of either where 95 % of valid are to be kept;
- abstention at 5 % error on the in-scope rows. 200 calibration sets are drawn from the test rows, with replacement, so
  that these rows are the whole truth: a promise is broken where of all of them more than 5 % of the answered are wrong.
  Beside it the plug-in threshold: the loosest at which the calibration set itself shows at most 5 %.

Ends with 1 where what was reached before is missed: an AUROC of .91, or promises broken in more than 5 % of resamples.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from common import arguments, report

from kft.answer.calibration import fit_temperature
from kft.answer.decide import neighbour_score, softmax_score
from kft.answer.scope import fit_scope
from kft.answer.selective import certify, propose_thresholds
from kft.features.probe import ProbeRows, solve_probe
from kft.metrics.ranking import AUROC
from kft.recipe.evaluation import AbstainSpec
from kft.split.holdout import draw_half
from kft.tasks.decode import softmax

ASKED = AbstainSpec(error=0.05)
KEEP = 0.95
LEAST_AUROC, MOST_BROKEN = 0.91, 0.05


def mahalanobis_score(
    known: np.ndarray, targets: np.ndarray, features: np.ndarray, *, relative: bool = True
) -> np.ndarray:
    """Returns ``float[n]``: the squared Mahalanobis distance to the nearest class (Lee et al., 2018).

    Classes share one covariance. The relative distance subtracts that to all training examples as one class, which
    leaves only what tells classes apart (Ren et al., 2021).

    Args:
        known: ``float[rows, width]``: features of the training examples.
        targets: ``int[rows]``: their classes.
        features: ``float[n, width]``.
        relative: Whether the distance to the whole is subtracted.
    """
    classes, class_of = np.unique(targets, return_inverse=True)
    means = np.stack([known[class_of == place].mean(axis=0) for place in range(len(classes))])
    nearest = _distances(known - means[class_of], features, means).min(axis=1)
    if not relative:
        return nearest
    middle = known.mean(axis=0, keepdims=True)
    return nearest - _distances(known - middle, features, middle)[:, 0]


def _distances(deviations: np.ndarray, features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Returns ``float64[n, centres]``: squared distances where the deviations' covariance is the unit of length."""
    covariance = deviations.T.astype(np.float64) @ deviations / len(deviations)
    # A feature that never changes has no variance: a little of the mean one keeps the inverse finite.
    variance, axes = np.linalg.eigh(covariance)
    turn = axes / np.sqrt(np.maximum(variance, 0) + 1e-6 * variance.mean())
    points, middles = features @ turn, centres @ turn
    squares = (points**2).sum(axis=1)[:, None] - 2 * points @ middles.T + (middles**2).sum(axis=1)
    return np.maximum(squares, 0)


def main() -> None:
    options = arguments(__doc__.splitlines()[0], draws=5, left_out=15, resamples=200)
    tables = [pd.read_csv(path) for path in (options.train, options.test)]
    features = [pooled_features(list(table["text"])) for table in tables]
    labels = [table["label"].to_numpy() for table in tables]
    draws = [one_draw(features, labels, options.left_out, options.resamples, seed) for seed in range(options.draws)]
    found = {name: spread([draw[name] for draw in draws]) for name in draws[0]}
    report("unsure", found, draws=options.draws, left_out=options.left_out, resamples=options.resamples)
    if found["auroc_scope"]["mean"] < LEAST_AUROC or found["broken"]["mean"] > MOST_BROKEN:
        sys.exit(1)


def spread(values):
    return {"mean": round(float(np.mean(values)), 4), "min": round(min(values), 4), "max": round(max(values), 4)}


def pooled_features(texts):
    """Returns what the linear probe sees of each text."""
    import kft
    from kft.features.inference import make_inference, run_in_batches
    from kft.model.encode import make_reader
    from kft.recipe.schema import ModelSpec
    from kft.tasks.registry import TASKS

    backbone = kft.load_backbone("minilm-l6")
    model = kft.build_model(backbone, classes=2)
    kft.freeze(model, "none")
    front = kft.split_at_boundary(model).front
    source = make_reader(TASKS.get("text-classification"), backbone, ModelSpec()).read(texts).source
    names = tuple(tensor.name for tensor in front.inputs)
    (features,) = run_in_batches(make_inference(front, 32), source.select(names))
    return features


def one_draw(features, labels, left_out, resamples, seed):
    rng = np.random.default_rng(seed)
    classes = np.unique(labels[0])
    foreign = rng.choice(classes, left_out, replace=False)
    inside = [~np.isin(part, foreign) for part in labels]
    names, targets = np.unique(labels[0][inside[0]], return_inverse=True)
    known = features[0][inside[0]]
    valid = np.zeros(len(targets), bool)
    valid[rng.permutation(len(targets))[: round(0.15 * len(targets))]] = True
    chosen = valid.copy()
    chosen[valid] = ~draw_half(targets[valid], None, seed)
    probe = solve_probe(
        ProbeRows(known[~valid], targets[~valid]),
        ProbeRows(known[chosen], targets[chosen]),
        len(names),
        score=lambda outputs: float((outputs.argmax(axis=1) == targets[chosen]).mean()),
    )

    def answers(part):
        return softmax(part @ probe.kernel + probe.bias)

    temperature = fit_temperature(targets[chosen], answers(known[chosen]))
    asked = features[1]
    probabilities = temperature.apply(answers(asked))
    is_foreign = (~inside[1]).astype(int)
    train, train_targets = known[~valid], targets[~valid]
    scores = {
        "softmax": softmax_score(probabilities),
        **{f"neighbour_{k}": neighbour_score(train, asked, k) for k in (1, 5, 10, 50)},
        "mahalanobis": mahalanobis_score(train, train_targets, asked, relative=False),
        "relative_mahalanobis": mahalanobis_score(train, train_targets, asked),
    }
    scope = fit_scope(train, known[chosen], temperature.apply(answers(known[chosen])), keep=KEEP, seed=seed)
    scores["scope"] = scope.score(asked, probabilities)
    found = {f"auroc_{name}": AUROC.value(is_foreign, score) for name, score in scores.items()}
    flags = scope.flags(asked, probabilities)
    found |= {"flagged_in_scope": float(flags[inside[1]].mean()), "flagged_left_out": float(flags[~inside[1]].mean())}
    truth = np.searchsorted(names, labels[1][inside[1]])
    judged = temperature.apply(answers(known[chosen]))
    seen = judged.max(axis=1), judged.argmax(axis=1) == targets[chosen]
    own = probabilities[inside[1]]
    own = own.max(axis=1), own.argmax(axis=1) == truth
    return (
        found | {"accuracy": float(own[1].mean())} | abstention(seen, own, int((valid & ~chosen).sum()), resamples, rng)
    )


def abstention(seen, truth, n, resamples, rng):
    confidence, right = truth
    thresholds = propose_thresholds(*seen, n, ASKED)
    coverage, broken, broken_plug_in, promised = [], 0, 0, 0
    for _ in range(resamples):
        rows = rng.integers(0, len(right), n)
        promise = certify(confidence[rows], right[rows], thresholds, ASKED)
        promised += promise.threshold is not None
        covered, error = outcome(confidence, right, promise.threshold)
        coverage.append(covered)
        broken += error > ASKED.error
        broken_plug_in += outcome(confidence, right, plug_in(confidence[rows], right[rows]))[1] > ASKED.error
    return {
        "calibrated_on": n,
        "promised": promised / resamples,
        "coverage": float(np.mean(coverage)),
        "broken": broken / resamples,
        "broken_plug_in": broken_plug_in / resamples,
    }


def plug_in(confidence, right):
    order = np.argsort(-confidence, kind="stable")
    errors = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    fine = np.flatnonzero(errors <= ASKED.error)
    return confidence[order][fine[-1]] if len(fine) else None


def outcome(confidence, right, threshold):
    answered = np.zeros(len(right), bool) if threshold is None else confidence >= threshold
    return float(answered.mean()), float((~right[answered]).mean()) if answered.any() else 0.0


if __name__ == "__main__":
    main()
