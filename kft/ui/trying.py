"""The model that is being tried: loaded once, answering as `kft predict` does."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kft.errors import DataError
from kft.records.document import as_document
from kft.records.lock import seems_held
from kft.records.run_folder import open_run
from kft.ui.folder import place_of

LONGEST = 100_000
"""Characters of a text."""


class Trial:
    """One model at a time, asked by one thread.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._held: tuple[tuple[str, float], Any] | None = None
        self.thread = ThreadPoolExecutor(1, "trial")

    def about(self, run: str) -> dict[str, Any]:
        """Returns what the page asks for: the model is loaded for it.

        Raises:
            KftError: It cannot be loaded.
        """
        model = self._model(run)
        reads = model.reading.task.reads
        kind = "image" if reads.files else "text-pair" if reads.pairs else "text"
        return {"name": Path(run).name, "task": model.task, "reads": kind, "labels": list(model.labels)}

    def ask(self, run: str, texts: list[str]) -> dict[str, Any]:
        """Answers a text, or two that are read together.

        Raises:
            KftError: The model cannot be loaded, or the text cannot be used.
        """
        if any(len(text) > LONGEST for text in texts):
            raise DataError(
                "the text is longer than this page takes",
                received=f"{max(map(len, texts)):,} characters",
                expected=f"at most {LONGEST:,}",
                next_step="shorten it, or type: kft predict RUN FILE",
            )
        if self._model(run).reading.task.reads.files:  # it would take the text for the path of a file
            raise DataError("this model reads images", received="a text", next_step="choose an image")
        given = tuple(texts) if len(texts) == 2 else texts[0]
        return self._answer(run, given)

    def ask_image(self, run: str, image: bytes) -> dict[str, Any]:
        """Answers an image.

        Raises:
            KftError: Likewise.
        """
        with tempfile.NamedTemporaryFile(suffix=".png") as file:  # what it holds says what it is, not its name
            file.write(image)
            file.flush()
            return self._answer(run, Path(file.name))

    def forget(self) -> None:
        """Lets go of the model: what is started next needs the memory."""
        self._held = None

    def _answer(self, run: str, given: Any) -> dict[str, Any]:
        model = self._model(run)
        read = model.read([given])
        (found,), cut = model.answers(read), model.cut(read)
        return {**as_document(found), "model": Path(run).name, **({"cut": cut} if cut else {})}

    def _model(self, run: str) -> Any:
        from kft.api.answering import load

        folder = open_run(place_of(self._root, run))
        if not folder.metrics.is_file():
            raise DataError(
                "the model is not ready",
                where=run,
                received="a training that is at work" if seems_held(folder) else "a training that did not end",
                next_step="wait until it is done, or go on with it under “Train”",
            )
        key = run, folder.metrics.stat().st_mtime
        held = self._held  # forgotten by another thread, it is still what answers this one
        if held is None or held[0] != key:
            self._held = held = None
            self._held = held = key, load(place_of(self._root, run).relative_to(self._root))
        return held[1]
