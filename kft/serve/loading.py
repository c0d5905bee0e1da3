"""From a folder to a version that answers, and from what a person names to folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from kft.deploy.standing import parse_reference
from kft.deploy.watching import ModelWatcher
from kft.errors import RunError, UsageError, require_plain
from kft.serve.batching import Answer
from kft.serve.models import EXAMPLES, LoadedVersion, Looking

TOKENIZER = "tokenizer.json"


class OpenedModel(Protocol):
    """A model that was exported, opened."""

    @property
    def folder(self) -> Path:
        """Where it lies."""

    @property
    def about(self) -> Any:
        """Its artifact.json."""

    @property
    def watcher(self) -> ModelWatcher:
        """What looks at inputs and answers."""

    def predict(self, inputs: Sequence[Any]) -> list[Answer]:
        """Returns one answer an input, in order."""

    def cut(self, inputs: Sequence[Any]) -> int:
        """Returns how many texts of inputs are longer than what is read of them."""


Open = Callable[[Path], OpenedModel]


@dataclass(frozen=True)
class ModelLocation:
    """What a person named.

    Attributes:
        name: What the model is to be called; empty: nothing was said.
        place: A folder, or a name on a shelf.
        is_folder: Which of them.
    """

    name: str
    place: str
    is_folder: bool

    @property
    def called(self) -> str:
        """What to call the model: as was asked, else as its shelf does; empty: as its artifact says.

        Raises:
            UsageError: The place is neither a folder nor a name on a shelf.

        Example:
            >>> ModelLocation("", "shelf/spam@challenger", is_folder=False).called
            'spam'
        """
        return self.name or ("" if self.is_folder else parse_reference(self.place).name)


def read_source(text: str) -> ModelLocation:
    """Returns what is meant by ``ARTIFACT``, ``SHELF/NAME`` or ``NAME=`` and one of them.

    Raises:
        UsageError: It holds characters that act.

    Example:
        >>> read_source("spam=shelf/spam@challenger")
        ModelLocation(name='spam', place='shelf/spam@challenger', is_folder=False)
    """
    require_plain(text, "ARTIFACT", UsageError)
    if (Path(text).expanduser() / "artifact.json").is_file():
        return ModelLocation("", text, True)
    name, equals, place = text.partition("=")
    if not equals or "/" in name:
        name, place = "", text
    return ModelLocation(name, place, (Path(place).expanduser() / "artifact.json").is_file())


def load_version(open_: Open, folder: Path, name: str, say: Callable[[str], None] | None = None) -> LoadedVersion:
    """Opens an artifact and has it answer once.

    Args:
        open_: Opens the folder.
        folder: The artifact's.
        name: What the model is to be called; empty: as the artifact says.
        say: Inputs and answers are looked at, for records; is told why they cannot be. None: nobody looks.

    Raises:
        KftError: It cannot be opened.
    """
    shipped = open_(folder)
    about = shipped.about
    version = LoadedVersion(
        name=name or about.name,
        version=about.version,
        task=about.task,
        reads=about.reader.kind,
        labels=tuple(about.labels),
        folder=folder,
        shipped=shipped,
        redact=tuple(about.reader.redact),
        count_tokens=_token_counter(folder / TOKENIZER),
        cut=shipped.cut,
    )
    (example,) = version.predict([EXAMPLES[version.reads]])
    return replace(version, example=example, looking=_looking(shipped, say) if say else None)


def _looking(shipped: OpenedModel, say: Callable[[str], None]) -> Looking | None:
    """Returns what looks at inputs and answers; None, and says why, where there is nothing to hold them against."""
    try:
        return Looking(shipped.watcher)
    except RunError as error:
        say(f"{shipped.about.name} {shipped.about.version} is recorded without what kft monitor reads: {error.problem}")
        return None


def _token_counter(path: Path) -> Callable[[str], int] | None:
    if not path.is_file():
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text))
