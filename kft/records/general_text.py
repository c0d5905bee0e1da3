"""What tuning a language model costs on text that it was not tuned on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kft.records.estimate import Estimate

WARNS_ABOVE = 1.1
"""A warning comes where the whole interval of the ratio lies above."""


@dataclass(frozen=True)
class GeneralText:
    """How likely a model finds general text, before tuning and after.

    Attributes:
        name: What the texts are called.
        n: How many.
        before: The untuned model's perplexity, over the tokens of all texts; their ends are not asked.
        after: The tuned one's.
        ratio: After over before, paired by text: 1 where nothing has changed, above where less is expected.
    """

    KEYS: ClassVar = ("name", "n", "before", "after", "ratio", "warning")

    name: str
    n: int
    before: Estimate
    after: Estimate
    ratio: Estimate

    @property
    def warning(self) -> str | None:
        """What a person should know, in words; None where little was lost, or it may be chance."""
        if self.ratio.low <= WARNS_ABOVE:
            return None
        return (
            f"general text is {self.ratio.value:.2f} times as surprising to the tuned model as to the untuned one; "
            "a lower lr, fewer epochs or lora of fewer weights keep more"
        )

    @property
    def lines(self) -> tuple[str, ...]:
        """In words, for people."""
        said = (
            f"perplexity of {self.name}, {self.n:,} texts: {self.before.value:.3g} before, {self.after.value:.3g} now; "
            f"{self.ratio} times as much"
        )
        return (said, self.warning) if self.warning else (said,)
