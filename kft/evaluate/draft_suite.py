"""Drafts a suite of edge cases for a person to edit: from rows of train that a run answers right, never from test."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data.examples import Examples, Input
from kft.data.split import labels_of
from kft.errors import SuiteError, UsageError
from kft.evaluate.perturbations import PERTURBATIONS
from kft.tasks.classes import Prediction
from kft.tasks.task import Task

if TYPE_CHECKING:
    from kft.evaluate.predictor import Predictor

MOST_ROWS, ROWS_A_CLASS = 36, 8
"""Rows of the draft: what a person can still read."""
MOST_ANSWERED = 400
"""Rows of train that are answered to find them."""
LONGEST = 400
"""Longer texts are taken only where a class has no shorter ones: a person has to read them."""
MOST_SHORTCUTS, ROWS_A_SHORTCUT = 10, 10
RISE = 0.2
"""How far a shortcut's class may rise where its token is put: any word more moves a probability a little."""
POLAR = ("positive", "negative", "pos", "neg")
"""Labels that a negation turns away from."""
TEXT_CHANGES = {
    "typos": 0.9,
    "upper": 0.9,
    "lower": 0.9,
    "no-punctuation": 0.9,
    "punctuation": 0.9,
    "spaces": 1.0,
    "no-accents": 0.9,
    "names": 0.9,
    "numbers": 0.9,
    "polite": 0.9,
    "irrelevant": 0.9,
    "half": 0.7,
}
IMAGE_CHANGES = {
    "blur": 0.9,
    "brighter": 0.9,
    "darker": 0.9,
    "more-contrast": 0.9,
    "less-contrast": 0.9,
    "crop": 0.9,
    "noise": 0.9,
    "rotate": 0.9,
    "flip": 0.9,
    "jpeg": 0.9,
    "grey": 0.7,
}
"""Change to the share of cases that a draft asks for: less where half of a text, or the colours, may well matter."""

ROWS, EMPTY = "train rows", "nothing said"
NOT_PRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON writes as it is and YAML does not read."""


@dataclass(frozen=True)
class Row:
    """A row of train that the run answers right."""

    given: Input
    label: str


@dataclass(frozen=True)
class Shortcut:
    """A token that the audit found to give a class away, with texts to try it on.

    Attributes:
        token: The token.
        label: The class.
        having: Rows of the class that have it.
        lacking: Rows of other classes.
        first: Whether it stands at the beginning of its texts.
    """

    token: str
    label: str
    having: tuple[Row, ...]
    lacking: tuple[Row, ...]
    first: bool


@dataclass(frozen=True)
class SuiteDraft:
    """What was drafted.

    Attributes:
        path: The file.
        rows: How many rows of train it holds.
        classes: How many classes they have.
        checks: Names of the checks.
        shortcuts: Token and class of each shortcut that is tested for.
    """

    path: Path
    rows: int
    classes: int
    checks: tuple[str, ...]
    shortcuts: tuple[tuple[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """Returns what ``kft evaluate --draft-suite --json`` prints."""
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
        SuiteError: The task does not give each example one class of many.
    """
    if target.exists():
        raise UsageError(
            "the suite is there already; it is not overwritten",
            where=str(target),
            next_step="choose another --draft-suite FILE, or delete it",
        )
    if task.kind.name != "classes":
        raise SuiteError(
            "edge cases are judged where each example has one class of many",
            received=task.name,
            expected="text-classification, text-pairs or image-classification",
        )


def draft(
    predictor: Predictor, train: Examples, findings: Sequence[Mapping[str, Any]], target: Path, run: str, *, seed: int
) -> tuple[str, SuiteDraft]:
    """Returns a commented suite, and what is in it.

    Args:
        predictor: The run's model with its best weights.
        train: The rows that it was trained on.
        findings: Those of findings.json: shortcuts are tested for, rows with personal data are not quoted.
        target: The file that it is for: paths of images start from its folder.
        run: What the run is called.
        seed: Of the choice of rows.

    Raises:
        SuiteError: The run answers none of the rows right.
    """
    task = predictor.reader.task
    rng = np.random.default_rng(seed)
    personal = {name for finding in findings if finding["check"] == "personal-data" for name in finding["rows"]}
    places = [place for place, name in enumerate(train.ids) if str(name) not in personal]
    right = _right(predictor, train, _candidates(train, places, rng))
    rows = choose_rows(right, Counter(map(str, labels_of(train))))
    if not rows:
        raise SuiteError(
            "the run answers none of the rows right that were tried, so there is nothing to hold it to",
            received=f"{min(len(places), MOST_ANSWERED)} rows of train",
            next_step=f"kft evaluate {run} says how good it is",
        )
    shortcuts = [] if task.modality == "image" else list(_shortcuts(predictor, train, places, findings, rows))
    checks = list(_checks(rows, shortcuts, task, target))
    text = _HEADER.format(run=run, path=target, rows=len(rows)) + "\n".join(text for _, text in checks)
    names = tuple(name for name, _ in checks)
    found = tuple((shortcut.token, shortcut.label) for shortcut in shortcuts)
    return text, SuiteDraft(target, len(rows), len({row.label for row in rows}), names, found)


def _candidates(train: Examples, places: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Returns rows to try: as many of each class, readable ones first."""
    labels, by_class = labels_of(train), dict[str, list[int]]()
    for place in rng.permutation(places).tolist():
        by_class.setdefault(str(labels[place]), []).append(place)
    each = min(max(2, MOST_ANSWERED // max(1, len(by_class))), 4 * ROWS_A_CLASS)
    chosen = []
    for members in by_class.values():
        chosen += sorted(members, key=lambda place: sum(map(len, _texts(train.inputs[place]))) > LONGEST)[:each]
    return sorted(chosen)


def _right(predictor: Predictor, train: Examples, places: Sequence[int]) -> list[Row]:
    labels = labels_of(train)
    answers: Sequence[Any] = predictor.predict([train.inputs[place] for place in places])
    rows = []
    for place, answer in zip(places, answers, strict=True):
        assert isinstance(answer, Prediction)
        if answer.label == labels[place] and not answer.abstain:
            rows.append(Row(train.inputs[place], answer.label))
    return rows


def choose_rows(rows: Sequence[Row], sizes: Mapping[str, int]) -> list[Row]:
    """Takes from each class in turn, from the rarest on, so that rare ones are there.

    Args:
        rows: To choose from.
        sizes: How many rows of train each class has.

    Returns:
        At most 36, at most 8 of a class, sorted by class.

    Example:
        >>> rows = [Row("a", "x"), Row("b", "x"), Row("c", "y")]
        >>> [row.given for row in choose_rows(rows, {"x": 90, "y": 10})]
        ['a', 'b', 'c']
    """
    waiting: dict[str, list[Row]] = {}
    for row in rows:
        waiting.setdefault(row.label, []).append(row)
    order = sorted(waiting, key=lambda label: (sizes[label], label))
    chosen = [waiting[label][turn] for turn in range(ROWS_A_CLASS) for label in order if turn < len(waiting[label])]
    return sorted(chosen[:MOST_ROWS], key=lambda row: row.label)


def _shortcuts(
    predictor: Predictor,
    train: Examples,
    places: Sequence[int],
    findings: Sequence[Mapping[str, Any]],
    rows: Sequence[Row],
) -> Iterator[Shortcut]:
    known = {str(train.ids[place]): place for place in places}
    planted = [
        finding
        for finding in findings
        if finding["check"] == "shortcuts" and finding["severity"] != "note" and finding["details"]["family"] == "token"
    ]
    tokens = {finding["details"]["cue"]: finding for finding in reversed(planted)}  # the worst of each stays
    for token, finding in list(tokens.items())[-MOST_SHORTCUTS:][::-1]:
        label = finding["details"]["class"]
        members = [known[name] for name in finding["rows"] if name in known][: 3 * ROWS_A_SHORTCUT]
        having = [row for row in _right(predictor, train, members) if _changes(row, "remove", token)]
        lacking = [row for row in rows if row.label != label and _changes(row, "append", token)]
        starts = [text.lower().startswith(token) for row in having for text in _texts(row.given)[:1]]
        if having and lacking:
            first = sum(starts) > len(starts) / 2
            yield Shortcut(token, label, tuple(_some(having)), tuple(_some(lacking)), first)


def _some(rows: Sequence[Row]) -> Sequence[Row]:
    """Returns as many as a check on a shortcut has, of all classes: rows are sorted by class."""
    places = np.linspace(0, len(rows) - 1, min(ROWS_A_SHORTCUT, len(rows))).astype(int)
    return [rows[place] for place in places]


def _texts(given: Input) -> tuple[str, ...]:
    return given if isinstance(given, tuple) else (str(given),)


def _changes(row: Row, name: str, text: str = "") -> bool:
    """Whether a change finds something to change in a text."""
    change, rng = PERTURBATIONS.get(name).change, np.random.default_rng(0)
    return any(change(part, rng, text) != part for part in _texts(row.given))


def _checks(rows: Sequence[Row], shortcuts: Sequence[Shortcut], task: Task, target: Path) -> Iterator[tuple[str, str]]:
    """Yields name and YAML of each check."""
    yield _check(ROWS, "must_pass", "rows of train that were answered right when this was drafted", 1.0, rows, target)
    if task.modality != "image":
        yield EMPTY, _EMPTY.format(name=EMPTY, input='["", ""]' if task.modality == "text-pair" else '""')
    for shortcut in shortcuts:
        yield from _shortcut_checks(shortcut, target)
    for name, share in (IMAGE_CHANGES if task.modality == "image" else TEXT_CHANGES).items():
        if task.modality == "image" or any(_changes(row, name) for row in rows):
            about = PERTURBATIONS.get(name).about
            yield _check(name, "invariance", about, share, (), target, f"cases_of: {ROWS}", f"changes: [{name}]")
    polar = [row for row in rows if row.label.lower() in POLAR and _changes(row, "negate")]
    if task.modality == "text" and polar:
        about = "turned around, a text is less of what it was"
        yield _check("negation", "directional", about, 0.7, polar, target, "changes: [negate]", "expect: falls")


def _shortcut_checks(shortcut: Shortcut, target: Path) -> Iterator[tuple[str, str]]:
    token, label = shortcut.token, shortcut.label
    quoted = quote(token)
    yield _check(
        f"without {token}",
        "invariance",
        f"the audit calls {token} a shortcut to {label}: its texts say the same without it",
        0.9,
        shortcut.having,
        target,
        f"changes: [{{name: remove, text: {quoted}}}]",
    )
    yield _check(
        f"with {token}",
        "directional",
        f"the audit calls {token} a shortcut to {label}: it makes no other text one of {label}",
        0.9,
        [Row(row.given, "") for row in shortcut.lacking],
        target,
        f"changes: [{{name: {'prepend' if shortcut.first else 'append'}, text: {quoted}}}]",
        "expect: does_not_rise",
        f"tolerance: {RISE}",
        f"label: {quote(label)}",
    )


def _check(
    name: str, kind: str, about: str, at_least: float, rows: Sequence[Row], target: Path, *lines: str
) -> tuple[str, str]:
    head = [f"name: {quote(name)}", f"kind: {kind}", f"about: {quote(about)}", f"at_least: {at_least:g}", *lines]
    cases = [f"    - {{input: {_written(row.given, target)}{_label(row)}}}" for row in rows]
    body = [*head, *(["cases:"] if cases else [])]
    return name, "\n".join([f"- {body[0]}", *(f"  {line}" for line in body[1:]), *cases, ""])


def _label(row: Row) -> str:
    return f", label: {quote(row.label)}" if row.label else ""


def _written(given: Input, target: Path) -> str:
    if isinstance(given, Path):
        return quote(Path(os.path.relpath(given, target.resolve().parent)).as_posix())
    return quote(given) if isinstance(given, str) else f"[{', '.join(map(quote, given))}]"


def quote(text: str) -> str:
    r"""Returns a text as YAML that reads back as the same text, on one line.

    Example:
        >>> print(quote('a "b"\n'))
        "a \"b\"\n"
    """
    written = json.dumps(text, ensure_ascii=False)  # JSON is YAML, but for a few characters
    return NOT_PRINTABLE.sub(lambda match: f"\\u{ord(match.group()):04x}", written)


_HEADER = """# Edge cases for {run}, drafted from {rows} rows of train that it answers right. Edit this: take out what
# does not matter, mend what is wrong, add the inputs that must never fail. docs/evaluation.md says what can stand here.
#
#   kft evaluate {run} --suite {path}                       exit code 1 where a check is below its at_least
#   kft evaluate {run} --suite {path} --against OTHER_RUN   what was fixed and what was broken
#
# In the recipe, `evaluate: {{suite: {path}}}` has kft train run it.

seed: 0        # of the changes that are random

checks:

"""
_EMPTY = """- name: {name}
  kind: must_pass
  about: "whoever says nothing is not answered with certainty"
  at_least: 1
  cases:
    - {{input: {input}, abstain: true, confidence_at_most: 0.8}}
"""
