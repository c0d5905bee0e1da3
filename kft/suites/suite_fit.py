"""Whether a model can answer a suite: its labels, the changes to what it reads, the files that are named."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from kft.errors import SuiteError
from kft.recipe.explain import Misfit
from kft.registry import nearest
from kft.suites.perturbation import EXCHANGE
from kft.suites.perturbations import PERTURBATIONS
from kft.suites.suite import DECLINES, CheckSpec, Suite
from kft.tasks.registry import tasks_with_suites
from kft.tasks.task import Task


def require_fit(suite: Suite, task: Task, labels: Collection[str]) -> None:
    """Refuses a suite that a model cannot answer, before anything is computed.

    Args:
        suite: The suite.
        task: What the model reads and answers.
        labels: The labels it knows; of queries, the ids of the documents.

    Raises:
        SuiteError: Lists every label it does not know, every change and input of another modality, and every file that
            is not there, and every check that such answers cannot be held to; or the task has no edge cases.
    """
    if task.kind.judging.as_label is None:
        raise SuiteError(
            "edge cases are not judged for this task",
            where=str(suite.path),
            received=task.name,
            expected=tasks_with_suites(),
        )
    found = [misfit for place, check in enumerate(suite.spec.checks) for misfit in _unfit(suite, place, check, task)]
    found += [
        misfit for place, check in enumerate(suite.spec.checks) for misfit in _unjudged(suite, place, check, task)
    ]
    found += _unknown_labels(suite, task, labels)
    if found:
        raise suite.error(found)


def _unjudged(suite: Suite, place: int, check: CheckSpec, task: Task) -> Iterator[Misfit]:
    """Yields what answers of this kind cannot be held to."""
    kind = task.kind
    if kind.searches:
        yield from _not_of_queries(suite, place, check, task)
        return
    if kind.writes:
        yield from _not_of_prompts(place, check, task)
        return
    if check.expect == DECLINES or any(case.context for case in check.cases):
        yield ("checks", place), f"passages are for prompts that are answered from some; the task is {task.name}"
    if check.among_first is not None:
        yield ("checks", place, "among_first"), f"`among_first` is for text-embedding; the task is {task.name}"
    if not kind.one_class and check.kind != "invariance":
        yield ("checks", place, "kind"), f"{check.kind} is for one class of many; {task.name} has invariance alone"
    if kind.numeric and check.kind == "invariance" and check.within is None:
        yield ("checks", place), "needs `within`: how far the number may move"
    if not kind.numeric and check.within is not None:
        yield ("checks", place, "within"), f"`within` is for numbers; the task is {task.name}"
    if kind.labels.moved is None:
        return
    for number, change in enumerate(check.changes):
        if PERTURBATIONS.get(change.name).keeps is None:
            known = ", ".join(entry.name for entry in PERTURBATIONS if entry.keeps is not None)
            text = f"after {change.name} nobody knows where a span stands (known: {known})"
            yield ("checks", place, "changes", number), text
    for number, case in enumerate(suite.source_of(check).cases):
        if case.changed is not None:
            yield (
                ("checks", place, "cases", number, "changed"),
                "after a change by hand nobody knows where a span stands",
            )


def _not_of_queries(suite: Suite, place: int, check: CheckSpec, task: Task) -> Iterator[Misfit]:
    """Yields what a query's documents cannot be held to: a vector says nothing of how sure it is."""
    if check.kind == "directional":
        yield ("checks", place, "kind"), f"directional is for probabilities; {task.name} has must_pass and invariance"
    if check.within is not None:
        yield ("checks", place, "within"), "`within` is for numbers; `among_first` says how far a document may fall"
    if check.kind != "must_pass":
        return
    source = suite.source_of(check)
    for number, case in enumerate(source.cases):
        if case.abstain or case.confidence_at_most is not None:
            text = "a query is answered by documents alone: `label`, and neither abstain nor confidence_at_most"
            yield ("checks", place, *(("cases", number) if source is check else ())), text


def _not_of_prompts(place: int, check: CheckSpec, task: Task) -> Iterator[Misfit]:
    """Yields what written answers cannot be held to."""
    for key in ("within", "among_first"):
        if getattr(check, key) is not None:
            yield ("checks", place, key), f"`{key}` is not for written answers; the task is {task.name}"
    if check.kind == "directional" and check.expect != DECLINES:
        yield ("checks", place, "expect"), f"{check.expect} is for probabilities; {task.name} has {DECLINES}"
    for number, change in enumerate(check.changes):
        if check.kind == "invariance" and change.name == EXCHANGE:
            text = f"from another's passages the same answer would be wrong: directional, with expect: {DECLINES}"
            yield ("checks", place, "changes", number), text


def _unknown_labels(suite: Suite, task: Task, labels: Collection[str]) -> Iterator[Misfit]:
    if task.kind.writes:  # any text can be written
        return
    what = "document of the run" if task.kind.searches else "label of the model"
    for place, check in enumerate(suite.spec.checks):
        named: list[tuple[tuple[str | int, ...], tuple[str, ...]]] = [(("checks", place, "label"), check.label)]
        named += [(("checks", place, "cases", number, "label"), case.label) for number, case in enumerate(check.cases)]
        for where, given in named:
            for label in given:
                if label not in labels:
                    hint = nearest(label, list(labels))
                    known = ", ".join(list(labels)[:10]) + (" ..." if len(labels) > 10 else "")
                    text = f"no {what}: {label!r}" + (f"; did you mean {hint}?" if hint else "")
                    yield where, f"{text} (known: {known})"


def _unfit(suite: Suite, place: int, check: CheckSpec, task: Task) -> Iterator[Misfit]:
    reads = task.reads
    for number, change in enumerate(check.changes):
        if not PERTURBATIONS.get(change.name).fits(reads):
            known = ", ".join(entry.name for entry in PERTURBATIONS if entry.fits(reads))
            text = f"{change.name} is not a change to {reads.medium}s (known: {known})"
            yield ("checks", place, "changes", number), text
        if change.side != "both" and not reads.pairs:
            yield ("checks", place, "changes", number), f"`side` is for text-pairs; the task is {task.name}"
    if check.rows is not None and not (suite.path.parent / check.rows.file).exists():
        yield ("checks", place, "rows", "file"), f"no such file: {check.rows.file}"
    for number, case in enumerate(check.cases):
        for key, given in (("input", case.input), ("changed", case.changed)):
            problem = "" if given is None else _problem(given, task, suite.path.parent)
            if problem:
                yield ("checks", place, "cases", number, key), problem


def _problem(given: Any, task: Task, base: Path) -> str:
    if isinstance(given, tuple) != (task.reads.pairs):
        return "a list of two texts is wanted" if task.reads.pairs else "one input is wanted, not two"
    if task.reads.files and not (base / given).is_file():
        return f"no such image: {given}"
    return ""
