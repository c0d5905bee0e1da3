"""Scalars for TensorBoard: the epochs of history.jsonl as event files, one folder a phase.

``tensorboard --logdir runs`` then shows the phases as curves of one chart. The package tensorboard is not needed to
write them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from kft.records.files import storage_errors

NO_SCALARS = ("epoch", "step", "seconds")
"""Numbers of an event that are no curves."""


def scalars_of(event: Mapping[str, Any]) -> dict[str, float]:
    """Returns what an event of the history has for curves: loss, rate and metrics of an epoch; nothing of others.

    Example:
        >>> scalars_of({"event": "epoch", "phase": "top", "epoch": 1, "step": 9, "loss": 0.5, "is_best": True})
        {'loss': 0.5}
    """
    if event["event"] != "epoch":
        return {}
    return {
        name: float(value)
        for name, value in event.items()
        if name not in NO_SCALARS and isinstance(value, (int, float)) and not isinstance(value, bool)
    }


@dataclass
class ScalarLog:
    """Event files of one run, at every moment what its history says.

    Attributes:
        folder: ``RUN/tensorboard``.
    """

    folder: Path
    _writers: dict[str, Any] = field(default_factory=dict)

    def append(self, event: Mapping[str, Any]) -> None:
        """Adds an event of the history, at its step; those without numbers leave nothing."""
        found = scalars_of(event)
        if not found:
            return
        writer = self._writer(event["phase"])
        kind = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        metadata = tf.compat.v1.SummaryMetadata(plugin_data=kind)
        with writer.as_default():  # tf.summary.scalar would ask for the package tensorboard
            for name, value in found.items():
                tf.summary.write(name, tf.constant(value, tf.float32), step=event["step"], metadata=metadata)
        writer.flush()

    def rewrite(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Writes the files anew with these events alone: a run that goes on leaves no point that it takes back."""
        while self._writers:
            self._writers.popitem()[1].close()
        with storage_errors(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)
        for event in events:
            self.append(event)

    def _writer(self, phase: str) -> Any:
        if phase not in self._writers:
            self._writers[phase] = tf.summary.create_file_writer(str(self.folder / phase))
        return self._writers[phase]
