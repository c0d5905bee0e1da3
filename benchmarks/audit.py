"""What the audit learns from stored features: planted label errors, the forecast's interval, and what it all costs.

The rows are those of --train and --test, and two sets of rated sentences that come as packages. Labels are flipped to
another class at random; cleanlab's rules choose rows from the same probabilities. For the forecast half of the rows is
hidden: the truth is what the probe answers, out of fold, on the same held-out rows once it has learned from all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import arguments, report, timed, workplace

from kft import runtime
from kft.api.reading import load

SEEDS = 20
FLIPPED = 0.08
RATED: dict[str, Any] = {
    "columns": ["id", "rating", "text"],
    "text": "text",
    "label": "rating",
    "id": "id",
    "group": {"column": "id", "pattern": r"^(\d+)_"},
    "bins": {"edges": [-0.25, 0.25], "labels": ["negative", "neutral", "positive"]},
    "valid": "12%",
    "test": "24%",
}


@dataclass(frozen=True)
class Set:
    """The examples of train and valid of one data set.

    Attributes:
        features: ``float32[n, width]``.
        targets: ``int[n]``.
        classes: How many there are.
        groups: What must not be parted.
    """

    features: np.ndarray
    targets: np.ndarray
    classes: int
    groups: np.ndarray | None


def main() -> None:
    """Measures, writes the result."""
    args = arguments(__doc__, rows=0)
    given = {"train": str(args.train.absolute()), "test": str(args.test.absolute()), "text": "text", "label": "label"}
    with workplace():
        runtime.start()
        sets, costs = {}, {}
        for name, data in {
            args.train.parent.name: given,
            "product reviews": {"train": "package:reviews-ratings", **RATED},
            "editorials": {"train": "package:editorials-ratings", **RATED},
        }.items():
            view, seconds = _view({"task": "text-classification", "name": "audit", "data": data})
            sets[name] = Set(view.known_features, view.targets, len(view.split.labels), view.known.groups)
            costs[name] = seconds | _checks(view)
        found = {
            name: {
                "rows": len(part.targets),
                "label_noise": _over_seeds(lambda seed, part=part: _flips(part, seed), range(3)),
                "clean_rows_flagged": _flagged(part),
                "forecast": _coverage(part),
                "cost": costs[name],
            }
            for name, part in sets.items()
        }
        report("audit", found, seeds=SEEDS, flipped=FLIPPED)


def _view(recipe: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """Returns an audit's view, and CPU seconds of one forward pass and of the rest of preparing it."""
    from kft.audit.prepare import prepare_view
    from kft.train.progress import Progress
    from kft.train.start import load_for

    loaded, split = load(recipe, (), None)
    backbone = load_for(loaded.spec)
    prepare = lambda: prepare_view(loaded.spec, split, backbone, Progress(quiet=True))  # noqa: E731
    _, first = timed(prepare)
    view, again = timed(prepare)  # the vectors are there: what is left is reading, keys and the probe
    return view, {
        "forward_pass_cpu_s": round(first["cpu_s"] - again["cpu_s"], 1),
        "prepare_cpu_s": round(again["cpu_s"], 1),
    }


def _checks(view: Any) -> dict[str, float]:
    """Returns the CPU seconds of each check that learns from features."""
    from kft.audit import all_checks  # noqa: F401
    from kft.audit.check import CHECKS

    learned = [check for check in CHECKS if check.needs_features]
    return {
        f"{each.name}_cpu_s": round(timed(lambda each=each: list(each.run(view)))[1]["cpu_s"], 2) for each in learned
    }


def _flips(part: Set, seed: int) -> dict[str, float]:
    """Returns precision and recall of the check's rule and of cleanlab's, from the same probabilities."""
    from cleanlab.filter import find_label_issues

    from kft.audit.checks.label_noise import label_odds, odds_wanted
    from kft.features.folds import out_of_fold

    rng = np.random.default_rng(seed)
    wrong = np.zeros(len(part.targets), bool)
    wrong[rng.choice(len(wrong), round(FLIPPED * len(wrong)), replace=False)] = True
    labels = np.where(wrong, (part.targets + rng.integers(1, part.classes, len(wrong))) % part.classes, part.targets)
    answers = out_of_fold(part.features, labels, part.classes, part.groups, seed=seed).probabilities
    odds = label_odds(answers, labels)
    most = np.argsort(-odds, kind="stable")[: round(0.04 * len(wrong))]
    chosen = {"kft": odds >= odds_wanted(answers, labels)}
    for rule in ("prune_by_noise_rate", "confident_learning"):
        chosen[f"cleanlab {rule}"] = find_label_issues(labels, answers, filter_by=rule, n_jobs=1)
    scores = {"precision among the 4 % most suspect": float(wrong[most].mean())}
    for name, flagged in chosen.items():
        scores[f"{name}: precision"] = float(wrong[flagged].mean())
        scores[f"{name}: recall"] = float(flagged[wrong].mean())
    return scores


def _flagged(part: Set) -> float:
    from kft.audit.checks.label_noise import label_odds, odds_wanted
    from kft.features.folds import out_of_fold

    answers = out_of_fold(part.features, part.targets, part.classes, part.groups).probabilities
    return round(float((label_odds(answers, part.targets) >= odds_wanted(answers, part.targets)).mean()), 4)


def _coverage(part: Set) -> dict[str, float]:
    """Returns how often the intervals at twice the rows hold the truth, and how wide they are."""
    return _over_seeds(lambda seed: _forecast(part, seed), range(SEEDS))


def _forecast(part: Set, seed: int) -> dict[str, float]:
    from kft.audit.forecast import forecast, measure_curve
    from kft.features.folds import assign_folds, choose_strength, out_of_fold, project
    from kft.features.growth import grow

    seen = np.flatnonzero(assign_folds(part.targets, part.groups, 2, 1000 + seed) == 0)
    groups = None if part.groups is None else part.groups[seen]
    data = project(part.features[seen], part.targets[seen], part.classes)
    strength = choose_strength(data, assign_folds(data.targets, groups, 5, seed))
    growth = grow(data, groups, strength, seed=seed)
    curve = measure_curve(growth.sizes, growth.right, None if groups is None else groups[growth.held_out])
    found = forecast(curve, 2, seed=seed)
    answers = out_of_fold(part.features, part.targets, part.classes, part.groups, seed=seed).probabilities
    truth = float((answers.argmax(axis=1) == part.targets)[seen][growth.held_out].mean())
    gain = truth - float(curve.accuracy[-1])
    return {
        "accuracy covered": float(found.accuracy.low <= truth <= found.accuracy.high),
        "gain covered": float(found.gain.low <= gain <= found.gain.high),
        "accuracy width": found.accuracy.high - found.accuracy.low,
        "gain width": found.gain.high - found.gain.low,
        "gain foretold": found.gain.value,
        "gain reached": gain,
    }


def _over_seeds(measure: Callable[[int], dict[str, float]], seeds: Iterable[int]) -> dict[str, float]:
    """Returns the means."""
    runs = [measure(seed) for seed in seeds]
    return {key: round(float(np.mean([run[key] for run in runs])), 4) for key in runs[0]}


if __name__ == "__main__":
    main()
