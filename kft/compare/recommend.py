"""From what the backbones reached out of fold to one recommendation, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from kft.compare.choosing import Measured
from kft.compare.grounds import Grounds
from kft.compare.token_facts import misread
from kft.compare.verdict import keeping_up, signed
from kft.metrics.intervals import estimate_all, paired_difference
from kft.records.choose import BackboneResult, Recommendation
from kft.records.estimate import Estimate, figure, widen

ALIKE = 1.25
"""Backbones whose work differs by less are as cheap: the better one is taken."""
Better = Callable[[str, str], Estimate]
CONSTANT = ""
"""The name of who reads nothing, where a difference is asked for."""


def judge(measured: Sequence[Measured], grounds: Grounds, approach: str) -> tuple[list[BackboneResult], Recommendation]:
    """Ranks what was measured and recommends one.

    Args:
        measured: In any order.
        grounds: What they were measured on.
        approach: By whose answers it is decided.

    Returns:
        The results, the best first and random weights last; and the recommendation.
    """
    metric, sign = grounds.metric, 1 if grounds.metric.higher_is_better else -1
    by_name = {each.candidate.name: each for each in measured}
    values = {name: metric.value(grounds.truth, each.answers[approach]) for name, each in by_name.items()}
    order = sorted(by_name, key=lambda name: (by_name[name].candidate.random, -sign * values[name]))
    considered = _considered(measured)
    best = max(considered, key=lambda each: sign * values[each.candidate.name])

    @cache
    def better(first: str, second: str, by: str = approach) -> Estimate:
        one, two = (by_name[name].answers[by] if name else grounds.constant for name in (first, second))
        found = paired_difference(metric, grounds.truth, one, two, groups=grounds.together)
        return signed(widen(found, len(measured) - 1), sign)

    results = [_result(by_name[name], best, grounds, better) for name in order]
    turned = {name: sign * value for name, value in values.items()}
    return results, recommend(measured, turned, better, metric.name, sign)


def recommend(
    measured: Sequence[Measured], values: Mapping[str, float], better: Better, metric: str, sign: int
) -> Recommendation:
    """Recommends the cheapest that is not significantly worse than the best; random weights are a yardstick alone.

    Args:
        measured: All.
        values: Of each by name, turned so that more is better.
        better: By how much the first does better than the second, with an interval that holds with the others.
        metric: What the values are called.
        sign: -1 where the values were turned.
    """
    prices = {each.candidate.name: each.cost.multiply_adds for each in measured}
    considered = [each.candidate.name for each in _considered(measured)]
    by_price = sorted(considered, key=lambda name: (prices[name], -values[name]))
    best = max(by_price, key=lambda name: values[name])

    def reached(name: str) -> str:
        return f"{figure(sign * values[name])} {metric}"

    over_constant = better(best, CONSTANT)
    if over_constant.low <= 0:
        why = (
            f"no backbone does better than a constant answer: the best is {best} with {reached(best)} out of fold, "
            f"{over_constant} over the constant, which may be chance; look at the labels first: kft check"
        )
        return Recommendation(None, why, best)
    behind, enough = keeping_up(by_price, best, better)
    cheap = [name for name in enough if prices[name] <= ALIKE * prices[enough[0]]]
    chosen = max(cheap, key=lambda name: values[name])
    if chosen == best:
        rivals = [name for name in by_price if name != best]
        said = f"it is the best with {reached(best)} out of fold"
        if rivals:
            second = max(rivals, key=lambda name: values[name])
            lead = behind[second]
            chance = ", which may be chance, but it is no dearer" if second in enough else ""
            said += f", {lead} over {second}, the next{chance}"
    else:
        said = (
            f"it is the cheapest that keeps up with {reached(chosen)} out of fold; {best} has {reached(best)}, a lead "
            f"of {behind[chosen]}, which may be chance"
        )
    return Recommendation(chosen, "; ".join([said, *_asides(measured, chosen, better)]), best)


def _considered(measured: Sequence[Measured]) -> Sequence[Measured]:
    """Returns those that may be recommended: pretrained, and read with their own vocabulary, where there are any."""
    pretrained = [each for each in measured if not each.candidate.random] or measured
    return [each for each in pretrained if not misread(each.tokens)] or pretrained


def _asides(measured: Sequence[Measured], chosen: str, better: Better) -> list[str]:
    """Says what random weights tell, and who was left out of the choice."""
    asides = []
    for each in (each for each in measured if each.candidate.random and each.candidate.name != chosen):
        gain = better(chosen, each.candidate.name)
        if gain.low > 0:
            asides.append(f"pretraining is worth {gain} here, against {each.candidate.name}")
        else:
            asides.append(
                f"{each.candidate.name}, with weights that have learned nothing, may do as well ({gain}): no "
                "pretrained backbone is shown to help, so kft compare's linear model may be enough"
            )
    left = [each.candidate.name for each in measured if not each.candidate.random and misread(each.tokens)]
    if left and chosen not in left:
        asides.append(f"not considered: {', '.join(left)}, read with a vocabulary that is not its own")
    return asides


def _result(each: Measured, best: Measured, grounds: Grounds, better: Callable[..., Estimate]) -> BackboneResult:
    metrics = grounds.task.kind.judging.metrics
    name = each.candidate.name
    sign = 1 if grounds.metric.higher_is_better else -1
    return BackboneResult(
        name=name,
        weights=each.candidate.weights,
        metrics={
            by: estimate_all(grounds.truth, answers, groups=grounds.together, metrics=metrics)
            for by, answers in each.answers.items()
        },
        paired={by: signed(better(best.candidate.name, name, by), -sign) for by in each.answers},
        chosen=each.chosen,
        cost=each.cost,
        tokens=each.tokens,
        languages=each.about.languages,
        licence=each.about.licence,
        weights_hash=each.weights_hash,
        flags=each.flags,
    )
