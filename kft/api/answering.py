"""`kft predict` and `kft.load`: what a run's best checkpoint answers, or an artifact that was exported from one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kft import strategy
from kft.answer.load import load_artifact, read_run
from kft.data.dialogues import questions_in
from kft.data.inputs import RawInputs, as_inputs, read_inputs, require_inputs, with_passages
from kft.deploy.load import Shipped, open_artifact
from kft.deploy.lookup import artifact_of
from kft.deploy.runner.reading import warn_cut
from kft.notebook import Line, Piece, shows
from kft.recipe.schema import DataSpec
from kft.records.files import sha256_of
from kft.records.run_folder import RunFolder, open_run
from kft.records.shipped import NAME as ABOUT
from kft.tasks.registry import TASKS
from kft.tasks.task import require_command

if TYPE_CHECKING:
    import pandas as pd

    from kft.tasks.task import Answer, Task

SHOWN = 8
"""Labels that a loaded run shows of its own."""


@dataclass(frozen=True)
class InputSpec:
    """How a person's inputs are read.

    Attributes:
        task: What the model reads and answers.
        spec: The data part of its recipe, or what an artifact keeps of it.
        column: What was read in training; of pairs the first.
        pair: The second of pairs.
    """

    task: Task
    spec: DataSpec
    column: str
    pair: str | None

    def of_table(
        self, source: Any, unusable: Literal["error", "keep"] = "error", spec: DataSpec | None = None
    ) -> RawInputs:
        """Reads a DataFrame, a file or a folder, perhaps as another recipe says; see ``read_inputs``."""
        spec, where = spec or self.spec, str(source) if isinstance(source, Path) else "the DataFrame"
        if spec.messages is not None:
            chats = read_inputs(source, self.task, spec, column=spec.messages, unusable="keep")
            asked = questions_in(chats.table, spec, where)
            return replace(chats, inputs=require_inputs(asked, self.task, where, spec, unusable))
        given = read_inputs(source, self.task, spec, column=self.column, pair=self.pair, unusable=unusable)
        return given if spec.context is None else with_passages(given, spec.context, where)


@shows
@dataclass(frozen=True)
class Predictor:
    """A run or an artifact that is loaded: it answers at once, as often as it is asked.

    Attributes:
        run: Its folder.
        task: Its name.
        labels: What it can answer; empty for numbers.
        reading: How a person's inputs are read for it.
        answers: Answers inputs that were read already.
        digest: sha256 of what says which files it is made of: another one may answer otherwise.
        cut: Says how many texts of inputs are longer than what is read of them.
        note: What a person should know of the folder; mostly nothing.
    """

    run: Path
    task: str
    labels: tuple[str, ...]
    reading: InputSpec = field(repr=False)
    answers: Callable[[Sequence[Any]], list[Answer]] = field(repr=False)
    digest: str = field(repr=False)
    cut: Callable[[Sequence[Any]], int] = field(repr=False)
    note: str = ""

    def shown(self) -> Iterator[Piece]:
        labels = ", ".join(self.labels[:SHOWN]) + (" ..." if len(self.labels) > SHOWN else "")
        yield Line(self.run, self.task, f"{len(self.labels):,} labels: {labels}" if self.labels else "a number")

    def predict(self, inputs: Any) -> list[Answer]:
        """Answers as ``kft.predict`` does.

        Args:
            inputs: One text, several (a list, a Series), or a DataFrame with the columns of the recipe. For text-pairs,
                one pair or several; for images, paths.

        Returns:
            One prediction an input, in order; its fields depend on the task. A ``UserWarning`` says how many texts are
            longer than what the model reads of them.

        Raises:
            DataError: An input cannot be used.
        """
        read = self.read(inputs)
        warn_cut(self.cut(read))
        return self.answers(read)

    def read(self, inputs: Any) -> Sequence[Any]:
        """Returns inputs as ``answers`` and ``cut`` take them; see ``predict``.

        Raises:
            DataError: An input cannot be used.
        """
        if hasattr(inputs, "columns"):
            return self.reading.of_table(inputs).inputs
        return as_inputs(inputs, self.reading.task, self.reading.spec)

    def as_table(self, inputs: Sequence[Any]) -> pd.DataFrame:
        """Returns texts, pairs or paths as a table that names them, for ``write_answers``."""
        import pandas as pd

        reads = self.reading.task.reads
        read = map(reads.convert, inputs)
        rows = [given if isinstance(given, tuple) else (str(given),) for given in read]
        return pd.DataFrame(rows, columns=pd.Index(reads.columns), dtype=object)


def load(run: str | Path, *, devices: str = "auto", warm: bool = True) -> Predictor:
    """Loads a run's best checkpoint, or an artifact, once, to answer many times: a text then takes milliseconds.

    Args:
        run: The run folder, a folder from ``kft export``, or a name on a shelf (``shelf/tickets@champion``).
        devices: As for ``train``.
        warm: Whether the graph is traced now; else the first answer waits for it, about a second.

    Raises:
        RunError: The folder is no run.
        ModelError: The backbone on disk is not the one the run was trained from.

    Example:
        >>> import kft
        >>> model = kft.load("runs/product_reviews-1")  # doctest: +SKIP
        >>> model.predict("The battery died after two days.")[0].label  # doctest: +SKIP
        'negative'
    """
    folder = artifact_of(run)
    if folder is not None:
        return _load_shipped(folder)
    known = read_run(open_run(Path(run)))
    require_command(known.task, "predict")
    with strategy.start(devices).scope():
        artifact = load_artifact(known)
        if known.task.kind.writes:
            from kft.api.writing import written_by  # it brings what searches

            answers = written_by(known, artifact)
        else:
            if warm:
                artifact.warm()

            def answers(inputs: Sequence[Any]) -> list[Answer]:
                with strategy.start(devices).scope():
                    return artifact.predict(inputs)

    receipt, task = known.receipt, known.task
    reading = InputSpec(task, known.recipe.spec.data, receipt.text_column, receipt.pair_column)
    digest = _digest(known.folder, artifact.checkpoint)

    def cut(inputs: Sequence[Any]) -> int:
        return 0 if task.reads.files else artifact.reader.read(inputs).cut

    return Predictor(known.folder.path, task.name, artifact.space.labels, reading, answers, digest, cut, known.note)


def _digest(folder: RunFolder, checkpoint: str) -> str:
    """Returns what tells a run from every other that may answer otherwise; a run of an earlier kft has no manifest."""
    if folder.manifest.is_file():
        return sha256_of(folder.manifest)
    parts = [path for path in (folder.recipe, folder.receipt, folder.calibration, folder.scope) if path.is_file()]
    return sha256("".join([checkpoint, *map(sha256_of, parts)]).encode()).hexdigest()


def _load_shipped(folder: Path) -> Predictor:
    shipped = open_artifact(folder)
    about, reading = shipped.about, reading_of(shipped)

    def answers(inputs: Sequence[Any]) -> list[Answer]:
        return [reading.task.kind.judging.given(answer) for answer in shipped.predict(inputs)]

    return Predictor(folder, about.task, about.labels, reading, answers, sha256_of(folder / ABOUT), shipped.cut)


def reading_of(shipped: Shipped) -> InputSpec:
    """Returns how a person's inputs are read for an artifact."""
    about = shipped.about
    # The artifact cleans texts; what was cleaned before stays as it is.
    cleaning = {"html": about.reader.html, "redact": about.reader.redact}
    spec = DataSpec(train=str(shipped.folder), document=about.reader.path_column or None, **cleaning)
    return InputSpec(TASKS.get(about.task), spec, about.receipt.text_column, about.receipt.pair_column)


def predict(run: str | Path, inputs: Any, *, devices: str = "auto") -> list[Answer]:
    """Answers with a run's best checkpoint, loaded for this once; ``kft.load`` keeps it.

    Args:
        run: The run folder.
        inputs: As for ``Predictor.predict``.
        devices: As for ``train``.

    Returns:
        One prediction an input, in order; its fields depend on the task.

    Raises:
        RunError: The folder is no run.
        DataError: An input cannot be used.

    Example:
        >>> import kft
        >>> kft.predict("runs/product_reviews-1", "The battery died after two days.")[0].label  # doctest: +SKIP
        'negative'
    """
    return load(run, devices=devices, warm=False).predict(inputs)
