"""The part of the validation split that no choice sees: what promises are calibrated on."""

from __future__ import annotations

import numpy as np

from kft.errors import DataError
from kft.recipe.schema import RecipeSpec
from kft.split.data_split import DataSplit, Selection, labels_of


def set_aside(spec: RecipeSpec, split: DataSplit | Selection) -> np.ndarray:
    """Returns ``bool[valid]``: which validation examples are kept from every choice; none where nothing is promised.

    A promise about errors holds for examples that selected nothing (kft/answer/selective.py, kft/answer/interval.py).

    Raises:
        DataError: The validation split is too small to be halved.
    """
    asked = [key for key in ("abstain_at", "interval") if getattr(spec.evaluate, key) is not None]
    if not asked:
        return np.zeros(len(split.valid), bool)
    strata = split.kind.labels.strata(list(labels_of(split.valid)))
    held = draw_half(strata, split.valid.groups, spec.data.split_seed)
    if held.all() or not held.any():
        raise DataError(
            "the valid split cannot be halved",
            where=f"evaluate.{asked[0]}, data.valid",
            received=f"{len(held)} examples" + ("" if split.valid.groups is None else " of one group"),
            expected="two examples of different groups at least, and some hundreds for a promise to hold",
            next_step=f"a larger data.valid, or leave evaluate.{asked[0]} out",
        )
    return held


def draw_half(strata: np.ndarray, groups: np.ndarray | None, seed: int) -> np.ndarray:
    """Draws half of the examples, groups whole, about half of each stratum; each has the same chance of one half.

    Groups are shuffled, sorted by the stratum that most of their examples have, and every second one is taken.
    Unlike ``split_rows``, nothing rare is steered to one side: what is calibrated on has to be a fair sample.

    Args:
        strata: ``str[n]``.
        groups: ``str[n]`` or None.
        seed: The same seed draws the same half.

    Example:
        >>> int(draw_half(np.array(["a", "b"] * 10), None, seed=0).sum())
        10
    """
    rng = np.random.default_rng(seed)
    _, stratum_of = np.unique(strata.astype(str), return_inverse=True)
    if groups is None:
        group_of = np.arange(len(strata))
    else:
        _, group_of = np.unique(groups.astype(str), return_inverse=True)
    classes = int(stratum_of.max()) + 1
    pairs, counts = np.unique(group_of * classes + stratum_of, return_counts=True)
    by_count = pairs[np.argsort(counts, kind="stable")]
    main = np.zeros(int(group_of.max()) + 1, int)
    main[by_count // classes] = by_count % classes  # the largest of a group is written last
    order = rng.permutation(len(main))
    order = order[np.argsort(main[order], kind="stable")]
    chosen = np.zeros(len(main), bool)
    chosen[order[int(rng.integers(2)) :: 2]] = True
    return chosen[group_of]
