"""What the names of labels say: as texts, they are examples of what they stand for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kft.tasks.task import Task


def describe_label(label: str) -> str:
    """Returns a label's name as words.

    Example:
        >>> describe_label("card_arrival"), describe_label("RefundNotShowing"), describe_label("Q&A")
        ('card arrival', 'refund not showing', 'q&a')
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", label)
    return " ".join(re.sub(r"[_\-/.]+", " ", parted).split()).lower()


def why_no_names(task: Task, labels: Sequence[str]) -> str:
    """Says why the names of labels cannot be compared with inputs; empty when they can.

    Example:
        >>> from kft.tasks.registry import TASKS
        >>> why_no_names(TASKS.get("text-classification"), ("card_arrival", "7"))
        "label names such as '7' say nothing"
    """
    if task.reads.files:
        return "a backbone for images reads no label names"
    if task.reads.pairs:
        return "a label name is not a pair of texts"
    if task.kind.learning.per_token:
        return "the name of a kind of span is no word of it"
    unnamed = [label for label in labels if not re.search(r"[^\W\d_]{2}", label)]
    return f"label names such as {unnamed[0]!r} say nothing" if unnamed else ""
