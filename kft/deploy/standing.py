"""What stands on a shelf: what a text such as ``shelf/tickets@champion`` names, shelf.json and trail.jsonl read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kft.errors import RunError, UsageError
from kft.records.document import document_from, parse
from kft.records.remote import is_url
from kft.records.shelf import ALIASES, CHAMPION, Alias, Move, Standing
from kft.records.storage import Storage
from kft.registry import nearest

SHELF, TRAIL = "shelf.json", "trail.jsonl"
DEFAULT = "shelf"
"""The folder of all names, where nothing else was said."""
ELSEWHERE = "choose another shelf with --shelf FOLDER"
MEND = "restore it from a copy of the shelf; the folders of the versions are whole as they are"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class ShelfReference:
    """What a text such as ``shelf/tickets@champion`` names.

    Attributes:
        shelf: The folder of all names, or its URL.
        name: Of the model.
        pick: An alias, or the number of a version.
    """

    shelf: str
    name: str
    pick: Alias | int = CHAMPION

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                "this is no name for a model on a shelf",
                received=self.name,
                expected="letters, digits, '.', '_' and '-', a letter or digit first, at most 100",
                next_step="name the folder by --shelf FOLDER" if "/" in self.name else "choose another NAME",
            )

    @property
    def storage(self) -> Storage:
        shelf = self.shelf if is_url(self.shelf) else str(Path(self.shelf).expanduser())
        folder = f"{shelf.rstrip('/')}/{self.name}"
        return Storage(folder, "check the shelf's folder and the credentials", ELSEWHERE)

    def __str__(self) -> str:
        return f"{self.shelf.rstrip('/')}/{self.name}@{self.pick}"


def parse_reference(text: str) -> ShelfReference:
    """Reads ``SHELF/NAME``, ``SHELF/NAME@ALIAS`` or ``SHELF/NAME@VERSION``; without ``@`` it is the champion.

    Raises:
        UsageError: It is none of these.

    Example:
        >>> parse_reference("gs://bucket/shelf/tickets@3")
        ShelfReference(shelf='gs://bucket/shelf', name='tickets', pick=3)
        >>> str(parse_reference("shelf/tickets"))
        'shelf/tickets@champion'
    """
    head, at, pick = text.rstrip("/").rpartition("@")
    if not at or "/" in pick:
        head, pick = text.rstrip("/"), CHAMPION
    shelf, slash, name = head.rpartition("/")
    alias = next((each for each in ALIASES if each == pick), None)
    if alias is None and not (pick.isdecimal() and pick.isascii() and int(pick)):
        hint = nearest(pick, ALIASES)
        raise UsageError(
            f"unknown alias {pick!r}" + (f"; did you mean {hint!r}?" if hint else ""),
            where=text,
            received=pick,
            expected=f"{', '.join(ALIASES)}, or the number of a version",
            next_step="kft versions shows which there are",
        )
    return ShelfReference(shelf or ("/" if slash else "."), name, alias or int(pick))


def read_standing(to: ShelfReference) -> Standing:
    """Reads what stands on a shelf under a name.

    Raises:
        RunError: Nothing does, or shelf.json is damaged.
        StorageError: The shelf does not answer.
    """
    path = Path(to.storage.path)
    file = not is_url(to.storage.path) and any(each.is_file() for each in (path, *path.parents))
    found = None if file else standing_in(to.storage)
    if found is not None:
        return found
    names = () if file else names_on(to.shelf)
    hint = nearest(to.name, names)
    place = to.name if to.shelf == "." else f"{to.shelf}/{to.name}"
    raise RunError(
        f"no {to.name} on this shelf" + (f"; did you mean {hint}?" if hint else "")
        if names
        else f"neither an artifact nor a name on a shelf: {place}",
        where=to.shelf if names else place,
        received=", ".join(names) if names else "nothing that kft export or kft promote wrote",
        expected="a folder that kft export wrote, or SHELF/NAME[@champion|challenger|VERSION]",
        next_step="kft export RUN DEST makes an artifact, kft promote ARTIFACT NAME puts it on a shelf",
    )


def names_on(shelf: str) -> tuple[str, ...]:
    """Returns the names that have versions on a shelf.

    Raises:
        StorageError: The shelf does not answer.
    """
    folder = shelf if is_url(shelf) else str(Path(shelf).expanduser())
    found = Storage(folder).names() if is_url(folder) or Path(folder).is_dir() else []
    if not is_url(folder):  # a file beside the names of a shelf is none of them
        found = [name for name in found if (Path(folder) / name).is_dir()]
    names = filter(_NAME.fullmatch, found)
    return tuple(name for name in names if standing_in(ShelfReference(shelf, name).storage) is not None)


def read_trail(to: ShelfReference) -> tuple[Move, ...]:
    """Returns all moves of aliases of a name, the oldest first.

    Raises:
        RunError: A line is damaged.
        StorageError: The shelf does not answer.
    """
    storage = to.storage
    standing = standing_in(storage) or Standing()
    whole, _ = trail_in(storage)
    return (*whole, *unwritten(whole, standing))


def standing_in(storage: Storage) -> Standing | None:
    """Returns what shelf.json says; None where there is none."""
    content = storage.read(SHELF)
    return None if content is None else document_from(Standing, content, Path(storage.where(SHELF)), next_step=MEND)


def trail_in(storage: Storage) -> tuple[tuple[Move, ...], bool]:
    """Returns the lines of trail.jsonl, and whether a last one is cut short, by a process that was killed."""
    content = (storage.read(TRAIL) or b"").decode(errors="replace")
    *lines, rest = content.split("\n")
    path = Path(storage.where(TRAIL))
    moves = [parse(Move, line, path, f"line {number}", next_step=MEND) for number, line in enumerate(lines, 1)]
    return tuple(moves), bool(rest)


def unwritten(written: Sequence[Move], standing: Standing) -> tuple[Move, ...]:
    """Returns the last move where the trail lacks it."""
    number = written[-1].number if written else 0
    return (standing.last,) if standing.last is not None and standing.last.number > number else ()
