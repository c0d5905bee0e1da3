"""From a run to a folder that ships: build beside, prove, then one rename. What fails leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.load import Run, load_artifact
from kft.deploy.bundle import packages_for, run_script
from kft.deploy.evaluated import require_as_evaluated
from kft.deploy.formats.format import Format
from kft.deploy.near import Near
from kft.deploy.parity import answered_alone, hold_to
from kft.deploy.reference import make_reference
from kft.deploy.runner.trace import Stages
from kft.errors import UsageError
from kft.records.calibration import Calibration
from kft.records.document import read_if_there
from kft.records.files import require_writable, storage_errors, write_file
from kft.records.metrics import EvaluateResult
from kft.records.shipped import NAME, About, Parity, Reading, write_about

if TYPE_CHECKING:
    from kft.answer.artifact import Artifact
    from kft.data.examples import Examples
    from kft.train.progress import Progress

MOST_ROWS = 2000
"""Test rows that are answered to prove parity; of more, so many are drawn."""
GOLDEN = 16
"""Examples that go along with their answers."""


@dataclass(frozen=True)
class Admitted:
    """A run that may ship.

    Attributes:
        run: Its files.
        result: What it reached on its test split.
        test: That split.
        forced: Why it would have been refused.
        card: Its model card, as Markdown.
    """

    run: Run
    result: EvaluateResult
    test: Examples
    forced: tuple[str, ...]
    card: str


def export(admitted: Admitted, destination: Path, format_: Format, progress: Progress) -> About:
    """Writes an artifact, proves that it answers as what was evaluated, and puts it in its place.

    Args:
        admitted: What ships.
        destination: A folder that is not there yet.
        format_: Of the model's file.
        progress: Told what goes on.

    Raises:
        ParityError: What would ship answers otherwise; nothing is left behind.
        StorageError: The disk is full or the folder cannot be written.
    """
    from kft.deploy.graph import answering_graph

    with building(destination) as folder:
        artifact = load_artifact(admitted.run)
        progress.note(f"graph      {format_.name}: {format_.about}")
        graph = answering_graph(artifact)
        format_.write(graph, folder / format_.model)
        if artifact.reader.tokenizer is not None:
            artifact.reader.tokenizer.tokenizer.save(str(folder / "tokenizer.json"))
        about = _about(admitted, artifact, format_, graph)
        write_file(folder / "run.py", run_script(about))
        write_file(folder / "card.md", admitted.card)
        test = admitted.test.take(_rows(len(admitted.test), admitted.run.recipe.spec.seed))
        progress.note(f"proof      {len(test):,} of {len(admitted.test):,} test rows, in a process without kft")
        assert test.labels is not None
        inputs = list(test.inputs)
        near = Near(about.answers, artifact.decisions, format_.tolerance)
        reference = make_reference(artifact, inputs, list(test.labels))
        require_as_evaluated(admitted.run, list(test.ids), reference, near)
        write_file(folder / "golden.jsonl", _golden(inputs, reference.stages))
        write_about(folder, about)
        verdict = hold_to(reference.stages, answered_alone(folder, inputs, _names(about.packages)), inputs, near)
        parity = Parity(
            n=len(test),
            of=len(admitted.test),
            golden=min(GOLDEN, len(test)),
            tolerance=format_.tolerance,
            **vars(verdict),
        )
        about = write_about(folder, replace(about, parity=parity))
    return about


def refuse_there(destination: Path) -> None:
    """Refuses a folder that is there already: an artifact is never overwritten.

    Raises:
        UsageError: It is taken.
        StorageError: This user may not write there.
    """
    if destination.exists():
        is_ours = (destination / NAME).is_file()
        raise UsageError(
            "the folder already exists; an artifact is never overwritten",
            where=str(destination),
            received="an artifact" if is_ours else "something else",
            expected="a folder that does not exist yet",
            next_step="choose another DEST, or remove this one",
        )
    require_writable(destination.parent)


@contextmanager
def building(destination: Path) -> Iterator[Path]:
    """Gives a folder beside the destination, which takes its place when the body ends; or is gone when it fails."""
    temporary = destination.with_name(f".{destination.name}.tmp")
    with storage_errors(destination):
        shutil.rmtree(temporary, ignore_errors=True)  # of an export that was killed
        temporary.mkdir(parents=True)
        try:
            yield temporary
            temporary.rename(destination)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _about(admitted: Admitted, artifact: Artifact, format_: Format, graph: Any) -> About:
    run, task, spec = admitted.run, admitted.run.task, admitted.run.recipe.spec
    reading, sizing = Reading(kind=task.reads.name), artifact.reader.sizing
    if sizing is not None:
        reading = replace(reading, **vars(sizing))
    else:
        cut, data = artifact.reader.max_tokens, spec.data
        reading = replace(reading, max_tokens=cut, html=data.html, redact=data.redact)
    about = About(
        name=run.recipe.name,
        version="",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=task.name,
        answers=task.kind.labels.form,
        labels=artifact.space.labels,
        format=format_.name,
        model=format_.model,
        inputs=tuple(graph.input),
        outputs=tuple(graph.output),
        reader=reading,
        packages=format_.packages,
        checkpoint=artifact.checkpoint,
        calibration=read_if_there(Calibration, run.folder.calibration) if task.kind.one_class else None,
        metrics=admitted.result.metrics,
        gates=admitted.result.gates,
        parity=None,
        receipt=run.receipt,
        forced=admitted.forced,
        files={},
    )
    return replace(about, packages=(*packages_for(about), *format_.packages))


def _names(packages: Sequence[str]) -> list[str]:
    return [package.split(">")[0].split("=")[0] for package in packages]


def _rows(count: int, seed: int) -> np.ndarray:
    """Returns which test rows are answered: all, or of more than ``MOST_ROWS`` so many drawn at random."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:MOST_ROWS])


def _golden(inputs: Sequence[Any], expected: Stages) -> str:
    """Returns the first inputs with their answers, one a line; of images the files."""
    pairs = list(zip(inputs, expected.answers, strict=True))[:GOLDEN]
    lines = [{"input": _carried(given), "answer": answer} for given, answer in pairs]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _carried(given: Any) -> Any:
    if isinstance(given, Path):
        return {"base64": b64encode(given.read_bytes()).decode()}
    return given
