"""Cells that say yes or no: what stands in tables that have one column for each label."""

from __future__ import annotations

from typing import Any

from kft.tasks.cells import kind_problem
from kft.tasks.spelling import spelled

YES = ("1", "true", "yes", "y", "t", "x", "on", "\u2713", "\u2714", "\u2611", "\u2705")
NO = ("0", "false", "no", "n", "f", "off", "-", "\u2717", "\u2718", "\u2610", "\u274c")


def read_mark(cell: Any) -> bool | None:
    """Returns whether a cell says yes; None where it says nothing.

    Raises:
        ValueError: It says something else.

    Example:
        >>> read_mark("Yes"), read_mark(0.0), read_mark(" ")
        (True, False, None)
    """
    problem = kind_problem(cell, "mark")
    if problem:
        raise ValueError(problem)
    text = spelled(cell).lower()
    if not text:
        return None
    if text in YES or text in NO:
        return text in YES
    raise ValueError(f"{spelled(cell)[:20]!r}, which is neither yes nor no")


def is_mark(cell: Any) -> bool:
    """Whether a cell says yes, no, or nothing.

    Example:
        >>> is_mark("x"), is_mark("billing")
        (True, False)
    """
    try:
        read_mark(cell)
    except ValueError:
        return False
    return True
