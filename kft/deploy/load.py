"""Opens a shipped model: what serves, predicts and watches asks it, and it answers as its run.py does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kft.deploy.runner.model import Model, open_model
from kft.deploy.watching import Usable, Watcher, watch
from kft.monitor.reference import NAME as REFERENCE
from kft.monitor.reference import Reference, load_reference
from kft.monitor.seen import NO_ROWS, Seen
from kft.records.document import as_document
from kft.records.shipped import NAME, About, read_about


@dataclass(frozen=True)
class Shipped:
    """A model that was exported. Several threads may ask it at once.

    Attributes:
        folder: Where it lies.
        about: Its artifact.json.
    """

    folder: Path
    about: About
    _model: Model = field(repr=False, compare=False)

    def predict(self, inputs: Sequence[Any]) -> list[dict[str, Any]]:
        """Returns one answer an input, in order, as ``kft predict`` prints it, and ``why`` where one is withheld.

        Args:
            inputs: Texts, pairs of texts, or images as paths or as the bytes of their files.

        Raises:
            DataError: An input cannot be used; names its row, counted from 1.
        """
        return self._model.predict(inputs)

    @cached_property
    def reference(self) -> Reference:
        """What new rows are held against.

        Raises:
            RunError: The artifact has none, because an older kft has exported it; or it is damaged.
        """
        return load_reference(self.folder / REFERENCE)

    @property
    def has_reference(self) -> bool:
        """Whether there is something that new rows can be held against."""
        return REFERENCE in self.about.files

    @cached_property
    def watcher(self) -> Watcher:
        """Sees what is asked and answered.

        Raises:
            RunError: As ``reference``.
        """
        return watch(self._model, self.reference.known)

    def see(self, inputs: Sequence[Any], before: np.ndarray = NO_ROWS) -> tuple[list[dict[str, Any]], Seen]:
        """Returns the answers, and what is seen of each input and answer; see ``kft.deploy.watching.Watcher``.

        Raises:
            DataError: An input cannot be used; ``see_usable`` leaves such out.
            RunError: As ``reference``.
        """
        return self.watcher.see(inputs, before)

    def see_usable(self, inputs: Sequence[Any], before: np.ndarray = NO_ROWS) -> Usable:
        """Does as ``see``, and leaves out inputs that cannot be used."""
        return self.watcher.see_usable(inputs, before)


def open_artifact(folder: Path) -> Shipped:
    """Opens an artifact, after comparing each of its files with its sha256.

    Args:
        folder: From ``kft export``.

    Raises:
        RunError: The folder is no artifact, is of a newer kft, or a file was changed.
        UsageError: The package that it runs on is not installed; says how to install it.
    """
    about = read_about(folder)
    return Shipped(folder, about, open_model(folder, as_document(about)))


def is_artifact(folder: Path) -> bool:
    """Whether a folder is an artifact rather than a run."""
    return (folder / NAME).is_file()
