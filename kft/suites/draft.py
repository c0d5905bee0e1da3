"""Drafts a suite of edge cases for a person to edit: from rows of train that a run answers right, never from test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data.examples import Examples
from kft.errors import SuiteError, UsageError
from kft.metrics.language import right_answers, spoken
from kft.recipe.evaluation import SAME
from kft.records.findings import Finding
from kft.split.data_split import labels_of
from kft.split.labels import prompts_of
from kft.suites.searched import Searched
from kft.suites.suite_text import Shortcut, SuiteRow, is_changed, texts_in, write_suite
from kft.suites.written import write_answers
from kft.tasks.classes import Prediction
from kft.tasks.registry import one_class_tasks
from kft.tasks.responses import Grounded
from kft.tasks.task import Task

if TYPE_CHECKING:
    from kft.answer.artifact import Artifact

MOST_ROWS, ROWS_A_CLASS = 36, 8
"""Rows of the draft: what a person can still read."""
MOST_ANSWERED = 400
"""Rows of train that are answered to find them."""
MOST_PROMPTS, MOST_WRITTEN = 12, 48
"""The same of prompts, whose answers are written a token at a time."""
LONGEST = 400
"""Longer texts are taken only where a class has no shorter ones: a person has to read them."""
MOST_SHORTCUTS, ROWS_A_SHORTCUT = 10, 10


@dataclass(frozen=True)
class SuiteDraft:
    """What was drafted.

    Attributes:
        path: The file.
        rows: How many rows of train it holds.
        classes: How many classes they have.
        checks: Names of the checks.
        shortcuts: Token and class of each shortcut that is tested for.
        of: What people call the classes.
    """

    path: Path
    rows: int
    classes: int
    checks: tuple[str, ...]
    shortcuts: tuple[tuple[str, str], ...]
    of: str = "classes"

    def as_dict(self) -> dict[str, Any]:
        shortcuts = [{"token": token, "class": label} for token, label in self.shortcuts]
        return {
            "suite": str(self.path),
            "rows": self.rows,
            "classes": self.classes,
            "checks": list(self.checks),
            "shortcuts": shortcuts,
        }


def refuse_draft(target: Path, task: Task) -> None:
    """Refuses to draft where a file is there already, or for a task whose edge cases cannot be judged.

    Raises:
        UsageError: The file is there; it may hold a person's work.
        SuiteError: The task gives an example neither one class of many nor documents.
    """
    if target.exists():
        raise UsageError(
            "the suite already exists; it is not overwritten",
            where=str(target),
            next_step="choose another --draft-suite FILE, or delete it",
        )
    if not (task.kind.one_class or task.kind.searches or task.kind.writes):
        raise SuiteError(
            "a suite is drafted where an example has one class of many, documents or a response; "
            "write one by hand, of invariance",
            received=task.name,
            expected=f"{one_class_tasks()}, text-embedding or causal-lm",
        )


def draft(
    artifact: Artifact,
    train: Examples,
    findings: Sequence[Finding],
    target: Path,
    run: str,
    *,
    seed: int,
    searched: Searched | None = None,
) -> tuple[str, SuiteDraft]:
    """Returns a commented suite, and what is in it.

    Args:
        artifact: The run's best.
        train: The rows that it was trained on.
        findings: Those of findings.json: shortcuts are tested for, rows with personal data are not quoted.
        target: The file that it is for: paths of images start from its folder.
        run: What the run is called.
        seed: Of the choice of rows.
        searched: The documents that queries are answered with; None where answers are no vectors.

    Raises:
        SuiteError: The run answers none of the rows right.
    """
    task = artifact.reader.task
    rng = np.random.default_rng(seed)
    personal = {name for finding in findings if finding.check == "personal-data" for name in finding.rows}
    places = [place for place, name in enumerate(train.ids) if str(name) not in personal]
    if task.kind.writes:
        rows = _written_right(artifact, train, rng.permutation(places)[:MOST_WRITTEN].tolist())[:MOST_PROMPTS]
    elif searched is None:
        right = _right(artifact, train, _candidates(train, places, rng))
        rows = choose_rows(right, Counter(map(str, labels_of(train))))
    else:
        rows = _found(artifact, train, rng.permutation(places)[:MOST_ANSWERED].tolist(), searched)[:MOST_ROWS]
    if not rows:
        raise SuiteError(
            "the run gives no right answer to any row that was tried, so there is nothing to hold it to",
            received=f"{min(len(places), MOST_WRITTEN if task.kind.writes else MOST_ANSWERED)} rows of train",
            next_step=f"kft evaluate {run} says how good it is",
        )
    classes = task.kind.one_class and not task.reads.files
    shortcuts = [] if not classes else list(_shortcuts(artifact, train, places, findings, rows))
    text, names = write_suite(rows, shortcuts, task, target, run)
    found = tuple((shortcut.token, shortcut.label) for shortcut in shortcuts)
    of = "documents" if searched else "right responses" if task.kind.writes else "classes"
    return text, SuiteDraft(target, len(rows), len({row.label for row in rows}), names, found, of)


def _candidates(train: Examples, places: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Returns rows to try: as many of each class, readable ones first."""
    labels, by_class = labels_of(train), dict[str, list[int]]()
    for place in rng.permutation(places).tolist():
        by_class.setdefault(str(labels[place]), []).append(place)
    each = min(max(2, MOST_ANSWERED // max(1, len(by_class))), 4 * ROWS_A_CLASS)
    chosen = []
    for members in by_class.values():
        chosen += sorted(members, key=lambda place: sum(map(len, texts_in(train.inputs[place]))) > LONGEST)[:each]
    return sorted(chosen)


def _right(artifact: Artifact, train: Examples, places: Sequence[int]) -> list[SuiteRow]:
    labels = labels_of(train)
    answers: Sequence[Any] = artifact.predict([train.inputs[place] for place in places])
    rows = []
    for place, answer in zip(places, answers, strict=True):
        assert isinstance(answer, Prediction)
        if answer.label == labels[place] and not answer.abstain:
            rows.append(SuiteRow(train.inputs[place], answer.label))
    return rows


def _written_right(artifact: Artifact, train: Examples, places: Sequence[int]) -> list[SuiteRow]:
    """Returns the prompts to which the right response is written, as the run promises it.

    Raises:
        SuiteError: They are chats, or plain texts: a case is one prompt.
    """
    labels, prompts = labels_of(train), prompts_of(train)
    asked = [prompts[place] for place in places]
    if others := [type(each).__name__ for each in asked if not isinstance(each, str | Grounded)]:
        raise SuiteError(
            "a suite is drafted of prompts with a response each; write one by hand",
            received=f"{len(others):,} rows of another kind ({others[0]})",
            expected="data.text and data.label",
        )
    rule = artifact.spec.evaluate.abstain_at
    said = write_answers(artifact, asked)
    right = right_answers(
        SAME if rule is None else rule.right, [labels[place] for place in places], spoken([each.text for each in said])
    )
    return [
        SuiteRow(given, labels[place])
        for given, place, answer, is_right in zip(asked, places, said, right, strict=True)
        if is_right and not answer.abstain
    ]


def _found(artifact: Artifact, train: Examples, places: Sequence[int], searched: Searched) -> list[SuiteRow]:
    """Returns the queries whose first document answers them."""
    labels, queries = labels_of(train), [train.inputs[place] for place in places]
    found = searched.ranked(artifact.answers(queries))
    return [
        SuiteRow(query, labels[place][0], tuple(labels[place][1:]))
        for place, query, ranking in zip(places, queries, found, strict=True)
        if ranking.documents[0] in labels[place]
    ]


def choose_rows(rows: Sequence[SuiteRow], sizes: Mapping[str, int]) -> list[SuiteRow]:
    """Takes from each class in turn, from the rarest on, so that rare ones are there.

    Args:
        rows: To choose from.
        sizes: How many rows of train each class has.

    Returns:
        At most 36, at most 8 of a class, sorted by class.

    Example:
        >>> rows = [SuiteRow("a", "x"), SuiteRow("b", "x"), SuiteRow("c", "y")]
        >>> [row.given for row in choose_rows(rows, {"x": 90, "y": 10})]
        ['a', 'b', 'c']
    """
    waiting: dict[str, list[SuiteRow]] = {}
    for row in rows:
        waiting.setdefault(row.label, []).append(row)
    order = sorted(waiting, key=lambda label: (sizes[label], label))
    chosen = [waiting[label][turn] for turn in range(ROWS_A_CLASS) for label in order if turn < len(waiting[label])]
    return sorted(chosen[:MOST_ROWS], key=lambda row: row.label)


def _shortcuts(
    artifact: Artifact,
    train: Examples,
    places: Sequence[int],
    findings: Sequence[Finding],
    rows: Sequence[SuiteRow],
) -> Iterator[Shortcut]:
    known = {str(train.ids[place]): place for place in places}
    planted = [
        finding
        for finding in findings
        if finding.check == "shortcuts" and finding.severity != "note" and finding.details["family"] == "token"
    ]
    tokens: dict[str, Finding] = {}
    for finding in planted:  # the worst first
        tokens.setdefault(finding.details["cue"], finding)
    for token, finding in list(tokens.items())[:MOST_SHORTCUTS]:
        label = finding.details["class"]
        members = [known[name] for name in finding.rows if name in known][: 3 * ROWS_A_SHORTCUT]
        having = [row for row in _right(artifact, train, members) if is_changed(row, "remove", token)]
        lacking = [row for row in rows if row.label != label and is_changed(row, "append", token)]
        starts = [text.lower().startswith(token) for row in having for text in texts_in(row.given)[:1]]
        if having and lacking:
            first = sum(starts) > len(starts) / 2
            yield Shortcut(token, label, tuple(_some(having)), tuple(_some(lacking)), first)


def _some(rows: Sequence[SuiteRow]) -> Sequence[SuiteRow]:
    """Returns as many as a check on a shortcut has, of all classes: rows are sorted by class."""
    places = np.linspace(0, len(rows) - 1, min(ROWS_A_SHORTCUT, len(rows))).astype(int)
    return [rows[place] for place in places]
