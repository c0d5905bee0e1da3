"""From a run to a folder that ships: build beside, prove, then one rename. What fails leaves nothing behind."""

from __future__ import annotations

import json
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.load import Run, load_artifact
from kft.deploy.bundle import packages_for, run_script
from kft.deploy.cost import AnsweredTwice, failures, gates_of, measure_cost, measure_footprints, pass_gates
from kft.deploy.cost_of_search import FoundTwice, draw_documents, find_twice
from kft.deploy.described import reading_of
from kft.deploy.evaluated import require_as_evaluated
from kft.deploy.formats.format import ExportInput, Format
from kft.deploy.near import Near
from kft.deploy.parity import answered_alone, hold_reading, hold_to
from kft.deploy.place import building
from kft.deploy.reference import make_reference
from kft.deploy.referring import Referred, write_reference
from kft.deploy.runner.trace import Stages
from kft.deploy.strings.proof import hold_graph
from kft.deploy.watching import Looked
from kft.errors import UsageError
from kft.monitor.reference import MOST_ROWS as MOST_REFERRED
from kft.recipe.evaluation import ExportGate
from kft.records.calibration import Calibration
from kft.records.document import read_if_there
from kft.records.files import utc_now, write_file
from kft.records.metrics import EvaluateResult
from kft.records.shipped import EXAMPLES, About, Parity, write_about
from kft.runtime import quiet_stderr

if TYPE_CHECKING:
    import keras

    from kft.answer.artifact import Artifact
    from kft.data.corpus import Corpus
    from kft.data.examples import Examples
    from kft.tasks.task import Task
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
        valid: The valid split: what new rows are held against, beside test rows.
        rows: Of all splits; and those beside them whose input could not be used.
        forced: Why it would have been refused.
        card: What is said of the artifact to its model card, as Markdown.
        quantize: As ``--quantize`` has it; empty for numbers as they were evaluated.
        force: Whether it ships although gates fail.
        keep_examples: So many test rows go along as they are, for people to look at.
        corpus: What queries are answered with; None where answers are no vectors.
    """

    run: Run
    result: EvaluateResult
    test: Examples
    valid: Examples
    rows: tuple[int, int]
    forced: tuple[str, ...]
    card: Callable[[About], str]
    quantize: str = ""
    force: bool = False
    keep_examples: int = 0
    corpus: Corpus | None = None


@dataclass(frozen=True)
class _Making:
    """An artifact while it is built.

    Attributes:
        admitted: What ships.
        artifact: The run's.
        graph: Of it, that is written.
        format: How.
        test: Test rows that are answered.
        folder: Of the new artifact.
        whole: The model's file as it was evaluated: in that folder, or elsewhere where smaller numbers ship.
        progress: Told what goes on.
    """

    admitted: Admitted
    artifact: Artifact
    graph: keras.Model
    format: Format
    test: Examples
    folder: Path
    whole: Path
    progress: Progress

    @property
    def near(self) -> Near:
        """What counts as equal."""
        return Near(self.artifact.kind.labels.form, self.artifact.decisions, self.format.tolerance)


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
    with building(destination) as folder, tempfile.TemporaryDirectory(prefix="kft-whole-") as work:
        making = _begin(admitted, format_, progress, (folder, Path(work)))
        about = _write(making)
        about = _proven(making, about)
        write_file(folder / "card.md", admitted.card(about))
        about = write_about(folder, about)
        finish(folder, about)
    return about


def _begin(admitted: Admitted, format_: Format, progress: Progress, folders: tuple[Path, Path]) -> _Making:
    """Loads what ships.

    Args:
        admitted: The run's.
        format_: Of the model's file.
        progress: Told what goes on.
        folders: Of the new artifact, and for what is only needed meanwhile.
    """
    from kft.deploy.graph import answering_graph

    artifact = load_artifact(admitted.run)
    progress.note(f"graph      {format_.name}: {format_.about}")
    test = admitted.test.take(draw_rows(len(admitted.test), MOST_ROWS, admitted.run.recipe.spec.seed))
    whole = folders[1 if admitted.quantize else 0] / format_.model
    return _Making(admitted, artifact, answering_graph(artifact), format_, test, folders[0], whole, progress)


def _write(making: _Making) -> About:
    """Writes the model and what reads for it; returns what is said of it so far."""
    format_, how, folder = making.format, making.admitted.quantize, making.folder
    source = ExportInput(making.graph, making.artifact, list(making.test.inputs)[:GOLDEN])
    quantization = format_.quantization(how) if how else None
    with quiet_stderr():  # converters start sessions of their own; what they say is shown if they fail
        written = format_.write(source, making.whole)
    if written.note:
        making.progress.note(written.note)
    if quantization is not None:
        making.progress.note(f"quantized  {how}: {quantization.about}")
        quantization.write(making.graph, making.whole, folder / format_.model)
    if making.artifact.reader.tokenizer is not None:
        making.artifact.reader.tokenizer.tokenizer.save(str(folder / "tokenizer.json"))
    about = _about(making.admitted, making.artifact, format_, making.graph)
    about = replace(about, takes=written.takes, alone=bool(quantization and quantization.alone))
    write_file(folder / "run.py", run_script(about))
    return about


def _proven(making: _Making, about: About) -> About:
    """Answers test rows in a process without kft; returns also that they are equal, or what smaller numbers cost.

    Raises:
        ParityError: They are not as evaluated.
        GateError: They cost too much.
    """
    admitted, folder, test, near = making.admitted, making.folder, making.test, making.near
    assert test.labels is not None
    inputs, of = list(test.inputs), len(admitted.test)
    making.progress.note(f"proof      {len(test):,} of {of:,} test rows, in a process without kft")
    reference = make_reference(making.artifact, inputs, list(test.labels))
    require_as_evaluated(admitted.run, list(test.ids), reference, near)
    write_file(folder / "golden.jsonl", _golden(inputs, reference.stages))
    write_about(folder, about)
    found = answered_alone(folder, inputs, _names(about.packages))
    if admitted.quantize:
        hold_reading(reference.stages, found, inputs)
    else:
        verdict = hold_to(reference.stages, found, inputs, near)
        if about.takes:
            hold_graph(folder, about, reference.stages, found, near, inputs)
        counts = (len(test), of, min(GOLDEN, len(test)))
        about = replace(about, parity=Parity(*counts, near.tolerance, verdict.largest, verdict.borderline))
    making.progress.note(_refer(admitted, making.artifact, about, folder, found))
    if admitted.quantize:
        about = _with_cost(making, about, AnsweredTwice(test, of, reference, found))
    return about


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
    test = every.take(np.concatenate([draw_rows(len(every), MOST_ROWS, seed), more]))
    assert test.labels is not None
    truth = None
    if artifact.kind.one_class:
        truth = np.asarray(artifact.kind.judging.truth(list(test.labels), artifact.space), np.int32)
    looked = [Looked(*pair) for pair in zip(found.answers, found.outputs, strict=True)]
    valid = admitted.valid.take(np.random.default_rng(seed).permutation(len(admitted.valid)))
    slices = admitted.run.recipe.spec.data.slices
    columns = [{name: part.columns[name] for name in slices if name in part.columns} for part in (test, valid)]
    made, size = write_reference(
        folder, about, Referred(test.inputs, looked, truth, *admitted.rows, *columns), valid.inputs
    )
    if admitted.keep_examples:
        drawn = np.random.default_rng(seed).permutation(len(looked))[: admitted.keep_examples]
        lines = [{"input": _carried(test.inputs[place]), "answer": found.answers[place]} for place in drawn]
        write_file(folder / EXAMPLES, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    rows = f"{made.n_test:,} test rows and {made.n_valid:,} valid rows"
    return f"reference  {len(made.gauges)} gauges of {rows}, {size / 1e6:.2f} MB, for kft monitor"


def _with_cost(making: _Making, about: About, answered: AnsweredTwice) -> About:
    """Returns what is said of a quantized artifact, with what that costs.

    Raises:
        GateError: A gate of the recipe fails.
    """
    admitted = making.admitted
    sizes = measure_footprints(making.folder, about, making.whole, answered.test.inputs)
    if admitted.corpus is not None:
        answered = replace(answered, searched=_searched(making, about, admitted.corpus, answered))
    cost = measure_cost(answered, making.artifact, admitted.quantize, sizes)
    gates = pass_gates(cost, admitted.run.recipe.spec.export.gates, force=admitted.force)
    forced = (*about.forced, *(f"gate {failed}" for failed in failures(gates)))
    return replace(about, quantized=replace(cost, gates=gates), forced=forced)


def _searched(making: _Making, about: About, corpus: Corpus, answered: AnsweredTwice) -> FoundTwice:
    labels = list(answered.test.labels if answered.test.labels is not None else ())
    documents = draw_documents(corpus, labels, making.admitted.run.recipe.spec.seed)
    making.progress.note(f"documents  {len(documents):,} of {len(corpus):,} given vectors by both")
    queries = (answered.evaluated.judged, np.stack([row["embedding"] for row in answered.found.outputs]))
    return find_twice(making.artifact, (making.folder, about), documents, labels, queries)


def require_quantizable(task: Task, format_: Format, quantize: str, gates: Iterable[ExportGate] = ()) -> None:
    """Refuses to quantize what would gain nothing, and gates that nothing could pass.

    Raises:
        UsageError: The format has no such numbers, they are none for such inputs, or a gate asks for what an answer of
            this task does not have.
    """
    if not quantize:
        return
    why = format_.quantization(quantize).not_for.get(task.reads.medium, "")
    if why:
        raise UsageError(
            f"a model of {task.reads.medium}s is not quantized so: {why}",
            where="--quantize",
            received=quantize,
            expected="float16, where the format has it, or no --quantize",
            next_step="docs/shipping.md says what each format can be, and what that costs",
        )
    unknown = sorted(set(gates) - set(gates_of(task.kind)))
    if unknown:
        raise UsageError(
            f"an answer of {task.name} has nothing that this gate could be asked of",
            where="export.gates",
            received=", ".join(unknown),
            expected="of " + ", ".join(gates_of(task.kind)),
            next_step=f"drop: what {task.kind.judging.main.name} may lose",
        )


def _about(admitted: Admitted, artifact: Artifact, format_: Format, graph: Any) -> About:
    run, task, spec = admitted.run, admitted.run.task, admitted.run.recipe.spec
    about = About(
        name=run.recipe.name,
        version="",
        created=utc_now(),
        task=task.name,
        answers=task.kind.labels.form,
        labels=artifact.space.labels,
        format=format_.name,
        model=format_.model,
        inputs=tuple(graph.input),
        outputs=tuple(graph.output),
        widths=spec.train.pairs.widths,
        reader=reading_of(artifact),
        packages=format_.packages,
        checkpoint=artifact.checkpoint,
        calibration=read_if_there(Calibration, run.folder.calibration),
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


def draw_rows(count: int, most: int, seed: int) -> np.ndarray:
    """Returns which test rows are answered: all, or of more than so many as many, drawn at random."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])


def _golden(inputs: Sequence[Any], expected: Stages) -> str:
    """Returns the first inputs with their answers, one a line; of images the files."""
    pairs = list(zip(inputs, expected.answers, strict=True))[:GOLDEN]
    lines = [{"input": _carried(given), "answer": answer} for given, answer in pairs]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _carried(given: Any) -> Any:
    if isinstance(given, Path):
        return {"base64": b64encode(given.read_bytes()).decode()}
    return given
