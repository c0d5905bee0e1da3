"""A model that was shipped: its folder opened once, raw inputs in, answers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kft.deploy.runner.answers import NAMERS, name_spans
from kft.deploy.runner.engines import ENGINES, Engine
from kft.deploy.runner.reading import Read, make_text_reader, padded
from kft.deploy.runner.trace import Stages

BATCH = 32
"""Inputs that are computed together, those of like length: more need more memory and are no faster on a CPU."""


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

    def predict(self, inputs: Sequence[Any]) -> list[dict[str, Any]]:
        """Returns one answer an input, in order.

        Raises:
            DataError: An input cannot be used.
        """
        return self.stages(inputs, traced=False).answers if len(inputs) else []

    def stages(self, inputs: Sequence[Any], *, traced: bool = True) -> Stages:
        """Returns the answers, and what led to each.

        Args:
            inputs: At least one.
            traced: Whether inputs are wanted as they were normalised.
        """
        read = self.reader.read(inputs, traced=traced)
        outputs: list[dict[str, np.ndarray]] = [{}] * len(inputs)
        lengths = [len(next(iter(row.values()))) for row in read.rows]
        order = np.argsort(lengths, kind="stable")
        for places in np.split(order, range(BATCH, len(order), BATCH)):
            found = self.engine(padded([read.rows[place] for place in places], self.about["inputs"]))
            for at, place in enumerate(places):
                outputs[place] = {name: values[at] for name, values in found.items()}
        answers = [self._named(read, at, each) for at, each in enumerate(outputs)]
        return Stages(read.decoded, read.normalised, read.rows, outputs, answers)

    def _named(self, read: Read, at: int, outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        labels = self.about["labels"]
        if read.offsets is not None:
            return name_spans(outputs, labels, read.offsets[at], read.decoded[at])
        return NAMERS[self.about["answers"]](outputs, labels)


def open_model(folder: Path, about: Mapping[str, Any]) -> Model:
    """Opens an artifact's folder, whose files somebody has checked.

    Args:
        folder: The artifact's.
        about: Its artifact.json.
    """
    return Model(about, make_text_reader(folder, about), ENGINES[about["format"]](folder / about["model"]))
