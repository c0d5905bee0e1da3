"""The YAML of a drafted suite: rows of train, every change that applies to them, and the shortcuts of the audit."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kft.data.examples import Input
from kft.suites.perturbation import EXCHANGE
from kft.suites.perturbations import PERTURBATIONS
from kft.tasks.responses import Grounded
from kft.tasks.task import Task

RISE = 0.2
"""How far a shortcut's class may rise where its token is put: any word more moves a probability a little."""
POLAR = ("positive", "negative", "pos", "neg")
"""Labels that a negation turns away from."""
CHANGES = {
    "text": {
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
    },
    "query": {
        "typos": 0.7,
        "upper": 0.9,
        "lower": 0.9,
        "no-punctuation": 0.9,
        "punctuation": 0.9,
        "spaces": 1.0,
        "no-accents": 0.9,
        "reorder": 0.8,
        "keywords": 0.8,
        "polite": 0.8,
    },
    "prompt": {
        "typos": 0.7,
        "upper": 0.7,
        "no-punctuation": 0.8,
        "polite": 0.7,
        "reorder-context": 0.8,
    },
    "image": {
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
    },
}
"""By what the model reads, a change to the share of cases that a draft asks for: less where half of a text, or the
colours, may well matter, where a query of few words has a typo, and where other words may say the same."""

ROWS, EMPTY = "train rows", "nothing said"
NOT_PRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON writes as it is and YAML does not read."""


@dataclass(frozen=True)
class SuiteRow:
    """A row of train that the run answers right; without a label where a check does not ask for it.

    Attributes:
        given: The input.
        label: What is right; of a query, a document's id.
        others: What would be right too.
    """

    given: Input | Grounded
    label: str
    others: tuple[str, ...] = ()


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
    having: tuple[SuiteRow, ...]
    lacking: tuple[SuiteRow, ...]
    first: bool


def write_suite(
    rows: Sequence[SuiteRow], shortcuts: Sequence[Shortcut], task: Task, target: Path, run: str
) -> tuple[str, tuple[str, ...]]:
    """Returns a commented suite, and the names of its checks.

    Args:
        rows: What it is made of.
        shortcuts: What is tested for besides.
        task: What the rows are.
        target: The file that it is for: paths of images start from its folder.
        run: What the run is called.
    """
    checks = list(_checks(rows, shortcuts, task, target))
    head = _HEADER.format(run=shlex.quote(run), path=shlex.quote(str(target)), rows=len(rows))
    return head + "\n".join(text for _, text in checks), tuple(name for name, _ in checks)


def texts_in(given: Input | Grounded) -> tuple[str, ...]:
    """Returns the text, or the two texts, of an input; of a prompt with passages the prompt."""
    if isinstance(given, Grounded):
        return (given.prompt,)
    return given if isinstance(given, tuple) else (str(given),)


def is_changed(row: SuiteRow, name: str, text: str = "") -> bool:
    """Whether a change finds something to change in a text."""
    known, rng = PERTURBATIONS.get(name), np.random.default_rng(0)
    change = known.change
    if known.modality == "passages":
        return isinstance(row.given, Grounded) and change(row.given, rng, ()) != row.given
    return any(change(part, rng, text) != part for part in texts_in(row.given))


def _checks(
    rows: Sequence[SuiteRow], shortcuts: Sequence[Shortcut], task: Task, target: Path
) -> Iterator[tuple[str, str]]:
    """Yields name and YAML of each check."""
    yield _check(ROWS, "must_pass", "rows of train that were answered right when this was drafted", 1.0, rows, target)
    if not task.reads.files and task.kind.one_class:
        yield EMPTY, _EMPTY.format(name=EMPTY, input='["", ""]' if task.reads.pairs else '""')
    for shortcut in shortcuts:
        yield from _shortcut_checks(shortcut, target)
    for name, share in CHANGES[_read_as(task)].items():
        if task.reads.files or any(is_changed(row, name) for row in rows):
            about = PERTURBATIONS.get(name).about
            yield _check(name, "invariance", about, share, (), target, f"cases_of: {ROWS}", f"changes: [{name}]")
    if len({row.given.passages for row in rows if isinstance(row.given, Grounded)}) > 1:
        lines = f"cases_of: {ROWS}", f"changes: [{EXCHANGE}]", "expect: declines"
        yield _check(EXCHANGE, "directional", PERTURBATIONS.get(EXCHANGE).about, 0.7, (), target, *lines)
    polar = [row for row in rows if row.label.lower() in POLAR and is_changed(row, "negate")]
    if polar and not task.reads.pairs and task.kind.one_class:
        about = "turned around, a text is less of what it was"
        yield _check("negation", "directional", about, 0.7, polar, target, "changes: [negate]", "expect: falls")


def _read_as(task: Task) -> str:
    return "query" if task.kind.searches else "prompt" if task.kind.writes else task.reads.medium


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
        [SuiteRow(row.given, "") for row in shortcut.lacking],
        target,
        f"changes: [{{name: {'prepend' if shortcut.first else 'append'}, text: {quoted}}}]",
        "expect: does_not_rise",
        f"tolerance: {RISE}",
        f"label: {quote(label)}",
    )


def _check(
    name: str, kind: str, about: str, at_least: float, rows: Sequence[SuiteRow], target: Path, *lines: str
) -> tuple[str, str]:
    head = [f"name: {quote(name)}", f"kind: {kind}", f"about: {quote(about)}", f"at_least: {at_least:g}", *lines]
    cases = [f"    - {{input: {_written(row.given, target)}{_context(row)}{_label(row)}}}" for row in rows]
    body = [*head, *(["cases:"] if cases else [])]
    return name, "\n".join([f"- {body[0]}", *(f"  {line}" for line in body[1:]), *cases, ""])


def _label(row: SuiteRow) -> str:
    names = [quote(name) for name in (row.label, *row.others)]
    return "" if not row.label else f", label: {names[0] if not row.others else '[' + ', '.join(names) + ']'}"


def _context(row: SuiteRow) -> str:
    if not isinstance(row.given, Grounded):
        return ""
    return f", context: [{', '.join(map(quote, row.given.passages))}]"


def _written(given: Input | Grounded, target: Path) -> str:
    if isinstance(given, Grounded):
        return quote(given.prompt)
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
