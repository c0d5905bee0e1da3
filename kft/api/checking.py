"""`kft check`: the audit of a recipe's data."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kft.api.reading import load, progress_for, require_room, say_unheeded, show_data
from kft.audit.check import applicable, run_checks
from kft.audit.corrections import propose
from kft.audit.summary import all_findings, count_severities, verdict
from kft.audit.view import AuditView
from kft.curate.corrections import Correction, as_csv
from kft.errors import RunError
from kft.notebook import FileLink, Line, Piece, ShownTable, shows
from kft.recipe.load import Recipe
from kft.records.document import document_text
from kft.records.files import require_writable, write_folder
from kft.records.findings import AUDITS, FINDINGS, Finding, Findings
from kft.report.examples import ExampleIndex
from kft.report.lines import worst_lines
from kft.split.data_split import DataSplit
from kft.tasks.registry import TASKS
from kft.train import start as starting

if TYPE_CHECKING:
    import pandas as pd

    from kft.model.backbones import Backbone
    from kft.train.progress import Progress


@shows
@dataclass(frozen=True)
class CheckResult:
    """What was found in the data.

    Attributes:
        findings: The worst first.
        examples: A few lines for each finding: its worst rows, shortened.
        n: Rows of each split.
        labels: How many classes or labels there are; 0 for numbers.
        split_hash: Of the split that was looked at.
        data_hash: Of the data.
        checks: Names of the checks that ran.
        seconds: Wall time, from reading the recipe to the last file.
        output: The folder that was written.
        files: Paths of what is in it.
        corrections: Rows of corrections.csv, proposals that a person decides on.
    """

    KEYS: ClassVar = ("split_hash", "data_hash", "n", "counts", "findings", "files")

    findings: tuple[Finding, ...]
    examples: tuple[tuple[str, ...], ...]
    n: Mapping[str, int]
    labels: int
    split_hash: str
    data_hash: str
    checks: tuple[str, ...]
    seconds: float
    output: Path
    files: tuple[Path, ...]
    corrections: int = 0

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def page(self) -> Path:
        return self.output / "audit.html"

    @property
    def counts(self) -> dict[str, int]:
        return count_severities(self.findings)

    def shown(self) -> Iterator[Piece]:
        rows = [(each.severity, each.check, f"{each.message}\n→ {each.advice}") for each in self.findings]
        yield Line(verdict(self.findings))
        yield ShownTable((), rows)
        yield FileLink(self.page)


def check(
    recipe: Recipe | str | Path | Mapping[str, Any],
    *,
    data: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    overrides: Sequence[str] = (),
    features: bool = True,
    output: str | Path | None = None,
    quiet: bool = False,
) -> CheckResult:
    """Looks for what would ruin the result, before any training, and writes what it finds.

    Rows that cannot be used are left out and reported, whatever ``data.unusable_rows`` says.

    Args:
        recipe: From ``load_recipe``, or what that takes.
        data: As for ``train``.
        overrides: As for ``train``.
        features: Whether the frozen backbone runs over the data, for the checks that compare by meaning; they
            share the feature store with training. Without it TensorFlow is not loaded, and no tokens are counted.
        output: A new folder for findings.json, audit.html, corrections.csv and splits.parquet; default
            ``audits/<recipe name>-<n>``.
        quiet: Prints no progress.

    Raises:
        KftError: One of its kinds, for a recipe, data, weights or a disk that does not fit.

    Example:
        >>> import kft
        >>> result = kft.check("recipes/sentiment/product_reviews.yaml")  # doctest: +SKIP
        >>> [finding.message for finding in result.errors]  # doctest: +SKIP
        []
    """
    started = time.perf_counter()
    target = Path(output) if output is not None else None
    _refuse_taken(target)
    require_writable(target or AUDITS)
    recipe, split = load(recipe, overrides, data, skip=True)
    progress = progress_for(quiet)
    show_data(progress, recipe, split)
    say_unheeded(progress, recipe, "kft check looks at")
    view = _look(recipe, split, progress, features)
    checks = applicable(view)
    with progress.task("checks", len(checks)) as tick:
        findings = run_checks(view, checks, tick)
    index = ExampleIndex(view, findings)
    proposed = [_described(change, index) for change in propose(findings)]
    found = all_findings(split, findings, features=features)
    files = _files(recipe, view, found, [each.name for each in checks], proposed)
    folder = write_folder(files, target, numbered=AUDITS / recipe.name)
    return CheckResult(
        findings=tuple(findings),
        examples=tuple(worst_lines(finding, index) for finding in findings),
        n={name: len(split.part(name)) for name in ("train", "valid", "test")},
        labels=len(split.labels),
        split_hash=split.split_hash,
        data_hash=split.data_hash,
        checks=tuple(each.name for each in checks),
        seconds=time.perf_counter() - started,
        output=folder,
        files=tuple(folder / name for name in files),
        corrections=len(proposed),
    )


def find_at_once(recipe: Recipe, split: DataSplit, backbone: Backbone, progress: Progress) -> list[Finding]:
    """Runs the checks that take seconds at most: what ``kft train`` writes into its run folder."""
    from kft.audit.prepare import prepare_view

    view = prepare_view(recipe.spec, split, backbone, progress, features=False)
    return run_checks(view, [each for each in applicable(view) if each.quick])


def _refuse_taken(target: Path | None) -> None:
    if target is not None and (target.is_file() or (target.is_dir() and any(target.iterdir()))):
        raise RunError(
            "the folder already exists; an audit is never overwritten",
            where=str(target),
            expected="a folder that does not exist yet, or is empty",
            next_step="choose another -o DIR, or leave it out for audits/<recipe name>-<n>",
        )


def _look(recipe: Recipe, split: DataSplit, progress: Progress, features: bool) -> AuditView:
    if not features:  # nothing that loads TensorFlow
        return AuditView(split, TASKS.get(recipe.spec.task), recipe.spec)
    backbone = starting.load_for(recipe.spec, progress.note)
    require_room(recipe, backbone.max_tokens)
    progress.note(f"backbone   {backbone.name}, {backbone.model.count_params():,} parameters")
    from kft.audit.prepare import prepare_view

    return prepare_view(recipe.spec, split, backbone, progress)


def _files(
    recipe: Recipe, view: AuditView, found: Findings, checks: Sequence[str], proposed: Sequence[Correction]
) -> dict[str, bytes | str]:
    """Returns every file of an audit by name, before any is written."""
    from kft.report.audit_page import render_audit

    parquet = io.BytesIO()
    view.split.frame().to_parquet(parquet, index=False)
    return {
        "audit.html": render_audit(recipe, view, found.findings, checks),
        "corrections.csv": as_csv(proposed),
        FINDINGS: document_text(found),
        "splits.parquet": parquet.getvalue(),
    }


def _described(change: Correction, index: ExampleIndex) -> Correction:
    """Adds what a person needs to decide: the row's label and text, masked where it holds personal data."""
    example = index.show(change.id)
    return replace(change, given=example.label, text=" | ".join(example.texts))
