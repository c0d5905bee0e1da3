"""Too little data: classes, labels or kinds of span with too few rows to be learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from kft.audit.check import Check
from kft.audit.texts import counted, listed
from kft.audit.view import AuditView
from kft.records.findings import Finding
from kft.split.data_split import labels_of

LEARNABLE, USABLE, COMFORTABLE = 5, 10, 20
"""Rows a class: below the first, a class is its few examples and nothing more; below the second, what is measured of
it hangs on chance; from the third on, features of a pretrained backbone usually carry it (docs/log.md)."""
FEWEST_NUMBERS, FEW_NUMBERS = 20, 100
"""Rows in all, where numbers are learned."""


def check_amount(view: AuditView) -> Iterable[Finding]:
    """Looks for too few rows a class in train."""
    kind, labels = view.task.kind, list(labels_of(view.split.train))
    shares = view.split.train.shares
    if shares is not None:  # a share of a row is so much of a row
        totals = shares.of(view.split.labels).sum(axis=0)
        yield from judge_classes(dict(zip(view.split.labels, map(round, totals.tolist()), strict=True)))
    elif view.split.labels:
        names = Counter(name for label in labels for name in set(kind.labels.names(label)))
        yield from judge_classes({name: names[name] for name in view.split.labels})
    else:
        yield from judge_numbers(len(labels), "a number" if kind.numeric else "an answer")


def judge_classes(rows: Mapping[str, int]) -> Iterable[Finding]:
    """Judges how many rows of train each class has.

    Example:
        >>> [finding] = judge_classes({"a": 40, "b": 7})
        >>> finding.severity, finding.advice
        ('warning', 'Add about 3 labelled rows: b needs 3.')
    """
    order = sorted(rows, key=lambda name: rows[name])
    poor = [name for name in order if rows[name] < LEARNABLE]
    few = [name for name in order if rows[name] < USABLE]
    some = [name for name in order if rows[name] < COMFORTABLE]
    details = {"rows_per_class": dict(rows), "fewest": rows[order[0]], "classes": len(rows)}
    if 2 * len(poor) >= len(rows):
        yield Finding(
            "amount",
            "error",
            counted(len(poor), len(rows), "classes", f"have fewer than {LEARNABLE} rows in train: too few to learn."),
            _wanted(poor, rows, USABLE) + " Or merge classes.",
            len(poor) / len(rows),
            details=details,
        )
    elif few:
        yield Finding(
            "amount",
            "warning",
            counted(len(few), len(rows), "classes", f"have fewer than {USABLE} rows in train, the smallest ")
            + f"{rows[order[0]]}.",
            _wanted(few, rows, USABLE),
            len(few) / len(rows),
            details=details,
        )
    elif 2 * len(some) >= len(rows):
        yield Finding(
            "amount",
            "note",
            counted(len(some), len(rows), "classes", f"have fewer than {COMFORTABLE} rows in train."),
            _wanted(some, rows, COMFORTABLE) + " More rows will help more than more training.",
            len(some) / len(rows),
            details=details,
        )


def judge_numbers(rows: int, what: str = "a number") -> Iterable[Finding]:
    """Judges how many rows of train there are where no class is learned, but a number, say, or a text.

    Example:
        >>> [finding.severity for finding in judge_numbers(12)], list(judge_numbers(500))
        (['error'], [])
    """
    if rows < FEW_NUMBERS:
        yield Finding(
            "amount",
            "error" if rows < FEWEST_NUMBERS else "warning",
            f"train has {rows} rows, from which {what} can hardly be learned.",
            f"Add about {FEW_NUMBERS - rows} labelled rows.",
            1 - rows / FEW_NUMBERS,
            details={"rows": rows},
        )


def _wanted(names: list[str], rows: Mapping[str, int], goal: int) -> str:
    lacking = {name: goal - rows[name] for name in names}
    each = listed([f"{name} needs {lacking[name]}" for name in names])
    return f"Add about {sum(lacking.values()):,} labelled rows: {each}."


CHECK = Check("amount", "too few rows for what is to be learned", check_amount, rank=10)
