"""Looks at what a shipped model is asked and answers: gauges, scores and vectors, at export as in production."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data.images import read_file, stored_size
from kft.deploy.runner.model import IMAGES, READ_AT_ONCE, Model
from kft.deploy.runner.reading import Read, RowError
from kft.deploy.runner.trace import Row
from kft.errors import DataError
from kft.monitor.gauges.texts import TokenizerLimits
from kft.monitor.known import NOTHING, KnownRows
from kft.monitor.seen import NO_ROWS, WITHIN, Lens, ProductionRows, Seen, see_rows

if TYPE_CHECKING:
    import tokenizers

Answer = dict[str, Any]
LOOKED_AT = ("probabilities", "label", "confidence", "abstain", "value", "vectors")
"""Outputs of the graph."""


@dataclass(frozen=True)
class Looked:
    """An input's answer, and what the graph gave for it."""

    answer: Answer
    outputs: Row


@dataclass(frozen=True)
class Usable:
    """What could be answered of some inputs.

    Attributes:
        answers: Of those that could.
        seen: Of those that could.
        places: ``int64[answers]``: which they are.
        unusable: Why others could not, by their places.
    """

    answers: list[Answer]
    seen: Seen
    places: np.ndarray
    unusable: Mapping[int, str]


@dataclass(frozen=True)
class ModelWatcher:
    """Sees what a model is asked and answers.

    Attributes:
        model: That answers.
        lens: What is looked at.
    """

    model: Model
    lens: Lens

    def see(self, inputs: Sequence[Any], before: np.ndarray = NO_ROWS) -> tuple[list[Answer], Seen]:
        """Answers inputs and returns what is seen of them, in order.

        Args:
            inputs: Raw.
            before: Keys of the rows before these, by which copies are told.

        Raises:
            DataError: An input cannot be used; names its row.
        """
        found = self._see(inputs, before, skip=False)
        return found.answers, found.seen

    def see_usable(self, inputs: Sequence[Any], before: np.ndarray = NO_ROWS) -> Usable:
        """Does as ``see``, and leaves out inputs that cannot be used: an empty text, a damaged image."""
        return self._see(inputs, before, skip=True)

    def _see(self, inputs: Sequence[Any], before: np.ndarray, *, skip: bool) -> Usable:
        answers: list[Answer] = []
        seen: list[Seen] = []
        unusable: dict[int, str] = {}
        for start in range(0, len(inputs), READ_AT_ONCE):
            part = inputs[start : start + READ_AT_ONCE]
            try:
                read = self.model.reader.read(part)
            except DataError as error:
                if not skip:
                    raise (error.after(start) if isinstance(error, RowError) else error) from None
                problems = {place: problem for place, given in enumerate(part) if (problem := self._problem(given))}
                unusable |= {start + place: problem for place, problem in problems.items()}
                part = [given for place, given in enumerate(part) if place not in problems]
                if not part:
                    continue
                read = self.model.reader.read(part)
            outputs = self.model.compute(read)
            named = self.model.named(read, outputs)
            seen.append(self._seen(part, read, [Looked(*pair) for pair in zip(named, outputs, strict=True)], before))
            before = np.concatenate([before, seen[-1].keys])[-WITHIN:]
            answers += named
        places = np.array([place for place in range(len(inputs)) if place not in unusable], np.int64)
        return Usable(answers, Seen.join(seen), places, unusable)

    def _problem(self, given: Any) -> str:
        try:
            self.model.reader.read([given])
        except DataError as error:
            return f"{error.problem}: {error.received}" if error.received else error.problem
        return ""

    def look(self, inputs: Sequence[Any]) -> list[Looked]:
        """Answers inputs, and keeps what is wanted to see them later."""
        found: list[Looked] = []
        for start in range(0, len(inputs), READ_AT_ONCE):
            read = self.model.reader.read(inputs[start : start + READ_AT_ONCE])
            outputs = self.model.compute(read)
            found += map(Looked, self.model.named(read, outputs), outputs)
        return found

    def seen(self, inputs: Sequence[Any], looked: Sequence[Looked], before: np.ndarray = NO_ROWS) -> Seen:
        """Returns what is seen of inputs that were answered already: they are read again, and not computed."""
        parts: list[Seen] = []
        for start in range(0, len(inputs), READ_AT_ONCE):
            part = slice(start, start + READ_AT_ONCE)
            parts.append(self._seen(inputs[part], self.model.reader.read(inputs[part]), looked[part], before))
            before = np.concatenate([before, parts[-1].keys])[-WITHIN:]
        return Seen.join(parts)

    def _seen(self, inputs: Sequence[Any], read: Read, looked: Sequence[Looked], before: np.ndarray) -> Seen:
        answers, outputs = [each.answer for each in looked], _stacked(read, [each.outputs for each in looked])
        if self.lens.spelling is not None:
            rows = ProductionRows(read.decoded, answers, outputs, texts=read.decoded, tokens=read.tokens)
        else:
            pixels = [row[IMAGES] for row in read.rows]
            sizes = np.array([stored_size(_content(given)) for given in inputs], np.int64).reshape(-1, 2)
            rows = ProductionRows([each.tobytes() for each in pixels], answers, outputs, pixels=pixels, sizes=sizes)
        return see_rows(rows, self.lens, before)


def _content(given: Any) -> bytes:
    return given if isinstance(given, bytes) else read_file(Path(given).expanduser())


def _stacked(read: Read, outputs: Sequence[Row]) -> dict[str, np.ndarray]:
    """Returns outputs as arrays of all rows; where each word has its own answer, how sure those of a row are."""
    if read.offsets is not None:
        sure = [
            _mean(row["confidence"][: len(at)][at[:, 2] > 0]) for row, at in zip(outputs, read.offsets, strict=True)
        ]
        whole = [name for name in ("abstain", "vectors") if outputs and name in outputs[0]]
        return {"confidence": np.array(sure, np.float64)} | {
            name: np.stack([row[name] for row in outputs]) for name in whole
        }
    names = [name for name in LOOKED_AT if outputs and name in outputs[0]]
    return {name: np.stack([row[name] for row in outputs]) for name in names}


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def watch(model: Model, known: KnownRows = NOTHING) -> ModelWatcher:
    """Returns what sees the rows of a model.

    Args:
        model: An artifact's, opened.
        known: What is known of its valid split.
    """
    settings, calibration = model.about["reader"], model.about.get("calibration") or {}
    interval = calibration.get("interval") or {}
    withholds = calibration.get("threshold") is not None or calibration.get("scope") is not None
    withholds = withholds or bool(interval.get("reaches") and interval.get("widest"))
    spelling = None
    if settings["kind"] != "image":
        unknown, special = _ids(tokenizer_of(model))
        texts = getattr(model.reader, "texts", model.reader)  # of words, what reads their texts
        spelling = TokenizerLimits(texts.reach, unknown, special, settings["kind"] == "text-pair")
    return ModelWatcher(model, Lens(model.about["answers"], withholds, spelling, known))


def tokenizer_of(model: Model) -> tokenizers.Tokenizer:
    """Returns the tokenizer of a model that reads texts."""
    found: tokenizers.Tokenizer = getattr(model.reader, "texts", model.reader).tokenizer.tokenizer
    return found


def _ids(tokenizer: tokenizers.Tokenizer) -> tuple[int | None, tuple[int, ...]]:
    """Returns the id of what a tokenizer does not know, None where it knows all; and those that it adds."""
    settings = json.loads(tokenizer.to_str())["model"]
    name = settings.get("unk_token")
    unknown = settings.get("unk_id") if name is None else tokenizer.token_to_id(name)
    special = (place for place, token in tokenizer.get_added_tokens_decoder().items() if token.special)
    return unknown, tuple(place for place in special if place != unknown)
