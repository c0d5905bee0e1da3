"""Is what `kft queue` draws worth more than random rows, and do its labels still stand for all rows?

    python benchmarks/label_queue.py --train banking77/train.csv --test banking77/test.csv --features banking77.npz

From 1,000 labelled rows, five rounds of 200: each round a linear probe on the pooled features of MiniLM-L6 learns from
85 % of the labelled rows, 15 % choose its strength; the next 200 of the pool are drawn by kft/monitor/queueing.py (by
the probe's probabilities, and the 15 % as rows whose mistakes are known), or at random. Both begin with the same rows;
accuracy is that on the test rows. The difference of the two is averaged over the seeds, with Student's interval.

Then, at the first round of each seed, rows are drawn 100 times anew: how often the 95 % interval of the pool's accuracy
holds the truth, by the labels drawn (kft/monitor/estimates/powered.py), and how far the mean of the Horvitz-Thompson
estimates lies from it; beside it the plain share of right answers among the drawn, which the choice of rows has bent.

Ends with 1 where the queue is not better than random rows after the last round, or its intervals hold the truth in less
than 93 %. Features are computed once, and kept in the file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from common import report
from scipy.stats import t as student
from unsure import pooled_features

from kft.features.probe import ProbeRows, solve_probe
from kft.monitor.estimates.correctness import fit_correctness
from kft.monitor.estimates.powered import powered_mean
from kft.monitor.estimates.scores import Scores
from kft.monitor.queueing import Worth, draw, least_sure, mistakes_nearby
from kft.tasks.decode import softmax

LEAST_COVERAGE = 0.93
ARMS = ("queue", "random")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, help="csv with the columns text and label")
    parser.add_argument("--test", type=Path, required=True, help="csv with the same columns")
    parser.add_argument("--features", type=Path, required=True, help="where features are kept, as .npz")
    numbers = {"first": 1000, "rounds": 5, "labels": 200, "seeds": 5, "from_seed": 0, "redraws": 100}
    for name, value in numbers.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help=f"default {value}")
    options = parser.parse_args()
    data = read(options)
    seeds = range(options.from_seed, options.from_seed + options.seeds)
    stories = [{arm: story(data, arm, seed, options) for arm in ARMS} for seed in seeds]
    redrawn = [redraws(data, seed, options) for seed in seeds]
    found = summary(stories, redrawn)
    report("label_queue", found, **{name: getattr(options, name) for name in numbers})
    if found["gain"][-1]["low"] <= 0 or found["coverage"] < LEAST_COVERAGE:
        sys.exit(1)


def read(options):
    """Returns features and targets of both tables."""
    tables = [pd.read_csv(path) for path in (options.train, options.test)]
    if not options.features.is_file():
        kept = {
            name: pooled_features(list(table["text"])) for name, table in zip(("train", "test"), tables, strict=True)
        }
        np.savez(options.features, **kept)
    kept = np.load(options.features)
    names = np.unique(tables[0]["label"])
    targets = [np.searchsorted(names, table["label"]) for table in tables]
    return {"x": kept["train"], "y": targets[0], "test": (kept["test"], targets[1]), "classes": len(names)}


def fit(data, labelled, seed):
    """Returns the probe that some rows teach, and those of them that chose its strength."""
    valid = np.random.default_rng([seed, len(labelled)]).permutation(labelled)[: round(0.15 * len(labelled))]
    train = np.setdiff1d(labelled, valid)
    x, y = data["x"], data["y"]
    return solve_probe(ProbeRows(x[train], y[train]), ProbeRows(x[valid], y[valid]), data["classes"]), valid


def answers(probe, x):
    return softmax(x @ probe.kernel + probe.bias)


def queue(data, probe, valid, pool, options, seed):
    """Returns what is drawn of the pool, and the probabilities that it was drawn by."""
    x, y = data["x"], data["y"]
    probabilities = answers(probe, x[pool])
    wrong = answers(probe, x[valid]).argmax(axis=1) != y[valid]
    worth = Worth(least_sure(probabilities), None, mistakes_nearby(x[pool], x[valid], wrong))
    return draw(worth, pool, x[pool], options.labels, random_share=0.3, seed=seed), probabilities


def story(data, arm, seed, options):
    """Returns the accuracy on test rows before the first round and after each."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data["y"]))
    labelled, found = order[: options.first], []
    for number in range(options.rounds + 1):
        probe, valid = fit(data, labelled, seed)
        x, y = data["test"]
        found.append(float((answers(probe, x).argmax(axis=1) == y).mean()))
        pool = np.setdiff1d(order, labelled)
        if arm == "queue":
            new = pool[queue(data, probe, valid, pool, options, 1000 * seed + number)[0].places]
        else:
            new = rng.permutation(pool)[: options.labels]
        labelled = np.concatenate([labelled, new])
    return found


def redraws(data, seed, options):
    """Draws the first round's rows again and again; what each draw says of the pool's accuracy."""
    order = np.random.default_rng(seed).permutation(len(data["y"]))
    labelled, pool = order[: options.first], np.sort(order[options.first :])
    probe, valid = fit(data, labelled, seed)
    x, y = data["x"], data["y"]
    given = answers(probe, x[valid])
    reference = Scores(given, given.argmax(axis=1), y[valid])
    found = []
    for number in range(options.redraws):
        drawn, probabilities = queue(data, probe, valid, pool, options, 10_000 * (seed + 1) + number)
        label = probabilities.argmax(axis=1)
        right = (label == y[pool]).astype(float)
        outcome, chance = np.full(len(pool), np.nan), np.ones(len(pool))
        outcome[drawn.places], chance[drawn.places] = right[drawn.places], drawn.chance
        expected = fit_correctness(reference, None).of(Scores(probabilities, label))
        said, truth = powered_mean(outcome, expected, chance), right.mean()
        found.append(
            {
                "covered": said.estimate.low <= truth <= said.estimate.high,
                "covered_by_labels_alone": said.alone.low <= truth <= said.alone.high,
                "width": said.estimate.high - said.estimate.low,
                "horvitz_thompson": float((right[drawn.places] / drawn.chance).sum() / len(pool)) - truth,
                "plain": float(right[drawn.places].mean()) - truth,
            }
        )
    return found


def summary(stories, redrawn):
    accuracy = {arm: np.array([each[arm] for each in stories]) for arm in ARMS}
    gains = accuracy["queue"] - accuracy["random"]
    half = student.ppf(0.975, len(gains) - 1) * gains.std(axis=0, ddof=1) / np.sqrt(len(gains))
    gain = [
        {"value": round(float(mean), 4), "low": round(float(mean - each), 4), "high": round(float(mean + each), 4)}
        for mean, each in zip(gains.mean(axis=0), half, strict=True)
    ]
    every = pd.DataFrame([row for rows in redrawn for row in rows])
    error = every["horvitz_thompson"].std() / np.sqrt(len(every))
    return {
        **{arm: [round(float(mean), 4) for mean in values.mean(axis=0)] for arm, values in accuracy.items()},
        "gain": gain,
        "coverage": round(float(every["covered"].mean()), 4),
        "coverage_by_labels_alone": round(float(every["covered_by_labels_alone"].mean()), 4),
        "width": round(float(every["width"].mean()), 4),
        "bias": round(float(every["horvitz_thompson"].mean()), 4),
        "bias_standard_error": round(float(error), 4),
        "bias_of_plain_share": round(float(every["plain"].mean()), 4),
    }


if __name__ == "__main__":
    main()
