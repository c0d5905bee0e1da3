"""Texts that stand for amounts: shares, durations of training, sizes on disk."""

from __future__ import annotations

import math
import re

PERCENT = re.compile(r"^(\d{1,12}(?:\.\d{1,12})?)\s*%$", re.ASCII)
SIZE = re.compile(r"^(\d{1,12}(?:\.\d{1,12})?)\s*([KMGT]?)(i?)B$", re.IGNORECASE | re.ASCII)
INTERVAL = re.compile(r"^([1-9]\d{0,11})\s*(steps?|min(?:utes?)?)$", re.ASCII)
DURATION = re.compile(r"^(\d{1,12}(?:\.\d{1,12})?)\s*(%|steps?|epochs?)$", re.ASCII)


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


def parse_interval(text: str) -> tuple[int, str]:
    """Splits ``"500 steps"`` or ``"10 minutes"`` into amount and unit (``step``, ``minute``).

    Raises:
        ValueError: The text has neither form.

    Example:
        >>> parse_interval("500 steps"), parse_interval("10 min")
        ((500, 'step'), (10, 'minute'))
    """
    match = INTERVAL.match(text.strip())
    if not match:
        raise ValueError("an interval such as '10 minutes' or '500 steps'")
    return int(match.group(1)), "step" if match.group(2).startswith("step") else "minute"


def parse_size(text: str) -> int:
    """Returns the bytes that ``"20 GB"`` or ``"512 MiB"`` stands for.

    Raises:
        ValueError: The text is no size.

    Example:
        >>> parse_size("20 GB"), parse_size("1KiB")
        (20000000000, 1024)
    """
    match = SIZE.match(text.strip())
    if not match:
        raise ValueError("a size such as '20 GB' or '512 MiB'")
    amount, prefix, binary = match.groups()
    return round(float(amount) * (1024 if binary else 1000) ** "_KMGT".index(prefix.upper() or "_"))


def format_seconds(value: float) -> str:
    """Returns seconds as a short text.

    Example:
        >>> format_seconds(2.345), format_seconds(1234.5)
        ('2.3 s', '1,234 s')
    """
    return f"{value:.1f} s" if value < 10 else f"{value:,.0f} s"


def format_count(value: float) -> str:
    """Returns a number of things as a short text.

    Example:
        >>> format_count(950), format_count(22_700_000)
        ('950', '22.7 M')
    """
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.0f}"


def format_size(size: float) -> str:
    """Returns bytes as a person reads them.

    Example:
        >>> format_size(512), format_size(250_000_000)
        ('512 B', '238.4 MiB')
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    step = min(len(units) - 1, int(math.log(max(size, 1), 1024)))
    return f"{size:.0f} B" if step == 0 else f"{size / 1024**step:,.1f} {units[step]}"
