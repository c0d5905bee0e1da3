"""Where vectors are compared: which approach is recommended, and why, in words; and all of it as one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kft.compare.saved import FittedApproach
from kft.errors import UsageError
from kft.metrics.intervals import estimate_all, paired_difference
from kft.metrics.metric import Metric
from kft.records.compare import ApproachResult, Comparison, Risk, Verdict
from kft.records.estimate import Estimate, widen
from kft.split.data_split import DataSplit


@dataclass(frozen=True)
class Field:
    """What is compared of one task.

    Attributes:
        names: All approaches, cheapest first.
        enough: Those that tune nothing, and what is said where one of them is recommended.
        rows: What an example is called.
        where: Where approaches are such, for messages.
        beside: By an approach, another one that is no dearer: the better of the two is taken.
    """

    names: tuple[str, ...]
    enough: Mapping[str, str]
    rows: str
    where: str
    beside: Mapping[str, str] = field(default_factory=dict)

    def asked(self, names: Sequence[str] | None) -> list[str]:
        """Returns the approaches that are tried, cheapest first.

        Raises:
            UsageError: One is unknown.
        """
        unknown = [name for name in names or () if name not in self.names]
        if unknown:
            raise UsageError(
                f"no such approach where {self.where}",
                where="--approaches",
                received=", ".join(unknown),
                expected=", ".join(self.names),
                next_step="leave --approaches out for all of them",
            )
        return [name for name in self.names if names is None or name in names]


@dataclass(frozen=True)
class SplitAnswers:
    """The examples of one split, answered by all approaches.

    Attributes:
        truth: What would be right, as the metrics take it.
        answers: By approach, cheapest first.
        groups: Of the examples; None without.
    """

    truth: np.ndarray
    answers: Mapping[str, np.ndarray]
    groups: np.ndarray | None = None

    def lead(self, metric: Metric, first: str, second: str) -> Estimate:
        """Returns the first less the second, paired by example; the intervals of all approaches hold together."""
        found = paired_difference(metric, self.truth, self.answers[first], self.answers[second], groups=self.groups)
        return widen(found, max(1, len(self.answers) - 1))


def decide(valid: SplitAnswers, metric: Metric, of: Field) -> Verdict:
    """Recommends the cheapest that is not significantly worse than the best, paired by example of valid."""
    reached = {name: metric.value(valid.truth, answers) for name, answers in valid.answers.items()}
    best = max(reached, key=lambda name: reached[name])  # of several alike the first, which is the cheapest
    chosen = next(name for name in reached if name == best or valid.lead(metric, best, name).low <= 0)
    beside = of.beside.get(chosen, "")
    if reached.get(beside, reached[chosen]) > reached[chosen]:
        chosen = beside
    value = f"{reached[chosen]:.3f} {metric.name} on {len(valid.truth):,} {of.rows} of valid"
    untuned = [name for name in reached if name in of.enough]
    if chosen in of.enough or not untuned:
        said = f"{of.enough.get(chosen, f'{chosen} is the cheapest that keeps up')} ({value})"
    else:
        rival = max(untuned, key=lambda name: reached[name])
        gain = valid.lead(metric, chosen, rival)
        pays = f"tuning pays: {chosen}" if gain.low > 0 else f"{chosen} is the cheapest that keeps up: it"
        said = f"{pays} gains {gain} over {rival}, the best without it ({value})"
    if chosen == best:
        return Verdict(chosen, f"{said}; nothing measured is better", best)
    lead = valid.lead(metric, best, chosen)
    return Verdict(chosen, f"{said}; {best} has {reached[best]:.3f}, a lead of {lead}, which may be chance", best)


def conclude(
    split: DataSplit,
    of: Field,
    fitted: Mapping[str, FittedApproach],
    parts: Mapping[str, SplitAnswers],
    skipped: Mapping[str, str],
) -> Comparison:
    """Returns the whole comparison: the choice by valid, the figures by both.

    Args:
        split: Of which.
        of: What is compared.
        fitted: By approach, cheapest first.
        parts: ``valid`` and ``test``, answered by the same approaches.
        skipped: Why others were not tried.
    """
    judging = split.kind.judging
    metric, verdict = judging.main, decide(parts["valid"], judging.main, of)
    outcomes = []
    for name, each in fitted.items():
        estimates = {
            key: estimate_all(part.truth, part.answers[name], groups=part.groups, metrics=judging.metrics)
            for key, part in parts.items()
        }
        outcomes.append(
            ApproachResult(
                name=name,
                metrics=estimates["test"],
                valid=estimates["valid"],
                paired={key: part.lead(metric, name, verdict.best) for key, part in parts.items()},
                cost=each.cost,
                risk=Risk.not_measured(each.forgetting_why),
                chosen=dict(each.chosen),
                rows=len(split.valid),
            )
        )
    outcomes += [ApproachResult(name, skipped=why) for name, why in skipped.items()]
    outcomes.sort(key=lambda outcome: of.names.index(outcome.name))
    return Comparison(split.split_hash, len(split.test), tuple(outcomes), verdict, metric.name)
