"""From a run that writes texts to a folder that ships: merge, write, hold to what was evaluated, then one rename."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.load import load_artifact
from kft.answer.write import Completion, make_writer
from kft.deploy.export import GOLDEN, Admitted, draw_rows
from kft.deploy.formats.language import LanguageFormat
from kft.deploy.parity import run_alone
from kft.deploy.place import building
from kft.deploy.writing import open_shipped, write_settings
from kft.errors import ParityError, UsageError
from kft.model.chats import JINJA
from kft.model.prompts import PLACE
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import ADAPTED
from kft.records.csv_file import read_table
from kft.records.files import utc_now, write_file
from kft.records.shipped import About, Parity, Preprocessing, write_about
from kft.split.labels import prompts_of

if TYPE_CHECKING:
    from kft.answer.artifact import Artifact
    from kft.train.progress import Progress

ROWS = 16
"""Test rows that are written to prove parity; of more, so many are drawn."""
LIKELIEST = 16
"""Logits that are compared at each place: those of so many tokens, and the logarithm of the sum of all."""
TOLERANCE = 1e-3
"""How far a logit may lie from the evaluated one, in standard deviations of the logits."""
SIDE = Path(__file__).with_name("language_side.py")


@dataclass(frozen=True)
class ReferenceCompletion:
    """What a model writes to one prompt, and how likely it holds tokens to be.

    Attributes:
        given: The prompt.
        text: The prompt in its template; empty of a chat, whose template holds tokens that no text spells.
        read: ``int[tokens]``: of that text, read at once.
        ids: ``int[tokens]``: the same as the model was trained on it; what stands behind the prompt is read apart.
        said: ``int[tokens]``: of the answer, without its end.
        written: The answer.
        asked: ``int[places, LIKELIEST]``: token ids, at the prompt's last token and each of the answer's but the last.
        logits: ``float[places, LIKELIEST]``: theirs.
        total: ``float[places]``: the logarithm of the sum over all tokens.
    """

    given: str
    text: str
    read: np.ndarray
    ids: np.ndarray
    said: np.ndarray
    written: Completion
    asked: np.ndarray
    logits: np.ndarray
    total: np.ndarray


def export_language(
    admitted: Admitted,
    destination: Path,
    format_: LanguageFormat,
    progress: Progress,
    finish: Callable[[Path, About], None] = lambda folder, about: None,
) -> About:
    """Writes a language model, proves that it writes as what was evaluated, and puts it in its place.

    Args:
        admitted: What ships.
        destination: A folder that is not there yet.
        format_: How.
        progress: Told what goes on.
        finish: Done with the whole folder before it takes its place; if that fails, there is no artifact either.

    Raises:
        UsageError: The format cannot hold this run; says why.
        ParityError: What would ship writes otherwise; nothing is left behind.
        StorageError: The disk is full or the folder cannot be written.
    """
    from kft.model.lora import merge_lora

    _require_fits(admitted.run.recipe.spec, format_)
    with building(destination) as folder:
        artifact = load_artifact(admitted.run)
        progress.note(f"format     {format_.name}: {format_.about}")
        test = admitted.test.take(draw_rows(len(admitted.test), ROWS, admitted.run.recipe.spec.seed))
        said = speak(artifact, prompts_of(test))
        _require_as_evaluated(admitted, list(test.ids), said)
        if not format_.alone:
            merge_lora(artifact.graph)
        format_.write(artifact, folder)
        reader = artifact.reader.writing
        if reader is not None and reader.chat is not None and not format_.alone:
            write_file(folder / JINJA, reader.chat.by_itself)
        write_settings(folder, admitted.run.recipe, artifact.decisions.rule, alone=format_.alone)
        write_file(folder / "golden.jsonl", _golden(said))
        about = _about(admitted, artifact, format_)
        write_about(folder, about)
        of = len(admitted.test)
        progress.note(f"proof      {len(said):,} of {of:,} test rows are written by {format_.library} as well")
        largest, ties, seams = _held(artifact, folder, format_, said)
        if any(not each.text for each in said):
            progress.note("chats      are proven by their tokens: who asks puts the template around them")
        if seams:
            progress.note(
                f"seams      {seams:,} prompts are other tokens where they meet the template; see artifact.json"
            )
        parity = Parity(len(said), of, min(GOLDEN, len(said)), TOLERANCE, largest, ties, format_.library, seams)
        about = replace(about, parity=parity)
        write_file(folder / "card.md", admitted.card(about))
        about = write_about(folder, about)
        finish(folder, about)
    return about


def _require_fits(spec: RecipeSpec, format_: LanguageFormat) -> None:
    """Refuses adapters alone of a run that trained more, and a format whose library would write something else."""
    precision = spec.train.precision
    if precision != "float32" and not format_.alone:
        raise UsageError(
            "the run computes in fewer bits than this format's library, which would write other answers",
            where=f"--format {format_.name}",
            received=f"train.precision: {precision}",
            expected="a run that was trained and evaluated in float32",
            next_step="--format adapters, or kft serve RUN; or train again with --set train.precision=float32",
        )
    if spec.model.choices and not format_.alone:
        raise UsageError(
            "the run answers with one of its choices, and this format's library writes whatever is likeliest",
            where=f"--format {format_.name}",
            received=f"model.choices: {len(spec.model.choices)}",
            expected="a format that kft itself answers from",
            next_step="--format adapters, or kft serve RUN",
        )
    rules = [phase.unfreeze for phase in spec.train.phases or ADAPTED]
    if format_.alone and any(rule.lora is None for rule in rules):
        raise UsageError(
            "the run has trained more than adapters, and these alone would answer otherwise",
            where="--format adapters",
            received=", ".join(map(str, rules)),
            expected="a run whose phases all train adapters: unfreeze: {lora: {}}",
            next_step="--format keras-hub holds all weights",
        )


def speak(
    artifact: Artifact, prompts: Sequence[Any], like: Sequence[ReferenceCompletion] = ()
) -> list[ReferenceCompletion]:
    """Returns what a model writes to prompts, with its logits along the way.

    Args:
        artifact: Of a model that writes.
        prompts: As they are given.
        like: Where logits are looked at: at these answers, of these tokens; else at its own, of the likeliest.
    """
    from kft.model.language import next_token_logits

    reader = artifact.reader.writing
    assert reader is not None and artifact.backbone is not None
    model, length = artifact.backbone.model, reader.prompt_tokens + reader.response_tokens
    texts, _ = reader.composed(prompts)
    ids, _ = reader.prompts(texts)
    found = []
    for row, (written, own) in enumerate(make_writer(artifact, len(texts)).write_tokens(texts)):
        said = like[row].said if like else own
        whole = np.concatenate([ids[row], said]).astype(np.int32)
        tokens, mask = np.zeros((1, length), np.int32), np.zeros((1, length), np.int32)
        tokens[0, : len(whole)], mask[0, : len(whole)] = whole, 1
        hidden = model({"token_ids": tokens, "padding_mask": mask}, training=False)
        places = np.arange(len(ids[row]) - 1, max(len(whole) - 1, len(ids[row])))[None]
        logits = np.asarray(next_token_logits(model, hidden, places))[0].astype(np.float64)
        asked = like[row].asked if like else np.argsort(-logits, axis=1, kind="stable")[:, :LIKELIEST]
        highest = logits.max(axis=1, keepdims=True)
        total = np.log(np.exp(logits - highest).sum(axis=1)) + highest[:, 0]
        text = "" if reader.chat else reader.template.replace(PLACE, texts[row])
        read = np.array(reader.tokenizer.tokenizer.encode(text).ids, np.int32)
        at = np.take_along_axis(logits, asked, axis=1)
        found.append(ReferenceCompletion(texts[row], text, read, ids[row], own, written, asked, at, total))
    return found


def _require_as_evaluated(admitted: Admitted, names: Sequence[object], said: Sequence[ReferenceCompletion]) -> None:
    """Refuses a run that does not write to its test rows what predictions.csv says."""
    if not admitted.run.recipe.spec.evaluate.write:
        return
    evaluated, unit = {row["id"]: row for row in read_table(admitted.run.folder.predictions)}, _unit(said)
    for name, each in zip(map(str, names), said, strict=True):
        was = evaluated.get(name, {}).get("prediction")
        if was is None or (_plain(was) != _plain(each.written.text) and not _tied(each, unit)):
            raise ParityError(
                "the run does not write to its test rows what was evaluated",
                where=f"row {name}",
                received=_short(each.written.text),
                expected="no such row" if was is None else f"{_short(was)}, as predictions.csv has it",
                next_step=f"kft evaluate {admitted.run.folder.path} evaluates it as it writes here",
            )


def _plain(text: str) -> str:
    """Returns what a cell of a table keeps of a text: not how its lines end, nor what surrounds it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _held(
    artifact: Artifact, folder: Path, format_: LanguageFormat, said: Sequence[ReferenceCompletion]
) -> tuple[float, int, int]:
    """Holds what was written to what was evaluated; see ``hold_said``."""
    reader = artifact.reader.writing
    assert reader is not None
    whole = [each for each in said if not each.written.cut]  # only kft cuts a prompt inside its template
    if not whole:
        raise ParityError(
            "no test row can prove this format: each prompt is longer than the model reads",
            where="model.max_tokens",
            received=f"{len(said)} prompts that lose their end",
            expected="at least one that is read whole",
            next_step="train with more model.max_tokens",
        )
    if format_.alone:
        opened = open_shipped(folder)
        return hold_said(whole, [_row(each) for each in speak(opened, [each.given for each in whole], whole)])
    length = reader.prompt_tokens + reader.response_tokens
    settings = {"room": reader.response_tokens, "length": length, "ends": sorted(reader.ends)}
    rows = [{**_row(each), "asked": each.asked.tolist(), **settings} for each in whole]
    uses = ("keras_hub", "keras", "tensorflow", "sklearn", "pandas")
    return hold_said(whole, run_alone([str(SIDE), str(folder.resolve()), format_.library], rows, uses))


def _row(said: ReferenceCompletion) -> dict[str, Any]:
    """Returns an answer as ``language_side.py`` takes and gives it."""
    arrays = {name: getattr(said, name).tolist() for name in ("ids", "said", "logits", "total", "read")}
    return {"prompt": said.text, "text": said.written.text, **arrays}


def hold_said(expected: Sequence[ReferenceCompletion], found: Sequence[Mapping[str, Any]]) -> tuple[float, int, int]:
    """Compares what two libraries make of the same prompts: tokens, logits, texts.

    Args:
        expected: What was evaluated.
        found: What ships: ``read``, ``said``, ``text``, ``logits`` and ``total`` of each.

    Returns:
        How far the farthest logit lies, in standard deviations; how many texts differ where two tokens are as likely;
        how many prompts are read as other tokens where template and prompt meet.

    Raises:
        ParityError: They differ; names the first step at which they do.
    """
    largest, ties, seams, unit = 0.0, 0, 0, _unit(expected)
    for one, other in zip(expected, found, strict=True):
        if list(other["read"]) != one.read.tolist():
            raise _otherwise("tokens", one, one.read.tolist(), other["read"])
        seams += bool(one.text) and one.read.tolist() != one.ids.tolist()
        gaps = [np.abs(np.asarray(other[name]) - getattr(one, name)).max() / unit for name in ("logits", "total")]
        if not max(gaps) <= TOLERANCE:  # never where one is no number
            raise _otherwise("logits", one, one.logits[0, :3].tolist(), np.asarray(other["logits"])[0, :3].tolist())
        largest = max(largest, *map(float, gaps))
        same = list(other["said"]) == one.said.tolist()
        if not same and not _tied(one, unit):
            raise _otherwise("text", one, one.written.text, other["text"])
        # Half a character at the end of an answer is shown in as many ways as there are libraries.
        if same and other["text"] != one.written.text and "\ufffd" not in one.written.text:
            raise _otherwise("text", one, one.written.text, other["text"])
        ties += not same
    return largest, ties, seams


def _otherwise(step: str, said: ReferenceCompletion, expected: Any, received: Any) -> ParityError:
    return ParityError(
        "what would ship does not write as what was evaluated",
        where=f"{step}, the first step that differs, at {_short(said.text)}",
        received=_short(received),
        expected=_short(expected),
        next_step="nothing was exported; another --format may do, and this is worth a report",
    )


def _tied(each: ReferenceCompletion, unit: float) -> bool:
    """Whether two tokens were as good as equally likely at some place, so that rounding decides."""
    return bool((each.logits[:, 0] - each.logits[:, 1] <= 2 * TOLERANCE * unit).any())


def _unit(said: Sequence[ReferenceCompletion]) -> float:
    return float(np.concatenate([each.logits.ravel() for each in said]).std()) or 1.0


def _about(admitted: Admitted, artifact: Artifact, format_: LanguageFormat) -> About:
    run, spec = admitted.run, admitted.run.recipe.spec
    return About(
        name=run.recipe.name,
        version="",
        created=utc_now(),
        task=run.task.name,
        answers=run.task.kind.labels.form,
        labels=(),
        format=format_.name,
        model=format_.model,
        inputs=("token_ids", "padding_mask"),
        outputs=("logits",),
        reader=Preprocessing(kind=run.task.reads.name, max_tokens=spec.model.max_tokens),
        packages=format_.packages,
        checkpoint=artifact.checkpoint,
        calibration=None,
        metrics=admitted.result.metrics,
        gates=admitted.result.gates,
        parity=None,
        receipt=run.receipt,
        forced=admitted.forced,
    )


def _golden(said: Sequence[ReferenceCompletion]) -> str:
    """Returns the proof's prompts with what is written to each, one a line."""
    lines = [{"input": each.given, "text": each.text, "answer": {"text": each.written.text}} for each in said[:GOLDEN]]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 120 else text[:117] + "..."
