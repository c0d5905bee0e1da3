"""Which approach is recommended where queries are answered with documents, and why, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kft.data.examples import Examples
from kft.errors import UsageError
from kft.metrics.intervals import paired_difference
from kft.metrics.metric import Metric
from kft.records.compare import Verdict
from kft.records.estimate import Estimate, widen

WITH_WORDS = "+words"
"""Ends the name of a tuned approach whose vectors are weighed with BM25, as ``kft index`` does."""
TUNED = ("head", "lora", "top", "full")
NAMES = ("bm25", "frozen", "hybrid", *(each for name in TUNED for each in (name, name + WITH_WORDS)))
"""All approaches, cheapest first."""
ENOUGH = {
    "bm25": "words are enough: search needs no vectors",
    "frozen": "the backbone's own vectors are enough: do not tune",
    "hybrid": "words and the backbone's own vectors together are enough: do not tune",
}
"""Approaches that learn nothing from labelled queries but the weight of words."""


def names_of(names: Sequence[str] | None) -> list[str]:
    """Returns the approaches that are tried, cheapest first.

    Raises:
        UsageError: One is unknown.
    """
    unknown = [name for name in names or () if name not in NAMES]
    if unknown:
        raise UsageError(
            "no such approach where documents are found",
            where="--approaches",
            received=", ".join(unknown),
            expected=", ".join(NAMES),
            next_step="leave --approaches out for all of them",
        )
    return [name for name in NAMES if names is None or name in names]


def decide(valid: Examples, found: Mapping[str, np.ndarray], metric: Metric) -> Verdict:
    """Recommends the cheapest that is not significantly worse than the best, paired by query of valid.

    Words beside vectors are no dearer, and an index has them: of the same vectors with words and without, the better
    is taken.

    Args:
        valid: Queries that chose.
        found: By approach, cheapest first: ``bool[n, depth]``.
        metric: Which decides.
    """
    counts, looks = counts_of(valid), len(found) - 1
    reached = {name: metric.value(counts, each) for name, each in found.items()}
    best = max(reached, key=lambda name: reached[name])  # of several alike the first, which is the cheapest

    def lead(first: str, second: str) -> Estimate:
        return lead_of(valid, metric, (found[first], found[second]), looks)

    chosen = next(name for name in found if name == best or lead(best, name).low <= 0)
    worded = "hybrid" if chosen == "frozen" else chosen + WITH_WORDS
    if reached.get(worded, 0.0) > reached[chosen]:
        chosen = worded
    value = f"{reached[chosen]:.3f} {metric.name} on {len(valid):,} queries of valid"
    untuned = [name for name in found if name in ENOUGH]
    if chosen in ENOUGH or not untuned:
        said = f"{ENOUGH.get(chosen, f'{chosen} is the cheapest that keeps up')} ({value})"
    else:
        rival = max(untuned, key=lambda name: reached[name])
        gain = lead(chosen, rival)
        pays = f"tuning pays: {chosen}" if gain.low > 0 else f"{chosen} is the cheapest that keeps up: it"
        said = f"{pays} gains {gain} over {rival}, the best without it ({value})"
    if chosen == best:
        return Verdict(chosen, f"{said}; nothing measured is better", best)
    said += f"; {best} has {reached[best]:.3f}, a lead of {lead(best, chosen)}, which may be chance"
    return Verdict(chosen, said, best)


def lead_of(part: Examples, metric: Metric, found: tuple[np.ndarray, np.ndarray], looks: int) -> Estimate:
    """Returns the first less the second, paired by query, with an interval that holds together with the others.

    Args:
        part: The queries.
        metric: Of what.
        found: ``bool[n, depth]`` of both: whether the document at each rank answers the query.
        looks: How many differences are looked at.
    """
    return widen(paired_difference(metric, counts_of(part), *found, groups=part.groups), max(1, looks))


def counts_of(part: Examples) -> np.ndarray:
    """Returns ``int64[n]``: how many documents answer each query."""
    assert part.labels is not None  # only labelled queries are read
    return np.array([len(label) for label in part.labels], np.int64)
