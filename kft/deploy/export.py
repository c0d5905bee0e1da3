"""From a run to a folder that ships: build beside, prove, then one rename. What fails leaves nothing behind."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.load import Run, load_artifact
from kft.deploy.bundle import packages_for, run_script
from kft.deploy.cost import Answered, failures, measure_cost, measure_footprints, pass_gates
from kft.deploy.evaluated import require_as_evaluated
from kft.deploy.formats.format import Format, Source, Written
from kft.deploy.near import Near
from kft.deploy.parity import answered_alone, hold_reading, hold_to
from kft.deploy.reference import make_reference
from kft.deploy.referring import Referred, write_reference
from kft.deploy.runner.trace import Stages
from kft.deploy.strings.proof import hold_graph
from kft.deploy.watching import Looked
from kft.errors import UsageError
from kft.monitor.reference import MOST_ROWS as MOST_REFERRED
from kft.records.calibration import Calibration
from kft.records.document import read_if_there
from kft.records.files import require_writable, storage_errors, write_file
from kft.records.metrics import EvaluateResult
from kft.records.shipped import NAME, About, Parity, Reading, write_about
from kft.runtime import quiet_stderr

if TYPE_CHECKING:
    from kft.answer.artifact import Artifact
    from kft.data.examples import Examples
    from kft.tasks.task import Task
    from kft.train.progress import Progress

MOST_ROWS = 2000
"""Test rows that are answered to prove parity; of more, so many are drawn."""
GOLDEN = 16
"""Examples that go along with their answers."""
EXAMPLES = "examples.jsonl"
"""Test rows as they are, where somebody wants them to go along."""


@dataclass(frozen=True)
class Admitted:
    """A run that may ship.

    Attributes:
        run: Its files.
        result: What it reached on its test split.
        test: That split.
        valid: The valid split: what new rows are held against, beside test rows.
        rows: Of all splits; and those beside them whose input could not be used.
        forced: Why it would have been refused.
        card: Its model card, as Markdown.
        quantize: As ``--quantize`` has it; empty for numbers as they were evaluated.
        force: Whether it ships although gates fail.
        keep_examples: So many test rows go along as they are, for people to look at.
    """

    run: Run
    result: EvaluateResult
    test: Examples
    valid: Examples
    rows: tuple[int, int]
    forced: tuple[str, ...]
    card: str
    quantize: str = ""
    force: bool = False
    keep_examples: int = 0


def export(
    admitted: Admitted,
    destination: Path,
    format_: Format,
    progress: Progress,
    finish: Callable[[Path, About], None] = lambda folder, about: None,
) -> About:
    """Writes an artifact, proves that it answers as what was evaluated, and puts it in its place.

    Args:
        admitted: What ships.
        destination: A folder that is not there yet.
        format_: Of the model's file.
        progress: Told what goes on.
        finish: Done with the whole folder before it takes its place; if that fails, there is no artifact either.

    Raises:
        ParityError: What would ship answers otherwise; nothing is left behind.
        GateError: Quantizing costs more than ``export.gates`` allow; likewise.
        StorageError: The disk is full or the folder cannot be written.
    """
    from kft.deploy.graph import answering_graph

    with building(destination) as folder, tempfile.TemporaryDirectory(prefix="kft-whole-") as work:
        artifact = load_artifact(admitted.run)
        progress.note(f"graph      {format_.name}: {format_.about}")
        graph = answering_graph(artifact)
        quantization = format_.quantization(admitted.quantize) if admitted.quantize else None
        whole = (folder if quantization is None else Path(work)) / format_.model
        test = admitted.test.take(_rows(len(admitted.test), admitted.run.recipe.spec.seed))
        assert test.labels is not None
        inputs = list(test.inputs)
        source = Source(graph, artifact, inputs[:GOLDEN])
        written = _write_model(source, format_, admitted.quantize, (whole, folder / format_.model), progress)
        if artifact.reader.tokenizer is not None:
            artifact.reader.tokenizer.tokenizer.save(str(folder / "tokenizer.json"))
        alone = bool(quantization and quantization.alone)
        about = replace(_about(admitted, artifact, format_, graph), takes=written.takes, alone=alone)
        write_file(folder / "run.py", run_script(about))
        write_file(folder / "card.md", admitted.card)
        progress.note(f"proof      {len(test):,} of {len(admitted.test):,} test rows, in a process without kft")
        near = Near(about.answers, artifact.decisions, format_.tolerance)
        reference = make_reference(artifact, inputs, list(test.labels))
        require_as_evaluated(admitted.run, list(test.ids), reference, near)
        write_file(folder / "golden.jsonl", _golden(inputs, reference.stages))
        write_about(folder, about)
        found = answered_alone(folder, inputs, _names(about.packages))
        answered = Answered(test, len(admitted.test), reference.stages, found)
        if quantization is None:
            verdict = hold_to(reference.stages, found, inputs, near)
            if about.takes:
                hold_graph(folder, about, reference.stages, found, near, inputs)
        else:
            hold_reading(reference.stages, found, inputs)
        progress.note(_refer(admitted, artifact, about, folder, found))
        if quantization is not None:
            about = _with_cost(admitted, artifact, about, answered, (folder, whole))
        else:
            counts = {"n": len(test), "of": len(admitted.test), "golden": min(GOLDEN, len(test))}
            about = replace(about, parity=Parity(**counts, tolerance=format_.tolerance, **vars(verdict)))
        about = write_about(folder, about)
        finish(folder, about)
    return about


def _write_model(
    source: Source, format_: Format, quantize: str, places: tuple[Path, Path], progress: Progress
) -> Written:
    """Writes the model as it was evaluated, and in smaller numbers where they are asked for.

    Args:
        source: What is written.
        format_: How.
        quantize: As ``--quantize`` has it; empty for numbers as they were evaluated.
        places: Of the model as it was evaluated, and of what ships: the same place where nothing is quantized.
        progress: Told what goes on.
    """
    whole, ships = places
    with quiet_stderr():  # converters start sessions of their own; what they say is shown if they fail
        written = format_.write(source, whole)
    if written.note:
        progress.note(written.note)
    if quantize:
        quantization = format_.quantization(quantize)
        progress.note(f"quantized  {quantize}: {quantization.about}")
        quantization.write(source.graph, whole, ships)
    return written


def _refer(admitted: Admitted, artifact: Artifact, about: About, folder: Path, found: Stages) -> str:
    """Writes what new rows are held against, and examples where they are wanted; returns a line for people.

    Args:
        admitted: What ships.
        artifact: The run's.
        about: What is said of it.
        folder: Of the new artifact, which answers already.
        found: What it has made of the test rows that ``_rows`` names.
    """
    every, seed = admitted.test, about.receipt.seed
    more = np.random.default_rng(seed).permutation(len(every))[MOST_ROWS:MOST_REFERRED]
    test = every.take(np.concatenate([_rows(len(every), seed), more]))
    assert test.labels is not None
    truth = None
    if artifact.kind.one_class:
        truth = np.asarray(artifact.kind.judging.truth(list(test.labels), artifact.space), np.int32)
    looked = [Looked(*pair) for pair in zip(found.answers, found.outputs, strict=True)]
    valid = admitted.valid.take(np.random.default_rng(seed).permutation(len(admitted.valid)))
    made, size = write_reference(folder, about, Referred(test.inputs, looked, truth, *admitted.rows), valid.inputs)
    if admitted.keep_examples:
        drawn = np.random.default_rng(seed).permutation(len(looked))[: admitted.keep_examples]
        lines = [{"input": _carried(test.inputs[place]), "answer": found.answers[place]} for place in drawn]
        write_file(folder / EXAMPLES, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    rows = f"{made.n_test:,} test rows and {made.n_valid:,} valid rows"
    return f"reference  {len(made.gauges)} gauges of {rows}, {size / 1e6:.2f} MB, for kft monitor"


def _with_cost(
    admitted: Admitted, artifact: Artifact, about: About, answered: Answered, places: tuple[Path, Path]
) -> About:
    """Returns what is said of a quantized artifact, whose folder and whose model before are given."""
    folder, whole = places
    sizes = measure_footprints(folder, about, whole, answered.test.inputs)
    cost = measure_cost(answered, artifact, admitted.quantize, sizes)
    gates = pass_gates(cost, admitted.run.recipe.spec.export.gates, force=admitted.force)
    forced = (*about.forced, *(f"gate {failed}" for failed in failures(gates)))
    return replace(about, quantized=replace(cost, gates=gates), forced=forced)


def require_quantizable(task: Task, format_: Format, quantize: str) -> None:
    """Refuses to quantize what nobody has measured.

    Raises:
        UsageError: The format has no such numbers, or the task is another than those that were measured.
    """
    if not quantize:
        return
    format_.quantization(quantize)
    if not task.kind.one_class or task.reads.name == "image":
        raise UsageError(
            f"{task.name} is not quantized: what it would cost has not been measured",
            where="--quantize",
            received=quantize,
            expected="a run that answers texts with one class of many",
            next_step="leave out --quantize",
        )


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
    """Gives a folder beside the destination, which takes its place when the body ends; or is gone when it fails.

    One process at a time builds there: two would mix their files, and each would vouch for the other's.

    Raises:
        UsageError: Another process builds it, or has built it meanwhile.
        StorageError: The disk is full or the folder cannot be written.
    """
    temporary = destination.with_name(f".{destination.name}.tmp")
    with storage_errors(destination):
        temporary.mkdir(parents=True, exist_ok=True)
        with _held(temporary, destination):
            try:
                for litter in temporary.iterdir():  # of an export that was killed
                    shutil.rmtree(litter) if litter.is_dir() and not litter.is_symlink() else litter.unlink()
                yield temporary
                refuse_there(destination)
                temporary.rename(destination)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise


@contextmanager
def _held(folder: Path, destination: Path) -> Iterator[None]:
    """Locks a folder itself, so that no file is left: the lock goes with its process, however that ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = folder.is_dir() and os.path.samestat(os.fstat(handle), folder.stat())  # else renamed just now
        except BlockingIOError:
            free = False
        if not free:
            raise UsageError(
                "another process exports to the same folder",
                where=str(destination),
                expected="one export at a time",
                next_step="wait for it, or choose another DEST",
            )
        yield
    finally:
        os.close(handle)


def _about(admitted: Admitted, artifact: Artifact, format_: Format, graph: Any) -> About:
    run, task, spec = admitted.run, admitted.run.task, admitted.run.recipe.spec
    reading, sizing = Reading(kind=task.reads.name), artifact.reader.sizing
    if sizing is not None:
        reading = replace(reading, **vars(sizing))
    else:
        cut, data = artifact.reader.max_tokens, spec.data
        reading = replace(reading, max_tokens=cut, html=data.html, redact=data.redact, tail=artifact.reader.tail)
        if artifact.reader.windows is not None:
            reading = replace(reading, overlap=artifact.reader.windows.overlap, windows=artifact.reader.windows.most)
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
