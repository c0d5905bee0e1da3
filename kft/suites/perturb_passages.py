"""Changes to the passages that a prompt is answered from: in another order, or those of another prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kft.suites.perturbation import EXCHANGE, Perturbation, register_perturbation
from kft.tasks.responses import Grounded

_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def reorder_passages(given: Grounded, rng: np.random.Generator, others: Sequence[tuple[str, ...]] = ()) -> Grounded:
    """Begins with another passage; where there is one alone, with another sentence of it.

    Example:
        >>> reorder_passages(Grounded("q", ("one", "two")), np.random.default_rng(0)).passages
        ('two', 'one')
        >>> reorder_passages(Grounded("q", ("One. Two.",)), np.random.default_rng(0)).passages
        ('Two. One.',)
    """
    if len(given.passages) > 1:
        return replace(given, passages=tuple(_turned(given.passages, rng)))
    return replace(given, passages=tuple(" ".join(_turned(_SENTENCE.split(text), rng)) for text in given.passages))


def _turned(parts: Sequence[str], rng: np.random.Generator) -> list[str]:
    at = int(rng.integers(1, len(parts))) if len(parts) > 1 else 0
    return [*parts[at:], *parts[:at]]


def exchange_passages(given: Grounded, rng: np.random.Generator, others: Sequence[tuple[str, ...]] = ()) -> Grounded:
    """Puts the passages of another prompt in place of its own; alone, it stays as it is.

    Example:
        >>> asked = Grounded("How old is it?", ("It is 7.",))
        >>> exchange_passages(asked, np.random.default_rng(0), [("It is 7.",), ("Lima is far.",)]).passages
        ('Lima is far.',)
    """
    foreign = [each for each in dict.fromkeys(others) if each and each != given.passages]
    return replace(given, passages=foreign[int(rng.integers(len(foreign)))]) if foreign else given


register_perturbation(
    Perturbation(
        "reorder-context", "passages, or sentences of the only one, in another order", "passages", reorder_passages
    )
)
register_perturbation(
    Perturbation(EXCHANGE, "passages of another prompt, which do not answer this one", "passages", exchange_passages)
)
