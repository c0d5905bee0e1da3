"""What to do next where a monitor has raised an alarm: in words, and as commands that can be copied."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from kft.records.monitored import MonitorResult
from kft.records.shipped import About
from kft.tasks.registry import TASKS

WORDS = {
    "broken": "look at what sends the inputs: a program may cut, garble or repeat them ({names})",
    "classes": "look at the shares of the answers: more of one class may be news, and no fault",
    "input": "inputs look otherwise ({names}): look at rows of the window that raised the alarm",
}
"""By the kind of a gauge that raised an alarm, where no command helps."""
WORTH_LABELS = ("foreign", "vocabulary", "scores", "classes", "input")
"""Kinds of which labels alone say what they cost."""
NO_NAME = ("-", "a DataFrame")
"""Data that no later command can be given."""


def next_steps(result: MonitorResult, artifact: str, about: About) -> tuple[str, ...]:
    """Returns what to do, the first thing first; nothing where no alarm was raised.

    Args:
        result: With slices and examples.
        artifact: As it was named.
        about: Of it.
    """
    return tuple(_steps(result, quote(artifact), about)) if result.drift else ()


def _steps(result: MonitorResult, artifact: str, about: About) -> Iterator[str]:
    kinds: dict[str, list[str]] = {}
    for each in result.gauges:
        if each.alarm:
            kinds.setdefault(each.kind, []).append(each.name)
    for kind, words in WORDS.items():
        if kind in kinds:
            yield words.format(names=", ".join(kinds[kind]))
    data = "DATA" if result.data in NO_NAME else quote(result.data)
    if result.examples is not None and not result.examples.came and result.taken.rows:
        yield f"see rows that speak for it: kft monitor {artifact} {data} --keep-examples 12 -o LOOK"
    if not set(kinds) & set(WORTH_LABELS) or "queue" in TASKS.get(about.task).kind.lacks:
        return
    label = "label" if about.receipt.label_columns_hold else about.receipt.label_column
    yield f"label some rows, to know what it costs: kft queue {artifact} {data} -n 100 -o to_label.csv"
    yield f"with their labels, what is right now: kft monitor {artifact} to_label.csv --labels {quote(label)}"
    yield "if that is too little, learn from them: kft retrain RUN --with to_label.csv"
