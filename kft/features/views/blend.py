"""The blend: views weighed by what they did out of fold, then fitted again on all labels (Wolpert, 1992).

Its outputs are the weighted sum of the views' outputs: a product of experts for classes. A weight is never negative,
and 0 where a view does not help. The weights are drawn towards the best single view, as strongly as one example counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from kft.features.folds import FOLDS, assign_folds
from kft.features.probe import LOSSES
from kft.features.views import linear, names, neighbours, tokens, words
from kft.features.views.head import HeadView
from kft.features.views.view import Lesson, View, ViewInput
from kft.runtime import one_blas_thread

SMALLEST = 1e-3
"""A smaller weight is none."""
ANCHOR = "linear"
"""The view that stays, whatever its weight."""
MOST_ROWS = 20_000
"""Rows that choices are made by; all others are learned from all the same."""


@dataclass(frozen=True, eq=False)
class Blend:
    """Views and their weights.

    Attributes:
        views: Those whose weight is not 0, and one that reads vectors, so that all that looks at these finds them.
        weights: ``float64[views]``.
    """

    views: tuple[View, ...]
    weights: np.ndarray

    def outputs(self, seen: ViewInput) -> np.ndarray:
        """Returns ``float32[n, units]``."""
        parts = zip(self.views, self.weights, strict=True)
        return np.asarray(sum(np.float32(weight) * view.outputs(seen) for view, weight in parts), np.float32)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All that the graph needs, by ``VIEW/ARRAY``."""
        found: dict[str, np.ndarray] = {}
        for view, weight in zip(self.views, self.weights, strict=True):
            found[f"{view.name}/share"] = np.array(weight, np.float32)
            found |= {f"{view.name}/{name}": array for name, array in view.arrays.items()}
        return found


@dataclass(frozen=True, eq=False)
class BlendResult:
    """A fitted blend, and what it says of examples that it has not seen.

    Attributes:
        blend: Fitted on all examples.
        rows: ``int[m]``: the examples that were answered out of fold.
        out_of_fold: ``float32[m, units]``: each of them answered by views that saw neither it nor its group.
        single: Likewise of each view by itself.
        weights: Of each view, also those of weight 0.
        settings: What was chosen for each that has a weight.
        losses: The mean loss of each out of fold; ``blend`` is that of all together.
    """

    blend: Blend
    rows: np.ndarray
    out_of_fold: np.ndarray
    single: Mapping[str, np.ndarray]
    weights: Mapping[str, float]
    settings: Mapping[str, Mapping[str, Any]]
    losses: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Folding:
    """How examples are dealt out to folds.

    Attributes:
        strata: ``int[n]``: what the folds keep the shares of, such as the classes.
        groups: ``[n]``: what must not be parted: groups, copies; None where each example stands alone.
        seed: Of the folds.
        wanted: ``bool[n]``: examples that have to be answered out of fold, however many there are; default: none.
    """

    strata: np.ndarray
    groups: np.ndarray | None = None
    seed: int = 0
    wanted: np.ndarray | None = None

    def rows(self) -> np.ndarray:
        """Returns ``int[m]``: the examples that choices are made by."""
        n = len(self.strata)
        if n <= MOST_ROWS:
            return np.arange(n)
        wanted = np.zeros(n, bool) if self.wanted is None else self.wanted
        others = np.random.default_rng(self.seed).permutation(np.flatnonzero(~wanted))
        return np.sort(np.append(np.flatnonzero(wanted), others[: max(0, MOST_ROWS - int(wanted.sum()))]))

    def deal(self, rows: np.ndarray) -> np.ndarray:
        """Returns ``int[m]``: the fold of each of these examples."""
        groups = None if self.groups is None else self.groups[rows]
        strata = np.unique(self.strata[rows], return_inverse=True)[1]
        units = len(rows) if groups is None else len(np.unique(groups))
        return assign_folds(strata, groups, min(FOLDS, max(2, units)), self.seed)


def families(lesson: Lesson) -> dict[str, ModuleType]:
    """Returns the views that these examples can have, by name."""
    if lesson.seen.shapes is not None:
        return {"words": words}
    found = {"linear": linear, "neighbours": neighbours}
    if lesson.seen.tokens is not None:
        found["tokens"] = tokens
    if names.fits(lesson):
        found["names"] = names
    return found


def fit_blend(lesson: Lesson, folding: Folding, tick: Callable[[int], None] = lambda count: None) -> BlendResult:
    """Chooses each view's settings out of fold, weighs the views by it, and fits all of them on all examples.

    Args:
        lesson: Labelled examples, whose vectors have learned nothing from their labels.
        folding: How they are dealt out to folds.
        tick: Called with 1 after each view.

    Example:
        >>> from kft.features.views.view import Goal
        >>> vectors = np.array([[1, i / 50] for i in range(10)] + [[i / 50, 1] for i in range(10)], np.float32)
        >>> lesson = Lesson(ViewInput(vectors), np.arange(20) // 10, Goal("softmax", 2))
        >>> found = fit_blend(lesson, Folding(lesson.targets))
        >>> int(found.blend.outputs(ViewInput(np.array([[3.0, 0.1]], np.float32))).argmax())
        0
    """
    rows = folding.rows()
    part = lesson if len(rows) == len(lesson) else lesson.take(rows)
    fold_of = folding.deal(rows)
    settings: dict[str, Any] = {}
    single: dict[str, np.ndarray] = {}
    with one_blas_thread():
        for name, family in families(lesson).items():
            settings[name], single[name] = family.out_of_fold(part, fold_of)
            tick(1)
        weights = weigh(single, part)
        kept = [name for name in single if weights[name] or name == ANCHOR]
        fitted = {name: families(lesson)[name].fit(lesson, settings[name]) for name in kept}
    return _result(fitted, weights, single, part, (rows, blended(single, weights)))


def fit_tuned_blend(
    head: HeadView, train: Lesson, valid: Lesson, folding: Folding, tick: Callable[[int], None] = lambda count: None
) -> BlendResult:
    """Blends the head of a tuned backbone, or one that was solved already, with views.

    Backbone or head have learned from train's labels, so that valid alone can be judged by: views are fitted on train,
    chosen and weighed on valid, and then fitted again on both; the head stays. What is recorded as out of fold are
    valid's answers by weights that saw none of its fold.

    Args:
        head: What training left.
        train: What it was trained on.
        valid: What it was not.
        folding: How valid is dealt out to folds.
        tick: Called with 1 after each view.
    """
    both = train.with_more(valid)
    apart = np.repeat([1, 0], [len(train), len(valid)])  # fold 0, valid, is answered by what fold 1, train, teaches
    single: dict[str, np.ndarray] = {"head": head.outputs(valid.seen)}
    settings: dict[str, Any] = {}
    with one_blas_thread():
        for name, family in families(both).items():
            settings[name], outputs = family.out_of_fold(both, apart, only=0)
            single[name] = outputs[apart == 0]
            tick(1)
        weights = weigh(single, valid)
        fitted: dict[str, View] = {"head": head}
        fitted |= {name: families(both)[name].fit(both, settings[name]) for name in settings if weights[name]}
    rows = np.arange(len(valid))
    fold_of = folding.deal(rows)
    answers = np.empty_like(single["head"])
    for fold in range(int(fold_of.max()) + 1):
        others = np.flatnonzero(fold_of != fold)
        own = weigh({name: outputs[others] for name, outputs in single.items()}, valid.take(others))
        answers[fold_of == fold] = blended(single, own)[fold_of == fold]
    return _result(fitted, weights, single, valid, (rows, answers))


def refit(blend: Blend, lesson: Lesson) -> Blend:
    """Fits the views again on other examples, with the settings and weights that were chosen.

    Args:
        blend: Of views that are fitted on examples such as these.
        lesson: Labelled examples.
    """
    known = families(lesson)
    views = tuple(known[view.name].fit(lesson, next(iter(view.settings.values()))) for view in blend.views)
    return Blend(views, blend.weights)


def refit_tuned(
    head: HeadView, lesson: Lesson, weights: Mapping[str, float], settings: Mapping[str, Mapping[str, Any]]
) -> Blend:
    """Returns the blend of a head that was trained anew, and of views fitted anew, by what ``fit_tuned_blend`` chose.

    Args:
        head: Of the model as it is now.
        lesson: All that the views learn from.
        weights: Of each view.
        settings: Of each that has a weight, as ``BlendResult`` has them.
    """
    views: dict[str, View] = {"head": head}
    with one_blas_thread():
        for name, family in families(lesson).items():
            if weights[name]:
                views[name] = family.fit(lesson, next(iter(settings[name].values())))
    return Blend(tuple(views.values()), np.array([weights[name] for name in views]))


def blended(outputs: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """Returns ``float32[n, units]``: the views' outputs, each by its weight."""
    return np.asarray(sum(np.float32(weights[name]) * each for name, each in outputs.items()), np.float32)


def weigh(outputs: Mapping[str, np.ndarray], lesson: Lesson) -> dict[str, float]:
    """Returns the weights of the least mean loss out of fold, drawn towards the best single view.

    Args:
        outputs: ``float32[n, units]`` of each view, out of fold.
        lesson: Their targets.
    """
    from scipy.optimize import minimize

    loss_of, n = LOSSES[lesson.goal.solver], len(lesson)
    counts = lesson.counts / lesson.counts.sum()
    stacked = np.stack(list(outputs.values()))
    start = np.zeros(len(stacked))
    start[int(np.argmin([lesson.loss(each) for each in stacked]))] = 1.0

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        together = np.tensordot(weights.astype(np.float32), stacked, 1)
        losses, slope = loss_of(together, lesson.targets)
        away = weights - start
        gradient = np.einsum("vnu,nu->v", stacked, slope * counts[:, None], dtype=np.float64) + 2 * away / n
        return float(losses @ counts + (away**2).sum() / n), gradient

    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(stacked)).x
    return {name: float(weight) if weight >= SMALLEST else 0.0 for name, weight in zip(outputs, found, strict=True)}


def _result(
    fitted: Mapping[str, View],
    weights: Mapping[str, float],
    single: Mapping[str, np.ndarray],
    judged: Lesson,
    answers: tuple[np.ndarray, np.ndarray],
) -> BlendResult:
    rows, out_of_fold = answers
    losses = {name: judged.loss(outputs) for name, outputs in single.items()} | {"blend": judged.loss(out_of_fold)}
    return BlendResult(
        blend=Blend(tuple(fitted.values()), np.array([weights[name] for name in fitted])),
        rows=rows,
        out_of_fold=out_of_fold,
        single=single,
        weights=weights,
        settings={name: view.settings for name, view in fitted.items()},
        losses=losses,
    )
