"""`kft predict` and `kft.load`: what a run's best checkpoint answers, or an artifact that was exported from one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kft import strategy
from kft.answer.artifact import say_withheld, why_withheld
from kft.answer.load import load_artifact, read_run
from kft.api.answers_file import keep_columns, write_answers
from kft.api.reading import progress_for
from kft.data.inputs import Given, as_inputs, find_unusable, in_words, read_inputs
from kft.deploy.load import Shipped, open_artifact
from kft.deploy.lookup import artifact_of
from kft.notebook import Line, Piece, shows
from kft.recipe.schema import DataSpec
from kft.records.run_folder import open_run
from kft.tasks.registry import TASKS

if TYPE_CHECKING:
    import pandas as pd

    from kft.tasks.task import Answer, Task
    from kft.train.progress import Progress

CHUNK_ROWS = 4096
"""Rows of a file that are answered, and written, before the next ones are: memory does not grow with the answers."""
SHOWN = 8
"""Labels that a loaded run shows of its own."""


@dataclass(frozen=True)
class Reading:
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

    def of_table(self, source: Any, unusable: Literal["error", "keep"] = "error") -> Given:
        """Reads a DataFrame, a file or a folder; see ``read_inputs``."""
        return read_inputs(source, self.task, self.spec, column=self.column, pair=self.pair, unusable=unusable)


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
        note: What a person should know of the folder; mostly nothing.
    """

    run: Path
    task: str
    labels: tuple[str, ...]
    reading: Reading = field(repr=False)
    answers: Callable[[Sequence[Any]], list[Answer]] = field(repr=False)
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
            One prediction an input, in order; its fields depend on the task.

        Raises:
            DataError: An input cannot be used.
        """
        if hasattr(inputs, "columns"):
            return self.answers(self.reading.of_table(inputs).inputs)
        return self.answers(as_inputs(inputs, self.reading.task, self.reading.spec))

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
    with strategy.start(devices).scope():
        artifact = load_artifact(known)
        if warm:
            artifact.warm()

    def answers(inputs: Sequence[Any]) -> list[Answer]:
        with strategy.start(devices).scope():
            return artifact.predict(inputs)

    receipt, task = known.receipt, known.task
    reading = Reading(task, known.recipe.spec.data, receipt.text_column, receipt.pair_column)
    return Predictor(known.folder.path, task.name, artifact.space.labels, reading, answers, known.note)


def _load_shipped(folder: Path) -> Predictor:
    shipped = open_artifact(folder)
    about, reading = shipped.about, reading_of(shipped)

    def answers(inputs: Sequence[Any]) -> list[Answer]:
        return [reading.task.kind.judging.given(answer) for answer in shipped.predict(inputs)]

    return Predictor(folder, about.task, about.labels, reading, answers)


def reading_of(shipped: Shipped) -> Reading:
    """Returns how a person's inputs are read for an artifact."""
    about = shipped.about
    # The artifact cleans texts; what was cleaned before stays as it is.
    spec = DataSpec(train=str(shipped.folder), html=about.reader.html, redact=about.reader.redact)
    return Reading(TASKS.get(about.task), spec, about.receipt.text_column, about.receipt.pair_column)


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


@dataclass(frozen=True)
class PredictFileResult:
    """What was written.

    Attributes:
        output: The file.
        n: Rows of the input.
        answered: Rows that have an answer; the others cannot be used.
    """

    output: Path
    n: int
    answered: int


def predict_file(
    run: str | Path,
    path: Path,
    output: Path,
    *,
    columns: Sequence[str] | None = None,
    skip_unusable: bool = False,
    devices: str = "auto",
) -> PredictFileResult:
    """Answers for every row of a table, every line of a txt file or every image of a folder, in order; see ``predict``.

    The file needs the columns the run was trained with; a .txt file holds one text a line. Answers are written
    as they come; the file appears when the last one is there.

    Args:
        run: The run folder.
        path: The file or folder.
        output: Where the answers go: JSON lines, or a table where the name ends in .csv; see ``write_answers``.
        columns: Those of the input that are kept beside the answers; default: all.
        skip_unusable: Answers the other rows where some cannot be used; else these are an error.
        devices: As for ``train``.

    Raises:
        DataError: The file cannot be read, has no such column, or an input cannot be used.
        StorageError: The answers cannot be written.
    """
    predictor = load(run, devices=devices, warm=False)
    given = predictor.reading.of_table(path, unusable="keep" if skip_unusable else "error")
    table = keep_columns(given.table, columns, str(path))
    skipped = find_unusable(given.inputs, predictor.reading.task) if skip_unusable else {}
    progress = progress_for(quiet=False)
    if predictor.note:
        progress.note(predictor.note)
    for note in given.notes:
        progress.note(f"read       {note}")
    why: Counter[str] = Counter()
    answers = _in_chunks(predictor, given.inputs, skipped, why, progress)
    write_answers(output, table, answers)
    answered = len(given.inputs) - len(skipped)
    if why:
        progress.note(say_withheld(why, answered))
    if skipped:
        rows = f"{len(skipped):,} of {len(given.inputs):,} rows"
        progress.note(f"{rows} cannot be used and have no answer: row {in_words(skipped)}")
    return PredictFileResult(output, len(given.inputs), answered)


def _in_chunks(
    predictor: Predictor, inputs: Sequence[Any], skipped: dict[int, str], why: Counter[str], progress: Progress
) -> Iterator[Answer | None]:
    """Yields an answer a row, None where it cannot be used; counts in ``why`` what is withheld."""
    with progress.task("answers", len(inputs)) as tick:
        for start in range(0, len(inputs), CHUNK_ROWS):
            places = range(start, min(start + CHUNK_ROWS, len(inputs)))
            usable = [place for place in places if place + 1 not in skipped]
            found = predictor.answers([inputs[place] for place in usable])
            why.update(why_withheld(found))
            answers = iter(found)
            yield from (None if place + 1 in skipped else next(answers) for place in places)
            tick(len(places))
