"""Whether test and valid are drawn as train is: can a probe tell their rows apart, and are the classes' shares alike?

A classifier two-sample test (Lopez-Paz and Oquab, 2017): where no probe can tell held-out rows of the two splits
apart, the area under its ROC curve is .5. It looks at no label; the classes' shares are compared as coverage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kft.audit.check import Check
from kft.audit.view import AuditView
from kft.data.examples import Examples
from kft.features.folds import out_of_fold
from kft.recipe.schema import DataSpec
from kft.recipe.sources import parse_share
from kft.records.estimate import percent
from kft.records.findings import Finding
from kft.split.data_split import labels_of

NAME = "shift"
AT_MOST = 2000
"""Rows of either split that are drawn for the probe."""
FEWEST = 20
STRENGTH = 1e-3
"""Inverse penalty of the probe: strong, since most often there is nothing to be learned."""
CONFIDENCE = 2.576
"""99 %: two comparisons of random splits shall give a false alarm in less than one of twenty runs."""
NEGLIGIBLE = 0.05
"""An area within this of .5, and shares that differ by less than twice this in all, are no matter."""


@dataclass(frozen=True)
class Separation:
    """How well a probe tells two sets of rows apart.

    Attributes:
        area: Under the ROC curve, of rows that it did not see; .5 where it cannot.
        margin: Half its 99 % interval.
        scores: ``float64[m]``: how much each row of the second set looks like that set and not like the first.
        rows: ``int[m]``: which rows of the second set these are.
    """

    area: float
    margin: float
    scores: np.ndarray
    rows: np.ndarray


def tell_apart(
    first: np.ndarray,
    second: np.ndarray,
    groups: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
    seed: int = 0,
) -> Separation:
    """Trains a probe to tell two sets of features apart and judges it on held-out rows.

    The interval is that of DeLong et al. (1988), over groups where there are any (Obuchowski, 1997).

    Args:
        first: ``float32[n, width]``.
        second: ``float32[m, width]``.
        groups: Of each set; what must not be parted.
        seed: Of the rows that are drawn, and of the folds.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = tell_apart(rng.normal(0, 1, (200, 4)), rng.normal(1, 1, (200, 4)))
        >>> found.area - found.margin > 0.8
        True
    """
    rng = np.random.default_rng(seed)
    one, two = (np.sort(rng.permutation(len(part))[:AT_MOST]) for part in (first, second))
    names = [
        np.array([f"{side}:{row}" for row in rows])
        if part is None
        else np.array([f"{side}:{name}" for name in part[rows]])
        for side, (part, rows) in enumerate(zip(groups, (one, two), strict=True))
    ]
    features = np.concatenate([first[one], second[two]]).astype(np.float32)
    targets = np.repeat([0, 1], [len(one), len(two)])
    answers = out_of_fold(features, targets, 2, np.concatenate(names), strength=STRENGTH, seed=seed).probabilities[:, 1]
    low, high = answers[: len(one)], answers[len(one) :]
    above, below = _share_below(low, high), 1 - _share_below(high, low)
    area = float(above.mean())
    variance = _clustered_variance(above, names[1]) + _clustered_variance(below, names[0])
    return Separation(area, CONFIDENCE * float(np.sqrt(variance)), high, two)


def find_shift(view: AuditView) -> Iterable[Finding]:
    """Compares valid and test with train."""
    assert view.features is not None
    train = view.split.train
    for name in ("valid", "test"):
        other = view.split.part(name)
        if min(len(train), len(other)) < FEWEST:
            continue
        found = tell_apart(view.features["train"], view.features[name], (train.groups, other.groups), view.spec.seed)
        if found.area - found.margin > 0.5 + NEGLIGIBLE:
            order = np.argsort(-found.scores, kind="stable")[:50]
            meant = _meant_to_differ(view.spec.data, name)
            yield Finding(
                check=NAME,
                severity="note" if meant else "warning",
                message=f"The {name} split is not like train: a probe tells their rows apart with an area under "
                f"the ROC curve of {found.area:.2f} (±{found.margin:.2f}), where splits that are alike have 0.50.",
                advice=meant
                or f"Find out what sets the listed rows of {name} apart (source, time, length, camera); if answers "
                f"are wanted for such rows, label some for train; else --set data.{name}=15% takes a share of train.",
                score=min(1.0, 2 * found.area - 1),
                rows=tuple(map(str, other.ids[found.rows[order]])),
                details={"split": name, "auc": round(found.area, 4), "margin": round(found.margin, 4)},
            )
        if view.task.kind.one_class:
            yield from _label_shift(view, train, other, name)


def _meant_to_differ(spec: DataSpec, name: str) -> str:
    """What to say of a share of train that was cut off so that it differs; empty where nothing makes it differ."""
    ways = {
        "time": spec.time is not None,
        "group": spec.group is not None,
        "keep_together: similar": spec.keep_together == "similar",
    }
    used = [f"data.{way}" for way, is_used in ways.items() if is_used]
    if not used or parse_share(getattr(spec, name)) is None:
        return ""
    return (
        f"Nothing needs mending: {' and '.join(used)} kept together what belongs together, so that {name} holds "
        "what is new to train, as real use will."
    )


def _label_shift(view: AuditView, train: Examples, other: Examples, name: str) -> Iterable[Finding]:
    from scipy.special import chdtrc

    labels = np.array(view.split.labels)
    counts = np.array([(labels_of(part).astype(str)[:, None] == labels).sum(axis=0) for part in (train, other)])
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    chi_square = float(((counts - expected) ** 2 / np.maximum(expected, 1e-12)).sum())
    p_value = float(chdtrc(len(labels) - 1, chi_square))
    shares = counts / counts.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    if p_value >= 0.01 or distance < 2 * NEGLIGIBLE:
        return
    most = int(np.abs(shares[0] - shares[1]).argmax())
    yield Finding(
        check=NAME,
        severity="note",
        message=f"The classes' shares differ between train and {name} by {percent(distance, 0)} in all: "
        f"{str(labels[most])!r} is {percent(shares[0][most])} of train and {percent(shares[1][most])} of {name}.",
        advice="Figures are for the shares of the test split: give it those of real use; "
        "train.class_weight: balanced makes up for rare classes in train.",
        score=distance,
        details={
            "split": name,
            "distance": round(distance, 4),
            "p_value": p_value,
            "labels": labels.tolist(),
            "train": shares[0].round(4).tolist(),
            name: shares[1].round(4).tolist(),
        },
    )


def _share_below(values: np.ndarray, than: np.ndarray) -> np.ndarray:
    """Returns for each of ``than`` the share of values below it, ties by half."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, than, "left") + np.searchsorted(ordered, than, "right")) / (2 * len(values))


def _clustered_variance(values: np.ndarray, groups: np.ndarray) -> float:
    """Returns the variance of the mean of values that come in groups."""
    _, group_of = np.unique(groups, return_inverse=True)
    sums = np.bincount(group_of, values - values.mean())
    return float((sums**2).sum() / len(values) ** 2 * len(sums) / max(1, len(sums) - 1))


CHECK = Check(NAME, "valid or test that are not like train", find_shift, needs_features=True, rank=190)
