"""exported.json: where a run was exported to, so that its report can say what ships."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kft.records.document import read_if_there, write_document
from kft.records.fields import absent
from kft.records.run_folder import RunFolder
from kft.records.shipped import NAME, About


@dataclass(frozen=True)
class Exported:
    """One artifact.

    Attributes:
        folder: Where it was written.
        name: What it is called.
        version: Of its files.
        format: Of the model's file.
        created: When, in ISO 8601.
        reference: Whether it holds what new rows are held against.
        forced: Why the export would have been refused without ``--force``; empty else.
    """

    folder: str
    name: str
    version: str
    format: str
    created: str
    reference: bool
    forced: tuple[str, ...] = absent(())

    @property
    def is_there(self) -> bool:
        """Whether the folder still holds an artifact."""
        return (Path(self.folder) / NAME).is_file()


@dataclass(frozen=True)
class Exports:
    """exported.json.

    Attributes:
        exports: All of them, the oldest first; a folder that was written anew stands once.
    """

    exports: tuple[Exported, ...] = ()


def read_exports(run: RunFolder) -> tuple[Exported, ...]:
    """Returns where a run was exported to, the latest last.

    Raises:
        RunError: The file is damaged.
    """
    found = read_if_there(Exports, run.exported)
    return () if found is None else found.exports


def note_export(run: RunFolder, folder: Path, about: About, reference: bool) -> None:
    """Adds an artifact to a run's list.

    Args:
        run: That was exported.
        folder: Of the artifact.
        about: Its artifact.json.
        reference: Whether it holds what new rows are held against.

    Raises:
        RunError: The list is damaged.
        StorageError: The run folder cannot be written.
    """
    where = str(folder.resolve())
    added = Exported(where, about.name, about.version, about.format, about.created, reference, about.forced)
    others = tuple(each for each in read_exports(run) if each.folder != where)
    write_document(run.exported, Exports((*others, added)))
