"""`kft export`: a run as a folder that answers without kft."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kft import strategy
from kft.api.evaluating import require_same_data
from kft.api.reading import frames_of, progress_for, split_of
from kft.deploy.export import Admitted, require_quantizable
from kft.deploy.export import export as write_artifact
from kft.deploy.formats.all_formats import choose_format, require_format_of
from kft.deploy.formats.language import LANGUAGE_FORMATS, LanguageFormat
from kft.deploy.gate import admit
from kft.deploy.place import refuse_there
from kft.deploy.signing import require_key, sign_files
from kft.deploy.wheel import write_wheel
from kft.errors import RunError, StorageError, UsageError
from kft.monitor.reference import NAME as REFERENCE
from kft.records.exported import Exported, note_export
from kft.records.run_folder import RunFolder, open_run
from kft.records.shipped import About
from kft.split.assign import SPLITS
from kft.tasks.task import require_command

if TYPE_CHECKING:
    import pandas as pd

    from kft.train.progress import Progress


def export(
    run: str | Path,
    destination: str | Path,
    *,
    format: str = "",
    quantize: str = "",
    force: bool = False,
    keep_examples: int = 0,
    wheel: bool = False,
    sign: str | Path | None = None,
    password: str | None = None,
    data: Mapping[str, pd.DataFrame] | pd.DataFrame | None = None,
    quiet: bool = False,
) -> About:
    """Writes a run as an artifact: its best checkpoint and all that decides its answers, in one folder.

    The artifact is proven before it is there: a fresh process without kft answers the run's test split with it.

    Args:
        run: The run folder.
        destination: A folder that is not there yet.
        format: Of the model's file; ``kft export --help`` lists them. Empty: onnx; of a language model keras-hub.
        quantize: Writes smaller numbers, as ``--quantize`` does: answers are nearly those that were evaluated, and
            ``About.quantized`` says how nearly.
        force: Ships a run whose gates fail, or whose files were changed; the artifact says so.
        keep_examples: So many test rows go along as they are, with their answers, for people who watch the model to
            look at. None else: what new rows are held against holds numbers, and no text or image.
        wheel: Also writes it beside the destination as a wheel, called ``kft.deploy.wheel.wheel_name``.
        sign: A private key on a curve of NIST's, as PEM: signs the artifact before it is there; see ``kft.sign``.
        password: Of the key, where it has one.
        data: The DataFrames that the run was trained on, where it was.
        quiet: Prints no progress.

    Raises:
        GateError: A gate of the recipe fails.
        UsageError: The format cannot be quantized so, or the key cannot be used.
        RunError: The folder is no run, was changed, or was never evaluated; or its data have changed.
        ParityError: What would ship answers otherwise than what was evaluated.
        UsageError: The format is unknown, refused, or needs packages that are not installed.

    Example:
        >>> import kft
        >>> about = kft.export("runs/product_reviews-1", "shipped", format="onnx")  # doctest: +SKIP
        >>> about.parity.n  # doctest: +SKIP
    """
    target = Path(destination)
    if format and format not in LANGUAGE_FORMATS.names():
        choose_format(format)  # what is missing is said before a run is read
    refuse_there(target)
    if sign is not None:
        require_key(Path(sign), password)
    known, result, forced = admit(open_run(Path(run)), force=force)
    require_command(known.task, "export")
    chosen = require_format_of(known.task, format, str(run))
    if isinstance(chosen, LanguageFormat):
        _require_only(chosen, quantize=quantize, keep_examples=keep_examples, wheel=wheel)
    else:
        require_quantizable(known.task, chosen, quantize, known.recipe.spec.export.gates)
    progress = progress_for(quiet)
    for reason in (known.note, *(f"forced     {reason}" for reason in forced)):
        if reason:
            progress.note(reason)
    if known.recipe.spec.export.gates and not quantize:
        progress.note("gates      export.gates are asked of --quantize; this artifact answers as it was evaluated")
    split = split_of(known.recipe, frames_of(data))
    require_same_data(known.folder, known.receipt, split)

    def card(about: About) -> str:
        return _card(known.folder, about, progress)

    usable = sum(len(split.part(key)) for key in SPLITS)
    # A row without a label has an input like others.
    unusable = sum("label" not in row.reason for row in split.rejected)
    admitted = Admitted(
        known,
        result,
        split.test,
        split.valid,
        (usable, unusable),
        forced,
        card,
        quantize,
        force,
        keep_examples,
        split.corpus,
    )

    def finish(folder: Path, about: About) -> None:
        if sign is not None:
            progress.note(f"signed     with {sign}")
            sign_files(folder, Path(sign), password)
        if wheel:
            write_wheel(folder, about, target.parent)

    with strategy.start("one").scope():
        if isinstance(chosen, LanguageFormat):
            from kft.deploy.export_language import export_language

            about = export_language(admitted, target, chosen, progress, finish)
        else:
            about = write_artifact(admitted, target, chosen, progress, finish)
    try:
        note_export(known.folder, target, about, reference=REFERENCE in about.files)
    except (RunError, StorageError) as error:  # the artifact is whole, whatever the run folder says of it
        progress.note(f"not noted  the run's own list of its artifacts stays as it is: {error.problem}")
    return about


def _require_only(format_: LanguageFormat, **asked: object) -> None:
    """Refuses what language models do not have."""
    why = {
        "quantize": "smaller numbers of language models are not measured",
        "keep_examples": "kft monitor does not watch language models, so nobody would look at them",
        "wheel": f"{format_.name} is loaded by another program, and has no run.py that a wheel could hold",
    }
    for key in (key for key, value in asked.items() if value):
        raise UsageError(
            f"a language model is not exported so: {why[key]}",
            where="--" + key.replace("_", "-"),
            received=str(asked[key]),
            expected=f"kft export RUN DEST --format {format_.name}",
            next_step="docs/shipping.md says what each format holds",
        )


def _card(folder: RunFolder, about: About, progress: Progress) -> str:
    """Returns the model card that goes along with an artifact; one that a person has written on goes as it is.

    Args:
        folder: The run's.
        about: What is said of the artifact.
        progress: Told where the card is not made anew.
    """
    from kft.report.card import render_card
    from kft.report.record import read_record

    record = read_record(folder)
    if folder.card.is_file():
        own, known = folder.card.read_text(encoding="utf-8"), record.exports
        before = (replace(record, exports=known[:count]) for count in range(len(known), -1, -1))
        if all(own != render_card(each) for each in before):
            progress.note(f"card       {folder.card} goes along as it is: it knows nothing of this artifact")
            return own
    ships = Exported("", about.name, "", about.format, about.created, reference=True, forced=about.forced)
    return render_card(replace(record, ships=ships))
