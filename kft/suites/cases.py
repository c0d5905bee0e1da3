"""From a suite to its cases: inputs from the file or a table, each with every change made to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.clean import clean_input
from kft.data.examples import Columns, Input, content
from kft.data.images import check_image, open_upright
from kft.data.inputs import read_inputs, with_passages
from kft.recipe.explain import Misfit
from kft.recipe.schema import DataSpec
from kft.suites.perturbations import PERTURBATIONS
from kft.suites.suite import CaseSpec, ChangeSpec, CheckSpec, Suite
from kft.tasks.responses import Grounded
from kft.tasks.task import Task

LARGEST_SIDE = 1024
"""Images are brought to this size before they are changed: more than any backbone sees, and quick."""


@dataclass(frozen=True)
class Case:
    """One thing to test.

    Attributes:
        id: Check, number of the input, change; the same in every run of the suite.
        check: The check it belongs to.
        given: The input.
        labels: What is expected, or whose probability is looked at; empty where only the answers are compared.
        spec: What the suite says of it; None where the input comes from a table.
        changed: The input after the change; None for ``must_pass``.
        change: What was done, in words.
        shift: By how many characters the change has moved the text; None where that is not known.
    """

    id: str
    check: CheckSpec
    given: Input
    labels: tuple[str, ...]
    spec: CaseSpec
    changed: Input | None = None
    change: str = ""
    shift: int | None = None

    def judge(self, right: bool, abstain: bool, confidence: float) -> tuple[bool, str]:
        """Returns whether an answer is one of those that must come, and which these are, in words."""
        spec, most = self.spec, self.spec.confidence_at_most
        passed = (right and not abstain) or (spec.abstain and abstain) or (most is not None and confidence <= most)
        wanted = [*self.labels, *(["to abstain"] if spec.abstain else [])]
        wanted += [] if most is None else [f"a confidence of at most {most:g}"]
        return passed, " or ".join(wanted)


@dataclass(frozen=True)
class Cases:
    """All cases of a suite.

    Attributes:
        cases: In the order of the suite.
        left_out: For each check, how often a change found nothing to change, or moved characters beyond following.
        suite_hash: sha256 over what decides whether a case passes: inputs, changes, expectations.
    """

    cases: tuple[Case, ...]
    left_out: dict[str, int]
    suite_hash: str


def expand(suite: Suite, task: Task, data: DataSpec, columns: Columns, folder: Path) -> Cases:
    """Makes every case of a suite.

    Args:
        suite: One that fits the task.
        task: What the model reads.
        data: The recipe's part: texts are cleaned as those that the model learned from.
        columns: Those the model was trained on, where a table of the suite names none.
        folder: Changed images are written here, as PNG.

    Raises:
        SuiteError: An image cannot be used, or a check is left without a case: nothing would be tested.
        DataError: A table cannot be read.
    """
    cases: list[Case] = []
    left_out, wrong = {}, list(_unusable(suite, task, data))
    for place, check in enumerate(suite.spec.checks if not wrong else ()):
        found = list(_cases_of(suite, check, task, data, columns, folder))
        kept = [case for case in found if case.changed is None or case.changed != case.given]
        if task.kind.labels.moved is not None:
            kept = [case for case in kept if case.shift is not None]
        left_out[check.name] = len(found) - len(kept)
        cases += kept
        if not kept:
            changes = ", ".join(change.title for change in check.changes)
            wrong.append((("checks", place), f"tests nothing: no input holds what {changes} changes"))
    if wrong:
        raise suite.error(wrong)
    return Cases(tuple(cases), left_out, _hash(suite, cases))


def _unusable(suite: Suite, task: Task, data: DataSpec) -> Iterator[Misfit]:
    if data.grounded:
        for place, check in enumerate(suite.spec.checks):
            for number, case in enumerate(check.cases):
                if not case.context:
                    text = "this run answers from passages: the case needs `context`"
                    yield ("checks", place, "cases", number), text
            if check.rows is not None and not (check.rows.context or data.context):
                yield ("checks", place, "rows"), "this run answers from passages: name their column in `context`"
    if not task.reads.files:
        return
    for place, check in enumerate(suite.spec.checks):
        for number, case in enumerate(check.cases):
            reason = check_image(suite.path.parent / case.input)
            if reason:
                yield ("checks", place, "cases", number, "input"), reason


def _cases_of(
    suite: Suite, check: CheckSpec, task: Task, data: DataSpec, columns: Columns, folder: Path
) -> Iterator[Case]:
    pairs: list[tuple[Any, CaseSpec]] = list(_inputs(suite, suite.source_of(check), task, data, columns))
    passages = [given.passages for given, _ in pairs if isinstance(given, Grounded)]
    for number, (given, spec) in enumerate(pairs, 1):
        labels = (spec.label or check.label) if check.reads_labels else ()
        if task.kind.searches:  # the right document stays right, whatever the query becomes
            labels = spec.label or check.label or suite.source_of(check).label
        name = f"{check.name}:{number}"
        if check.kind == "must_pass":
            yield Case(name, check, given, labels, spec)
        elif spec.changed is not None:
            changed = _as_input(spec.changed, suite, task, data, spec.context)
            yield Case(name, check, given, labels, spec, changed, "by hand")
        for change in check.changes if spec.changed is None else ():
            rng = _numbers(suite.spec.seed, change, given)
            if task.reads.files:
                changed = _changed_image(Path(str(given)), change, rng, folder)
            else:
                changed = _changed_text(given, change, rng, passages)
                changed = changed if isinstance(changed, Grounded) else clean_input(changed, data)
            shift = None
            if isinstance(given, str) and isinstance(changed, str):
                shift = PERTURBATIONS.get(change.name).shift(given, changed)
            yield Case(f"{name}:{change.title}", check, given, labels, spec, changed, change.title, shift)


def _inputs(
    suite: Suite, source: CheckSpec, task: Task, data: DataSpec, columns: Columns
) -> Iterator[tuple[Input, CaseSpec]]:
    if source.rows is None:
        for case in source.cases:
            yield _as_input(case.input, suite, task, data, case.context), case
        return
    rows = source.rows
    pair = (rows.pair or columns.pair) if task.reads.pairs else None
    table = suite.path.parent / rows.file
    read = read_inputs(table, task, data, column=rows.column or columns.text, pair=pair)
    if context := rows.context or data.context:
        read = with_passages(read, context, str(table))
    for given in read.inputs[: rows.most]:
        yield given, CaseSpec(input="")


def _as_input(given: Any, suite: Suite, task: Task, data: DataSpec, context: tuple[str, ...] = ()) -> Any:
    if task.reads.files:
        return suite.path.parent / given
    cleaned = clean_input(given, data)
    return Grounded(str(cleaned), context) if context else cleaned


def _numbers(seed: int, change: ChangeSpec, given: Input) -> np.random.Generator:
    """Returns random numbers of one case: other cases that come or go leave them as they are."""
    digest = hashlib.sha256(f"{seed}\n{change.title}\n{_content(given)}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def _content(given: Any) -> str:
    """Returns what an input is; see ``content``."""
    if isinstance(given, Grounded):
        return json.dumps([given.prompt, *given.passages], ensure_ascii=False)
    return content(given)


def _changed_text(given: Any, change: ChangeSpec, rng: np.random.Generator, passages: Sequence[tuple[str, ...]]) -> Any:
    known = PERTURBATIONS.get(change.name)
    apply, text = known.change, change.text or ""
    if known.modality == "passages":  # a prompt without any stays as it is, and makes no case
        return apply(given, rng, passages) if isinstance(given, Grounded) else given
    if isinstance(given, Grounded):
        return replace(given, prompt=apply(given.prompt, rng, text))
    if isinstance(given, tuple):
        first, second = given
        return (
            apply(first, rng, text) if change.side != "second" else first,
            apply(second, rng, text) if change.side != "first" else second,
        )
    return apply(str(given), rng, text)


def _changed_image(given: Path, change: ChangeSpec, rng: np.random.Generator, folder: Path) -> Path:
    target = folder / f"{hashlib.sha256(f'{given}:{change.title}'.encode()).hexdigest()[:24]}.png"
    if not target.exists():
        image: Any = PERTURBATIONS.get(change.name).change(open_upright(given, LARGEST_SIDE), rng, change.text or "")
        image.save(target, compress_level=1)
    return target


def _hash(suite: Suite, cases: Sequence[Case]) -> str:
    digest = hashlib.sha256()
    for case in cases:
        check, spec = case.check, case.spec
        # A changed image is told by its change: how a PNG is packed differs between machines.
        changed: Any = case.change if isinstance(case.changed, Path) else case.changed
        if isinstance(changed, Grounded):
            changed = _content(changed)
        parts = (suite.spec.seed, case.id, check.kind, _content(case.given), changed, case.labels)
        rules: tuple[Any, ...] = (check.expect, check.tolerance, spec.abstain, spec.confidence_at_most)
        rules += () if check.within is None else (check.within,)
        rules += () if check.among_first is None else (("among_first", check.among_first),)
        digest.update(json.dumps([*parts, *rules], ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def shown(given: Any, base: Path) -> str:
    """Returns an input as a table shows it: a text, two texts, or an image's path from the suite.

    Example:
        >>> shown(("one", "two"), Path("."))
        'one | two'
    """
    if isinstance(given, Grounded):
        return given.prompt + "".join(f" [{number}] {text}" for number, text in enumerate(given.passages, 1))
    if isinstance(given, Path):
        return str(given.relative_to(base)) if given.is_relative_to(base) else str(given)
    return " | ".join(given) if isinstance(given, tuple) else given
