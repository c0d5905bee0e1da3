"""From what the approaches reached on valid to one recommendation, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kft.records.compare import Verdict
from kft.records.estimate import Estimate

BASELINE = "majority"
TUNED = ("lora", "top", "full")
"""Approaches that change the backbone's weights, or add to them."""

ENOUGH = {
    "linear": "words and their neighbours are enough: a linear model needs no backbone, so do not fine-tune",
    "prompting": "the names of the labels are enough: no training pays, so do not fine-tune",
    "retrieval": "looking up the nearest labelled examples is enough: do not fine-tune",
    "probe": "a head on the frozen backbone is enough: do not fine-tune",
    "scratch": "pretraining brings nothing here that training from scratch does not",
}


def decide(
    values: Mapping[str, float],
    difference: Callable[[str, str], Estimate],
    *,
    metric: str = "accuracy",
    higher_is_better: bool = True,
) -> Verdict:
    """Recommends the cheapest approach that is not significantly worse than the best.

    Only figures of the valid split belong here: the test split decides nothing. The best is the luckiest of several, so
    that the intervals have to be widened for that (see ``kft.records.estimate.widen``).

    Args:
        values: The metric of each approach on valid, cheapest first.
        difference: The paired difference (first less second) of two approaches on valid; it also knows ``majority``
            where ``values`` does not.
        metric: What the values are called.
        higher_is_better: Whether more of it is better.

    Example:
        >>> values = {"majority": 0.5, "linear": 0.90, "top": 0.91}
        >>> def difference(first, second):
        ...     gap = values[first] - values[second]
        ...     return Estimate(gap, gap - 0.02, gap + 0.02)
        >>> decide(values, difference).approach
        'linear'
    """
    sign = 1 if higher_is_better else -1
    best = max(values, key=lambda name: sign * values[name])  # the first of several, which is the cheapest
    over_baseline = signed(difference(best, BASELINE), sign)
    if best == BASELINE or over_baseline.low <= 0:
        return Verdict(BASELINE, _nothing(best, values, over_baseline, metric), best)
    rivals = [name for name in values if name != BASELINE]
    behind, enough = keeping_up(rivals, best, lambda first, second: signed(difference(first, second), sign))
    chosen = enough[0]
    why = _why(chosen, values, difference, metric, sign)
    if chosen == best:
        return Verdict(chosen, f"{why}; nothing measured is better", best)
    return Verdict(
        chosen,
        f"{why}; {best} has {values[best]:.3f}, a lead of {behind[chosen]}, which may be chance",
        best,
    )


def keeping_up(
    names: Sequence[str], best: str, better: Callable[[str, str], Estimate]
) -> tuple[dict[str, Estimate], list[str]]:
    """Returns how far each is behind the best, and those that are not significantly worse, the best among them.

    Args:
        names: All, cheapest first.
        best: The one with the best value.
        better: By how much the first of two does better, with its interval.
    """
    behind = {name: better(best, name) for name in names if name != best}
    return behind, [name for name in names if name == best or behind[name].low <= 0]


def signed(difference: Estimate, sign: int) -> Estimate:
    """Turns a difference so that more is better."""
    return difference if sign > 0 else -difference


def _nothing(best: str, values: Mapping[str, float], lead: Estimate, metric: str) -> str:
    if best == BASELINE:
        found = f"the best {metric} on valid is that of the majority class"
    else:
        found = f"the best is {best} with {values[best]:.3f} {metric} on valid, a lead of {lead}, which may be chance"
    return f"nothing beats the majority class: {found}; look at the labels before any model: kft check"


def _why(
    chosen: str,
    values: Mapping[str, float],
    difference: Callable[[str, str], Estimate],
    metric: str,
    sign: int,
) -> str:
    reached = f"{values[chosen]:.3f} {metric} on valid"
    if chosen not in TUNED:
        return f"{ENOUGH[chosen]} ({reached})"
    untuned = [name for name in values if name not in (*TUNED, BASELINE)] or [BASELINE]
    rival = max(untuned, key=lambda name: sign * values.get(name, 0.0))
    gain = signed(difference(chosen, rival), sign)
    if gain.low <= 0:
        return f"{chosen} is the cheapest that keeps up ({reached}), {gain} over {rival}"
    return f"fine-tuning pays: {chosen} gains {gain} {metric} over {rival}, the best without it ({reached})"
