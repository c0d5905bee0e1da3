"""One helper that turns steps, epochs or a share of training into steps."""

from __future__ import annotations

import re

PERCENT = re.compile(r"^(\d+(?:\.\d+)?)\s*%$")
DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(%|steps?|epochs?)$")


def parse_percent(text: str) -> float | None:
    """Returns the fraction that ``"15%"`` stands for, or None when the text is no percentage.

    Example:
        >>> parse_percent("15%"), parse_percent("valid.csv")
        (0.15, None)
    """
    match = PERCENT.match(text.strip())
    return float(match.group(1)) / 100 if match else None


def parse_duration(text: str) -> tuple[float, str]:
    """Splits ``"10%"``, ``"200 steps"`` or ``"1 epoch"`` into amount and unit (``%``, ``step``, ``epoch``).

    Raises:
        ValueError: The text has none of these forms.
    """
    match = DURATION.match(text.strip())
    if not match:
        raise ValueError("a duration such as '10%', '200 steps' or '1 epoch'")
    return float(match.group(1)), match.group(2).rstrip("s")


def duration_in_steps(text: str, *, total_steps: int, steps_per_epoch: int) -> int:
    """Returns a duration in optimizer steps, at most ``total_steps``.

    Example:
        >>> duration_in_steps("10%", total_steps=200, steps_per_epoch=50)
        20
        >>> duration_in_steps("1 epoch", total_steps=200, steps_per_epoch=50)
        50
    """
    amount, unit = parse_duration(text)
    scale = {"%": total_steps / 100, "step": 1, "epoch": steps_per_epoch}[unit]
    return min(total_steps, round(amount * scale))
