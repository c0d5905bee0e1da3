"""`kft evaluate --suite` and `--draft-suite`: edge cases of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kft import assets, replicas, strategy
from kft.answer.fitted import checkpoint_hash
from kft.answer.load import Run, load_artifact, read_run
from kft.api.evaluating import require_same_data
from kft.api.reading import frames_of, progress_for, split_of
from kft.api.scoring import score_suite
from kft.data.corpus import Corpus
from kft.errors import SuiteError
from kft.records.document import read_if_there, write_document
from kft.records.edge_cases import EdgeCaseResult
from kft.records.files import write_file
from kft.records.findings import Findings
from kft.records.lock import hold
from kft.records.manifest import ANSWERS, sealing
from kft.records.run_folder import open_run
from kft.split.queries import read_documents
from kft.suites.draft import SuiteDraft, draft, refuse_draft
from kft.suites.edge_cases import compare_edge_cases
from kft.suites.searched import Searched
from kft.suites.suite import Suite, load_suite
from kft.suites.suite_fit import require_fit

if TYPE_CHECKING:
    import pandas as pd

    from kft.train.progress import Progress


def evaluate_suite(
    run: str | Path,
    suite: str | Path,
    *,
    against: str | Path | None = None,
    devices: str = "auto",
    quiet: bool = False,
) -> EdgeCaseResult:
    """Runs a suite of edge cases on a run's best checkpoint, and writes edge_cases.json into the run folder.

    The run's own rows are not read, so its test split stays closed however often a suite is edited and tried. Queries
    are answered with its documents, for which rows are read where these hold the documents themselves.

    Args:
        run: The run folder.
        suite: The YAML file; docs/evaluation.md says what stands in it.
        against: Another run: which cases this one fixed and which it broke. What the other one answered to the same
            suite is taken from its folder, or found out.
        devices: As for ``train``.
        quiet: Prints no progress.

    Raises:
        RunError: A folder is no run.
        SuiteError: The suite is not valid, or does not fit the model.
        DataError: A document cannot be used.

    Example:
        >>> import kft
        >>> result = kft.evaluate_suite("runs/tickets-2", "checks.yaml", against="runs/tickets-1")  # doctest: +SKIP
        >>> len(result.against.fixed), len(result.against.broke)  # doctest: +SKIP
        (14, 3)
    """
    folder, loaded = open_run(Path(run)), load_suite(suite)
    other_folder = None if against is None else open_run(Path(against))
    asked, other = (
        read_run(folder),
        None if other_folder is None else read_run(other_folder, (*ANSWERS, "edge_cases.json")),
    )
    corpora = [_documents(each) for each in (asked, *([] if other is None else [other]))]
    for each, corpus in zip((asked, other), corpora, strict=False):
        if each is not None:
            require_fit(loaded, each.task, each.receipt.labels if corpus is None else corpus.places)
    early = strategy.choose_early(devices)
    chief = early is None or early.is_chief
    with strategy.start(devices).scope():
        progress = progress_for(quiet or not chief)
        result = score_suite(asked, loaded, progress, corpora[0])
        if chief:
            with hold(asked.folder, progress.note), sealing(asked.folder, ("edge_cases.json",)):
                write_document(asked.folder.edge_cases, result)
        if other is None:
            return result
        passed = _passed(other, loaded, result.suite_hash, progress, corpora[1])
        return compare_edge_cases(result, passed, str(other.folder.path))


def _documents(run: Run) -> Corpus | None:
    """Returns what a run's queries are answered with; None where its labels name no documents."""
    if not run.task.kind.searches:
        return None
    recipe = run.recipe
    if recipe.spec.data.documents is not None:
        return read_documents(recipe.spec.data, run.task, recipe.base, assets.locate)
    split = split_of(recipe, None)  # documents that stand in the rows themselves
    require_same_data(run.folder, run.receipt, split)
    return split.corpus


def _passed(other: Run, suite: Suite, suite_hash: str, progress: Progress, corpus: Corpus | None) -> Mapping[str, bool]:
    """Returns what the other run makes of the same cases; its model answers where its folder does not say."""
    known = read_if_there(EdgeCaseResult, other.folder.edge_cases)
    fits = known is not None and known.suite_hash == suite_hash and known.checkpoint == checkpoint_hash(other.folder)
    if not replicas.any_process(not fits):  # all processes answer, or none
        assert known is not None and known.cases is not None
        return known.cases
    found = score_suite(other, suite, progress, corpus)
    if found.suite_hash != suite_hash:
        raise SuiteError(
            "the two runs read the suite differently, so their cases cannot be compared",
            where=str(other.folder.path),
            received=found.suite_hash[:16],
            expected=suite_hash[:16],
            next_step="compare runs whose recipes clean texts alike (data.html, data.redact) and name the same columns "
            "and documents",
        )
    return found.cases or {}


def draft_suite(
    run: str | Path,
    path: str | Path,
    *,
    data: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    devices: str = "auto",
    quiet: bool = False,
) -> SuiteDraft:
    """Writes a first suite for a run, for a person to edit: from rows of train that it answers right.

    It holds these rows, every change that fits their modality, and, for each token that the audit calls a shortcut,
    texts without it and texts of other classes with it. The test split is not looked at.

    Args:
        run: The run folder.
        path: The YAML file to write; one that is there is not overwritten.
        data: The DataFrames of a run that was trained on them.
        devices: As for ``train``.
        quiet: Prints no progress.

    Raises:
        RunError: The folder is no run, or its data have changed since.
        UsageError: The file is there already.
        SuiteError: The task gives an example neither one class of many nor documents; or the run answers no row right.

    Example:
        >>> import kft
        >>> kft.draft_suite("runs/tickets-1", "checks.yaml").checks  # doctest: +SKIP
        ('train rows', 'nothing said', 'typos')
    """
    folder, target = open_run(Path(run)), Path(path)
    known = read_run(folder)
    refuse_draft(target, known.task)
    split = split_of(known.recipe, frames_of(data), devices)
    require_same_data(folder, known.receipt, split)
    found = read_if_there(Findings, folder.findings)
    findings = () if found is None else found.findings
    early = strategy.choose_early(devices)
    with strategy.start(devices).scope():
        progress = progress_for(quiet)
        artifact = load_artifact(known)
        progress.note(f"\ndrafting   from {len(split.train):,} rows of train")
        searched = None if split.corpus is None else Searched.by(artifact, split.corpus)
        text, drafted = draft(
            artifact,
            split.train,
            findings,
            target,
            str(folder.path),
            seed=known.recipe.spec.seed,
            searched=searched,
        )
    if early is None or early.is_chief:
        write_file(target, text, elsewhere="choose another --draft-suite FILE")
    return drafted
