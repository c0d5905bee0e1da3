"""From what the approaches reached, on train and valid alone, to one recommendation, in words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from kft.records.compare import Verdict
from kft.records.estimate import Estimate, figure

BASELINE = "majority"
TUNED = ("lora", "top", "full")
"""Approaches that change the backbone's weights, or add to them."""

WITH_PASSAGES = "+passages"
"""Ends the name of an approach that answers from passages."""
RUNGS = {
    "prompt": ("prompting", "zero-shot", "few-shot"),
    "retrieval": ("retrieval", "retrieved-shots", "zero-shot" + WITH_PASSAGES),
}
"""What comes before fine-tuning in the order of work."""

ALIKE = ("retrieval", "probe", "blend")
"""Approaches that cost alike: one pass of the frozen backbone, and next to nothing beside it."""

ENOUGH = {
    "linear": "words and their neighbours are enough: a linear model needs no backbone",
    "zero-shot": "the right prompt is enough: the model answers as it is",
    "few-shot": "the right prompt is enough, with fixed examples before it",
    "retrieved-shots": "the right prompt and the right retrieval are enough",
    "zero-shot+passages": "the right prompt and the right passages are enough",
    "names": "the names of the labels are enough: no training pays",
    "prompting": "the right prompt is enough: a language model answers without training",
    "retrieval": "looking up the nearest labelled examples is enough",
    "blend": "a blend of cheap models on the frozen backbone is enough",
    "probe": "a head on the frozen backbone is enough",
    "scratch": "pretraining brings nothing here that training from scratch does not",
}


@dataclass(frozen=True)
class Reached:
    """What an approach reached before test was opened.

    Attributes:
        valid: The metric on valid.
        known: The metric on train and valid together, each example answered by what saw nothing of its fold; None of
            what was trained on train, for which valid alone is honest.
    """

    valid: float
    known: float | None = None

    @property
    def value(self) -> float:
        """On all rows that it can be judged by."""
        return self.valid if self.known is None else self.known


@dataclass(frozen=True)
class Lead:
    """By how much one approach is ahead of another.

    Attributes:
        estimate: With its interval.
        rows: On how many examples it stands.
        out_of_fold: Whether these are train and valid, answered out of fold; else valid alone.
    """

    estimate: Estimate
    rows: int
    out_of_fold: bool

    def __str__(self) -> str:
        return f"{self.estimate} on {said_rows(self.rows, self.out_of_fold)}"


def said_rows(rows: int, out_of_fold: bool) -> str:
    """Says what a figure stands on.

    Example:
        >>> said_rows(770, True)
        '770 rows out of fold'
    """
    return f"{rows:,} rows out of fold" if out_of_fold else f"{rows:,} rows of valid"


def decide(
    reached: Mapping[str, Reached],
    difference: Callable[[str, str], Lead],
    *,
    metric: str = "accuracy",
    higher_is_better: bool = True,
    alike: Collection[str] = ALIKE,
    baseline: str = "the majority class",
) -> Verdict:
    """Recommends the cheapest approach that is not significantly worse than the best.

    Approaches that answered train and valid out of fold are held against one another on all of these rows; valid alone
    says what a trained one is worth beside them. One that many rows prove worse than another is out, whatever few rows
    say. Of those that cost alike the best is taken: its lead may be chance, but it is no dearer. No figure of the test
    split belongs here. The best is the luckiest of several, so that the intervals have to be widened for that (see
    ``kft.records.estimate.widen``).

    Args:
        reached: By each approach, cheapest first.
        difference: The paired difference (first less second) of two approaches; it also knows ``majority`` where
            ``reached`` does not.
        metric: What the values are called.
        higher_is_better: Whether more of it is better.
        alike: Approaches that cost alike.
        baseline: What ``majority`` answers, in words.

    Example:
        >>> reached = {"majority": Reached(0.5, 0.5), "linear": Reached(0.90, 0.9), "top": Reached(0.91)}
        >>> def difference(first, second):
        ...     gap = reached[first].valid - reached[second].valid
        ...     return Lead(Estimate(gap, gap - 0.02, gap + 0.02), 200, False)
        >>> decide(reached, difference).approach
        'linear'
    """
    sign = 1 if higher_is_better else -1

    def lead(first: str, second: str) -> Lead:
        found = difference(first, second)
        return replace(found, estimate=signed(found.estimate, sign))

    leaders = leaders_of(reached, sign)
    best = leaders[0]
    over_baseline = [lead(name, BASELINE) for name in leaders]
    if best == BASELINE or all(each.estimate.low <= 0 for each in over_baseline):
        return Verdict(BASELINE, _nothing(best, reached, over_baseline[0], (metric, baseline)), best)
    rivals = [name for name in reached if name != BASELINE]
    enough = set(rivals)
    for leader in leaders:
        held = [name for name in rivals if leader == best or reached[name].known is not None]
        enough -= set(held) - set(keeping_up(held, leader, lambda first, second: lead(first, second).estimate)[1])
    chosen = next((name for name in rivals if name in enough), best)
    if chosen in alike:
        chosen = max(enough & set(alike), key=lambda name: (sign * reached[name].value, -rivals.index(name)))
    why = _why(chosen, reached, lead, metric, leaders, sign)
    if chosen == best:
        return Verdict(chosen, f"{why}; nothing measured is better", best)
    ahead = lead(best, chosen)
    known = reached[best].known
    value = known if ahead.out_of_fold and known is not None else reached[best].valid
    return Verdict(chosen, f"{why}; {best} has {figure(value)}, a lead of {ahead}, which may be chance", best)


def is_tuned(name: str) -> bool:
    """Whether an approach changes the backbone's weights, or adds to them."""
    return name.removesuffix(WITH_PASSAGES) in TUNED


def leaders_of(reached: Mapping[str, Reached], sign: int) -> list[str]:
    """Returns the best, and after one that was trained on train the best of those that answered out of fold.

    Of several alike it is the first, which is the cheapest.

    Args:
        reached: By each approach, cheapest first.
        sign: 1 where more is better, else -1.
    """
    crossed = [name for name in reached if reached[name].known is not None]
    trained = [name for name in reached if reached[name].known is None]
    first = max(crossed, key=lambda name: sign * reached[name].value) if crossed else None
    other = max(trained, key=lambda name: sign * reached[name].valid) if trained else None
    if first is None or other is None:
        return [name for name in (first, other) if name is not None]
    return [other, first] if sign * reached[other].valid > sign * reached[first].valid else [first]


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


def _nothing(best: str, reached: Mapping[str, Reached], over: Lead, said: tuple[str, str]) -> str:
    metric, baseline = said
    if best == BASELINE:
        found = f"the best {metric} is that of the constant answer"
    else:
        found = f"the best is {best} with {figure(reached[best].value)} {metric}, a lead of {over}, which may be chance"
    return f"nothing beats {baseline}: {found}; look at the labels before any model: kft check"


def _why(
    chosen: str,
    reached: Mapping[str, Reached],
    lead: Callable[[str, str], Lead],
    metric: str,
    leaders: Sequence[str],
    sign: int,
) -> str:
    out_of_fold = reached[chosen].known is not None
    value = f"{figure(reached[chosen].value)} {metric} {'out of fold' if out_of_fold else 'on valid'}"
    if not is_tuned(chosen):
        return f"{ENOUGH[chosen]}{_beside_tuning(chosen, reached)} ({value})"
    untuned = {name: each for name, each in reached.items() if name != BASELINE and not is_tuned(name)}
    rival = next((name for name in leaders if name in untuned), None)
    rival = rival or (leaders_of(untuned, sign)[0] if untuned else BASELINE)
    gain = lead(chosen, rival)
    if gain.estimate.low <= 0:
        return f"{chosen} is the cheapest that keeps up ({value}), {gain} over {rival}{_rungs(reached, sign)}"
    return (
        f"fine-tuning pays: {chosen} gains {gain.estimate} {metric} over {rival}, the best without it ({value}), on "
        f"{said_rows(gain.rows, gain.out_of_fold)}{_rungs(reached, sign)}"
    )


def _beside_tuning(chosen: str, reached: Mapping[str, Reached]) -> str:
    """Says that fine-tuning does not pay; or that nobody has measured whether it does."""
    if chosen == "scratch":
        return ""
    if not any(map(is_tuned, reached)):
        return " among these; no fine-tuned model was measured"
    return f"{', so' if ':' in ENOUGH[chosen] else ':'} do not fine-tune"


def _rungs(reached: Mapping[str, Reached], sign: int) -> str:
    """Says what prompt and retrieval came to before fine-tuning was worth it; nothing where no model was prompted."""
    said: list[str] = []
    for rung, names in RUNGS.items():
        values = [sign * reached[name].value for name in names if name in reached]
        if values:
            said.append(f"the right {rung}{'' if said else ' has'} {figure(sign * max(values))}")
    if not set(RUNGS["prompt"]) & set(reached):
        return ""
    return f"; in the order of work, {', '.join(said)}, and then comes fine-tuning"
