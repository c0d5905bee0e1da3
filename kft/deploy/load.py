"""Opens a shipped model: what serves, predicts and watches asks it, and it answers as its run.py does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.deploy.formats.language import LANGUAGE_FORMATS
from kft.deploy.runner.model import READ_AT_ONCE, Model, open_model
from kft.deploy.watching import ModelWatcher, Usable, tokenizer_of, watch
from kft.errors import UsageError
from kft.monitor.reference import NAME as REFERENCE
from kft.monitor.reference import Reference, load_reference
from kft.monitor.seen import NO_ROWS, Seen
from kft.records.document import as_document
from kft.records.shipped import NAME, About, read_about

if TYPE_CHECKING:
    import tokenizers

EMBEDDING = "embedding"
"""The graph's output of a model whose vectors are what was learned."""


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

    def cut(self, inputs: Sequence[Any]) -> int:
        """Returns how many texts of inputs are longer than what is read of them."""
        return self._model.cut(inputs)

    def vectors(self, texts: Sequence[str], *, side: str = "query") -> np.ndarray:
        """Returns ``float32[texts, width]``: what a model that compares texts makes of them, else what its head reads.

        Args:
            texts: Those longer than ``about.reader.max_tokens`` are cut.
            side: What they are: ``query`` or ``document``; prompts may differ.

        Raises:
            DataError: A text is empty; names its row, counted from 1.
            UsageError: The model gives no vector, or is not asked with a text.
        """
        about = self.about
        together = about.reader.kind != "text" and not about.reader.apart
        if "vectors" not in about.outputs or together or about.answers == "spans":
            raise UsageError(
                "the model gives no vector of a text",
                where=str(self.folder),
                received=f"task {about.task}, outputs {', '.join(about.outputs)}",
                expected="a model that reads one text and gives vectors",
                next_step="train and export a model of task text-embedding or text-classification, and name it here",
            )
        model, rows = self._model, []
        reader = replace(model.reader, pairs=False, after=None, before=getattr(about.reader, side))
        for start in range(0, len(texts), READ_AT_ONCE):
            rows += model.compute(reader.read(texts[start : start + READ_AT_ONCE]))
        name = EMBEDDING if EMBEDDING in about.outputs else "vectors"
        return np.stack([row[name] for row in rows]).astype(np.float32)

    @cached_property
    def tokenizer(self) -> tokenizers.Tokenizer:
        """What takes texts apart, without truncation or padding."""
        return tokenizer_of(self._model)

    @cached_property
    def reference(self) -> Reference:
        """What new rows are held against.

        Raises:
            RunError: The artifact has none, because an older kft has exported it; or it is damaged.
        """
        return load_reference(self.folder / REFERENCE)

    @cached_property
    def watcher(self) -> ModelWatcher:
        """Sees what is asked and answered.

        Raises:
            RunError: As ``reference``.
        """
        return watch(self._model, self.reference.known)

    def see(self, inputs: Sequence[Any], before: np.ndarray = NO_ROWS) -> tuple[list[dict[str, Any]], Seen]:
        """Returns the answers, and what is seen of each input and answer; see ``kft.deploy.watching.ModelWatcher``.

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
    if about.format in LANGUAGE_FORMATS.names():
        raise UsageError(
            "this artifact writes texts, and gives no label, number or vector",
            where=str(folder),
            received=f"{about.task}, format {about.format}",
            expected="an artifact of another task",
            next_step=f'kft generate {folder} "a prompt", or kft serve {folder}',
        )
    return Shipped(folder, about, open_model(folder, as_document(about)))


def is_artifact(folder: Path) -> bool:
    """Whether a folder is an artifact rather than a run."""
    return (folder / NAME).is_file()
