"""What the probe of faithfulness is worth on some answers."""

from __future__ import annotations

from dataclasses import dataclass

from kft.records.estimate import Estimate


@dataclass(frozen=True)
class Planted:
    """How well the probe tells right answers from the same with one fact changed.

    Attributes:
        kind: What was changed; see ``kft/suites/planted.py``.
        n: How many answers have such a fact.
        auroc: 1 tells all of them apart, 0.5 none.
        seen: Whether the probe is made to see it; else it cannot by its making, and this says how little it does.
    """

    kind: str
    n: int
    auroc: Estimate
    seen: bool
