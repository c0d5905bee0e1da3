"""A sample of the latest answers, for what is estimated from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kft.monitor.seen import Seen

MOST_ROWS = 20_000
"""Of a window that are kept; more give no narrower interval worth the memory."""
ENOUGH = 200
"""Rows from which on a window alone says something; else the one before it is taken as well."""


@dataclass
class Latest:
    """Collects them.

    Attributes:
        most: Rows of a window that are kept.
        parts: By window: columns of what is kept, each with one entry a row.
    """

    most: int = MOST_ROWS
    parts: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)
    _rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, keys: np.ndarray, seen: Seen, more: Mapping[str, np.ndarray]) -> None:
        """Adds rows that could be answered.

        Args:
            keys: ``int64[rows]``: the window of each.
            seen: What is seen of them.
            more: Further columns.
        """
        answered = _answered(seen)
        if answered is None:
            return
        usable, columns = answered
        columns |= {
            "distance": seen.values.get("distance", np.full(len(seen), np.nan)),
            "drawn": self._rng.random(len(seen)),
            **more,
        }
        for key in np.unique(keys[usable]).tolist():
            at = usable & (keys == key)
            self._keep(key, {name: each[at] for name, each in columns.items()})
        self._forget()

    def _keep(self, key: int, came: dict[str, np.ndarray]) -> None:
        old = self.parts.get(key)
        both = came if old is None else {name: np.concatenate([old[name], came[name]]) for name in came}
        if len(both["drawn"]) > self.most:
            kept = np.argpartition(both["drawn"], self.most)[: self.most]
            both = {name: each[np.sort(kept)] for name, each in both.items()}
        self.parts[key] = both

    def _forget(self) -> None:
        keep = self._latest()
        self.parts = {key: each for key, each in self.parts.items() if key in keep}

    def _latest(self) -> Sequence[int]:
        found: list[int] = []
        rows = 0
        for key in sorted(self.parts, reverse=True):
            if rows >= ENOUGH:
                break
            found.append(key)
            rows += len(self.parts[key]["drawn"])
        return found

    def columns(self) -> dict[str, np.ndarray]:
        """Returns what is kept, in the order of the windows."""
        parts = [self.parts[key] for key in sorted(self.parts)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _answered(seen: Seen) -> tuple[np.ndarray, dict[str, np.ndarray]] | None:
    """Returns which rows have an answer, ``bool[rows]``, and the answers; None where nothing is estimated of them."""
    if seen.probabilities is not None and seen.label is not None:
        return seen.label >= 0, {"probabilities": seen.probabilities, "label": seen.label}
    if "value" in seen.values:
        return np.isfinite(seen.values["value"]), {"value": seen.values["value"]}
    return None
