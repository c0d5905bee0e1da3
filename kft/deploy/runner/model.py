"""A model that was shipped: its folder opened once, raw inputs in, answers out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from kft.deploy.runner.answers import NAMERS, name_spans
from kft.deploy.runner.engines import ENGINES, Engine
from kft.deploy.runner.reading import Read, RowError, make_text_reader, padded
from kft.deploy.runner.trace import Row, Stages
from kft.errors import UsageError
from kft.tasks.decode import in_units
from kft.tasks.windows import MOST_TOKENS, evidence_of

EVIDENCE = "windows"
"""The model's output of what each window would answer alone."""
IMAGES = "images"
"""The model's input of pixels."""
READ_AT_ONCE = 256
"""Inputs that are read together: memory does not grow with their number."""
BATCH = 32
"""Inputs that are computed together at most: more need more memory and are no faster on a CPU."""
CALL = 64
"""What a batch costs beside its tokens, counted in these: of 32 questions a half of all tokens would be padding."""


@dataclass(frozen=True)
class Model:
    """Reads, computes and names. Several threads may ask it at once.

    Attributes:
        about: The artifact's artifact.json.
        reader: Of raw inputs.
        engine: Runs the model's file.
    """

    about: Mapping[str, Any]
    reader: Any = field(repr=False)
    engine: Engine = field(repr=False)

    def predict(self, inputs: Sequence[Any], before: int = 0) -> list[dict[str, Any]]:
        """Returns one answer an input, in order.

        Args:
            inputs: Raw.
            before: How many others of the same file were answered before these: an error counts rows from there.

        Raises:
            RowError: An input cannot be used.
        """
        return [answer for part in self._parts(inputs, before, traced=False) for answer in part.answers]

    def cut(self, inputs: Sequence[Any]) -> int:
        """Returns how many texts of inputs are longer than what is read of them."""
        return 0 if self.about["reader"]["kind"] == "image" else self.reader.read(inputs).cut

    def embedding(self, side: str) -> Model:
        """Returns the same, answering single texts with their vectors.

        Args:
            side: What the texts are: ``query`` or ``document``; prompts may differ.

        Raises:
            UsageError: Its graph embeds no text.
        """
        if "embedding" not in self.about["outputs"]:
            raise UsageError(
                "this model gives no vectors of texts",
                where="--embed",
                received=self.about["task"],
                expected="a model of text-embedding or text-similarity",
                next_step="leave --embed out",
            )
        before = self.about["reader"].get(side, "")
        reader = replace(self.reader, pairs=False, after=None, before=before)
        return replace(self, reader=reader, about={**self.about, "answers": "documents"})

    def stages(self, inputs: Sequence[Any]) -> Stages:
        """Returns the answers, and what led to each; of images their hashes alone."""
        parts = list(self._parts(inputs, 0, traced=True))
        return Stages(*(list(chain.from_iterable(map(attrgetter(each.name), parts))) for each in fields(Stages)))

    def _parts(self, inputs: Sequence[Any], before: int, *, traced: bool) -> Iterator[Stages]:
        for start in range(0, len(inputs), READ_AT_ONCE):
            try:
                yield self._stages(inputs[start : start + READ_AT_ONCE], traced=traced)
            except RowError as error:
                raise error.after(before + start) from None

    def compute(self, read: Read) -> list[Row]:
        """Returns what the graph gives of each input, by name; of two texts that it embeds also the score.

        Args:
            read: At most ``READ_AT_ONCE`` inputs.
        """
        if read.firsts is None:
            return self._computed(read.rows, windowed=read.windowed is not None)
        cut = list(zip(read.rows, read.firsts, strict=True))
        firsts = [{name: values[:first] for name, values in row.items()} for row, first in cut]
        seconds = [{name: values[first:] for name, values in row.items()} for row, first in cut]
        found = self._computed([*firsts, *seconds])
        return list(map(self._compared, found[: len(cut)], found[len(cut) :]))

    def _compared(self, first: Row, second: Row) -> Row:
        """Returns the vectors of two texts beside each other, their cosine (``logits``) and the score (``value``)."""
        cosine = (first["embedding"] * second["embedding"]).sum(keepdims=True)
        receipt, both = self.about["receipt"], ("vectors", "embedding")
        (value,) = in_units(cosine[None], receipt["mean"], receipt["std"])
        beside = {name: np.concatenate([first[name], second[name]]) for name in both}
        return {**beside, "logits": cosine, "value": value}

    def _computed(self, rows: Sequence[Row], *, windowed: bool = False) -> list[Row]:
        outputs: list[Row] = [{}] * len(rows)
        lengths = np.array([len(next(iter(row.values()))) for row in rows])
        order = np.argsort(lengths, kind="stable")
        # One activation scale for a whole batch: an answer would hang on who else asks.
        most = 1 if self.about.get("alone") else BATCH
        if windowed:  # of long texts fewer, or memory would grow with the longest
            most = max(1, min(most, MOST_TOKENS // int(lengths.max())))
        for places in np.split(order, begins(lengths[order].tolist(), most)[1:]):
            found = self.engine(padded([rows[place] for place in places], self.about["inputs"]))
            for at, place in enumerate(places):
                outputs[place] = {name: values[at] for name, values in found.items()}
        return outputs

    def named(self, read: Read, outputs: Sequence[Row]) -> list[dict[str, Any]]:
        """Returns the answers of what was computed."""
        return [self._named(read, at, each) for at, each in enumerate(outputs)]

    def _stages(self, inputs: Sequence[Any], *, traced: bool) -> Stages:
        read = self.reader.read(inputs, traced=traced)
        outputs = self.compute(read)
        rows = [{name: values for name, values in row.items() if name != IMAGES} for row in read.rows]
        return Stages(read.decoded, read.normalised, rows, outputs, self.named(read, outputs))

    def _named(self, read: Read, at: int, outputs: Row) -> dict[str, Any]:
        labels = self.about["labels"]
        if read.offsets is not None:
            length = len(read.offsets[at])
            cut = {name: values[:length] if values.ndim else values for name, values in outputs.items()}
            return name_spans(cut, labels, read.offsets[at], read.decoded[at])
        answer = NAMERS[self.about["answers"]](outputs, labels)
        if read.windowed is not None and EVIDENCE in outputs:
            found, spans, form = outputs[EVIDENCE], read.windowed[at].spans, self.about["answers"]
            units = self.about["receipt"]["mean"], self.about["receipt"]["std"]
            answer["evidence"] = evidence_of(found, spans, form, answer, labels, units)
        return answer


def begins(lengths: Sequence[int], most: int) -> list[int]:
    """Returns where batches begin, so that padding and calls together cost least.

    A batch is as long as its longest input, and costs that many tokens an input and ``CALL``.

    Args:
        lengths: Of inputs, ascending.
        most: Inputs in a batch.

    Example:
        >>> begins([8, 9, 9, 10, 60], 32), begins([8, 9, 9, 10, 11], 32), begins([224, 224, 224], 2)
        ([0, 4], [0], [0, 1])
    """
    costs, starts = [0], [0]
    for end, longest in enumerate(lengths, 1):
        tried = range(max(0, end - most), end)
        costs_of = [costs[start] + CALL + (end - start) * longest for start in tried]
        costs.append(min(costs_of))
        starts.append(tried[costs_of.index(costs[end])])
    found, end = [], len(lengths)
    while end:
        end = starts[end]
        found.append(end)
    return found[::-1]


def open_model(folder: Path, about: Mapping[str, Any]) -> Model:
    """Opens an artifact's folder, whose files somebody has checked.

    Args:
        folder: The artifact's.
        about: Its artifact.json.
    """
    return Model(about, _make_reader(folder, about), ENGINES[about["format"]](folder / about["model"]))


def _make_reader(folder: Path, about: Mapping[str, Any]) -> Any:
    settings = about["reader"]
    if settings["kind"] == "image":
        from kft.deploy.runner.reading_images import make_image_reader

        return make_image_reader(settings)
    texts = make_text_reader(folder / "tokenizer.json", settings)
    if about["answers"] != "spans":
        return texts
    from kft.deploy.runner.reading_words import WordReader

    return WordReader(texts, "word_features" in about["inputs"])
