"""How far written answers stand in the context that they have to come from."""

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


@dataclass(frozen=True)
class FaithfulnessResult:
    """What the probe of faithfulness finds in written answers, and what it is worth on these data.

    Attributes:
        context: What answers have to come from: ``prompt``, or a column.
        unsupported: Mean share of an answer's numbers, names and content words that its context does not hold.
        right: The same of the right responses: what is written freely has some as well.
        untuned: The same of the untuned model's answers; None where it wrote none.
        answers: The share of answers with anything unsupported.
        planted: One fact changed in right responses, of any kind that is seen; None where too few have one.
        kinds: By kind.
    """

    context: str
    unsupported: Estimate
    right: Estimate
    untuned: Estimate | None
    answers: Estimate
    planted: Planted | None
    kinds: tuple[Planted, ...]
