"""The figure that choices were made by, beside that of the test split: do they say the same?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kft.records.estimate import Estimate, figures, metric_title
from kft.records.fields import absent


@dataclass(frozen=True)
class ValidResult:
    """What valid said of the kept weights, and whether test says something else.

    Attributes:
        metric: The task's first.
        value: On valid.
        n: Examples of valid that choices were made by.
        test: On test.
        difference: Valid less test, with a 99 % interval: where splits are alike, one run in a hundred lies outside.
        flatters: Whether valid shows the model better than test does, by whatever the metric counts as better.
        causes: What may be behind it, the likeliest first; none where the two agree.
        next_steps: Commands or settings to try, one for each cause.
        before_refit: Whether the weights have learned from valid since it judged them: its figure is from before that.
    """

    KEYS: ClassVar = (
        *("metric", "value", "n", "test", "difference", "flatters", "apart", "causes", "next_steps"),
        "before_refit",
    )

    metric: str
    value: float
    n: int
    test: float
    difference: Estimate
    flatters: bool
    causes: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    before_refit: bool = absent(False)

    @property
    def apart(self) -> bool:
        """Whether the two differ by more than chance."""
        return self.difference.low > 0 or self.difference.high < 0

    @property
    def said(self) -> str:
        """The finding as one sentence, without a full stop."""
        title = metric_title(self.metric)
        when = ", before the refit" if self.before_refit else ""
        valid, test = figures(self.value, self.test)
        both = f"{title} {valid} on valid ({self.n:,} examples{when}), {test} on test"
        if not self.apart:
            return f"{both}: no further apart than chance allows"
        which = "valid looks too good" if self.flatters else "test is easier than valid"
        found = self.difference
        value, low, high = figures(found.value, found.low, found.high, sign="+")
        return f"{both}: {which}, by more than chance (difference {value} [{low}, {high}], 99 %)"
