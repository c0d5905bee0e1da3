"""What must not be torn apart by a split: groups that a person names, copies, and what looks alike to a backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kft.errors import UsageError
from kft.split.near import Copies, groups_of, join_groups
from kft.split.near_image import near_images
from kft.split.near_text import copies_among
from kft.split.similar import similar_groups

Vectorise = Callable[[Sequence[Any]], np.ndarray]
"""From inputs to ``float[n, width]``, one vector each from a frozen backbone."""


@dataclass(frozen=True)
class Together:
    """What must stay on one side of a split.

    Attributes:
        groups: ``[n]``: rows of one value stay together; None where each row stands alone.
        joined: What was joined beside the person's own groups, in words; empty where nothing was.
        copies: The copies among the rows; None where none were looked for.
    """

    groups: np.ndarray | None
    joined: str = ""
    copies: Copies | None = None


def find_copies(inputs: Sequence[Any], measured: np.ndarray | None = None) -> Copies:
    """Finds copies and near-copies among texts, pairs of texts, or images.

    Args:
        inputs: What the model reads.
        measured: ``bool[n]``: which texts say how much alike different ones are; see ``copies_among``.

    Example:
        >>> pairs = [("Where is it?", "Here."), ("where is it", "here"), ("Where?", "Here.")]
        >>> find_copies(pairs).first.tolist()
        [0, 0, 2]
    """
    if inputs and isinstance(inputs[0], Path):
        return near_images(inputs)
    return copies_among([given if isinstance(given, str) else "\n".join(given) for given in inputs], measured)


def rows_together(
    inputs: Sequence[Any],
    groups: np.ndarray | None,
    strata: np.ndarray,
    keep: Literal["nothing", "copies", "similar"],
    similar: Vectorise | None,
    largest: float,
) -> Together:
    """Joins what must stay on one side of a split.

    Args:
        inputs: What the model reads of each row.
        groups: ``str[n]``, the person's own; None where each row stands alone.
        strata: ``str[n]``: rows are similar within one of them.
        keep: What is joined beside groups: ``data.keep_together``.
        similar: For ``similar``.
        largest: The share of a stratum that a group of similar rows may have: that of train.

    Raises:
        UsageError: Similar rows are wanted, and nothing turns inputs into vectors.
    """
    if keep == "nothing":
        return Together(groups)
    found = find_copies(inputs)
    copies = groups_of(found.pairs, len(inputs)) if found.pairs.first.size else None
    alike, words = None, []
    if keep == "similar":
        if similar is None:
            raise UsageError(
                "nothing here says what is similar",
                where="data.keep_together",
                received="similar, and no backbone",
                expected="a function from inputs to vectors, as kft.train passes it",
            )
        alike = similar_groups(similar(inputs), strata, largest)
        words.append(f"{len(np.unique(alike)):,} groups of similar rows kept on one side")
    elif copies is not None:
        _, sizes = np.unique(copies, return_counts=True)
        joined = sizes[sizes > 1]
        sets = f"{len(joined):,} group{'s' * (len(joined) > 1)}"
        words.append(f"{int(joined.sum()):,} rows in {sets} of near-copies kept on one side")
    if found.reach:
        words.append(f"near-copies {found.reach}")
    together = groups if copies is None and alike is None else join_groups(groups, copies, alike)
    return Together(together, ", ".join(words), found)
