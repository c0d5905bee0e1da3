"""`kft promote`, `rollback`, `versions`, `verify` and `sign`: what ships, which version answers, and the proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from kft.deploy import shelf as room
from kft.deploy.lookup import resolve
from kft.deploy.proof import Proof, objections, prove, require_whole
from kft.deploy.shelf import ShelfMove, Wish
from kft.deploy.signing import sign_files
from kft.deploy.standing import DEFAULT, ShelfReference, names_on, read_standing, read_trail
from kft.errors import UsageError, require_plain
from kft.notebook import Line, Piece, ShownTable, shows
from kft.records.shelf import ALIASES, CHAMPION, Alias, Move, Standing
from kft.registry import nearest
from kft.terminal import echo

if TYPE_CHECKING:
    from kft.deploy.mlflow_model import Registered


@shows
@dataclass(frozen=True)
class Promoted:
    """What stands on the shelf after a move.

    Attributes:
        name: Of the model.
        folder: Of the version that the alias names now.
        stored: Whether this version is new; the same content is not stored twice.
        aliases: The version that each alias names now.
        move: As the trail has it; None where the alias named this version already.
        changed: Which labels the champion did not have, and which are gone; empty where they are the same.
    """

    name: str
    folder: str
    stored: bool
    aliases: dict[Alias, int]
    move: Move | None
    changed: str = ""

    def shown(self) -> Iterator[Piece]:
        yield Line(self.name, *(f"{alias} {number}" for alias, number in self.aliases.items()), self.folder)


@shows
@dataclass(frozen=True)
class Stand:
    """One name on a shelf.

    Attributes:
        name: Of the model.
        standing: Its versions and aliases.
        trail: All moves of its aliases, the oldest first.
    """

    KEYS: ClassVar = ("name", "standing", "trail", "missing")

    name: str
    standing: Standing
    trail: tuple[Move, ...]

    @property
    def missing(self) -> tuple[int, ...]:
        """Moves that were made and that the trail does not tell of: somebody has taken lines out of it."""
        told, last = {move.number for move in self.trail}, self.standing.last
        return tuple(number for number in range(1, last.number + 1) if number not in told) if last else ()

    def rows(self) -> list[tuple[str, ...]]:
        """One a version, the newest first: number, aliases, when it came, the artifact's hash, what was passed over."""
        named = {number: alias for alias, number in self.standing.aliases.items()}
        versions = reversed(self.standing.versions)
        return [
            (str(each.number), named.get(each.number, ""), each.at, each.artifact[:12], ", ".join(each.forced))
            for each in versions
        ]

    def shown(self) -> Iterator[Piece]:
        yield Line(self.name)
        yield ShownTable(("version", "alias", "since", "artifact", "forced"), self.rows())


def promote(
    artifact: str | Path,
    name: str,
    *,
    shelf: str | Path = DEFAULT,
    alias: Alias = CHAMPION,
    why: str = "",
    force: bool = False,
) -> Promoted:
    """Puts an artifact on a shelf as a version, and has an alias name it.

    Args:
        artifact: What ``kft.export`` wrote, or a version of a shelf, such as ``shelf/tickets@challenger``.
        name: Of the model on the shelf.
        shelf: A folder, or a URL such as ``gs://bucket/shelf``.
        alias: ``champion`` or ``challenger``.
        why: For the trail.
        force: Promotes what the gate is against; the trail says so.

    Raises:
        GateError: The artifact was forced when it was exported, or is not what was exported.
        RunError: There is no such artifact, or what the shelf says of the name is damaged.
        StorageError: The disk is full, or the shelf cannot be written; the aliases are then as they were.

    Example:
        >>> import kft
        >>> kft.promote("tickets-onnx", "tickets").aliases  # doctest: +SKIP
        {'champion': 1}
    """
    _require_alias(alias)
    _require_plain(artifact=artifact, shelf=shelf, why=why)
    to = ShelfReference(str(shelf), name, alias)
    return _promoted(room.promote(str(artifact), to, Wish(alias, why, force), _say_waiting))


def rollback(name: str, *, shelf: str | Path = DEFAULT, why: str = "") -> Promoted:
    """Has the champion be the one before it.

    Args:
        name: Of the model on the shelf.
        shelf: As for ``promote``.
        why: For the trail.

    Raises:
        RunError: There is no such name, no champion before this one, or that one's files were changed.
        StorageError: The shelf cannot be written; the champion is then as it was.

    Example:
        >>> import kft
        >>> kft.rollback("tickets", why="more complaints").aliases  # doctest: +SKIP
        {'champion': 1}
    """
    _require_plain(shelf=shelf, why=why)
    return _promoted(room.rollback(ShelfReference(str(shelf), name), why, _say_waiting))


def versions(name: str | None = None, *, shelf: str | Path = DEFAULT) -> tuple[Stand, ...]:
    """Returns what stands on a shelf.

    Args:
        name: Of one model; all of them without it.
        shelf: As for ``promote``.

    Raises:
        RunError: There is no such name, or what the shelf says of one is damaged.
        StorageError: The shelf does not answer.

    Example:
        >>> import kft
        >>> [stand.standing.aliases for stand in kft.versions()]  # doctest: +SKIP
        [{'champion': 2, 'challenger': 3}]
    """
    names = names_on(str(shelf)) if name is None else (name,)
    stands = [ShelfReference(str(shelf), each) for each in names]
    return tuple(Stand(each.name, read_standing(each), read_trail(each)) for each in stands)


def verify(artifact: str | Path, *, public_key: str | Path | None = None) -> Proof:
    """Holds every file of an artifact against what was exported, and the signature against a key.

    Args:
        artifact: A folder, or a version of a shelf.
        public_key: That of the key that it should be signed with; without one, a signature is not asked for.

    Raises:
        RunError: It is no artifact, or one of a newer kft.
        UsageError: The key cannot be used.

    Example:
        >>> import kft
        >>> kft.verify("tickets-onnx").problems  # doctest: +SKIP
        ()
    """
    return prove(resolve(artifact), None if public_key is None else Path(public_key))


def sign(artifact: str | Path, key: str | Path, *, password: str | None = None) -> Path:
    """Signs an artifact that is what was exported.

    Args:
        artifact: Its folder.
        key: A private key on a curve of NIST's, as PEM.
        password: Of the key, where it has one.

    Returns:
        The file of the signature, in the artifact's folder.

    Raises:
        RunError: It is no artifact, or its files are not those that were exported.
        UsageError: The key cannot be used, or the artifact stands on a shelf.
        StorageError: The signature cannot be written.

    Example:
        >>> import kft
        >>> kft.sign("tickets-onnx", "key.pem").name  # doctest: +SKIP
        'model.sig'
    """
    folder = resolve(artifact)
    if folder != Path(artifact).expanduser():
        raise UsageError(
            "a version on a shelf is not signed there",
            where=str(artifact),
            received="a name on a shelf, or a URL",
            expected="the folder of an artifact on this disk",
            next_step="sign the artifact, and promote it again: the version that has its content gets the signature",
        )
    require_whole(folder)
    return sign_files(folder, Path(key), password)


def register_mlflow(
    artifact: str | Path,
    name: str,
    uri: str,
    *,
    alias: Alias = CHAMPION,
    why: str = "",
    force: bool = False,
) -> Registered:
    """Registers an artifact with MLflow, as a pyfunc model that answers by the artifact's own run.py.

    Args:
        artifact: As for ``promote``.
        name: Of the model in the registry.
        uri: Of the tracking server.
        alias: ``champion`` or ``challenger``.
        why: For the version's description.
        force: As for ``promote``; a tag of the version says so.

    Raises:
        GateError: As for ``promote``.
        UsageError: The extra is not installed.
        StorageError: The registry does not answer, or refuses.

    Example:
        >>> import kft
        >>> kft.register_mlflow("tickets-onnx", "tickets", "http://localhost:5000").uri  # doctest: +SKIP
        'models:/tickets@champion'
    """
    from kft.deploy.mlflow_model import Entry, register

    _require_alias(alias)
    _require_plain(artifact=artifact, name=name, why=why)
    proof = prove(resolve(artifact))
    objections(proof, force=force)
    return register(proof, Entry(name, alias, why), uri)


def _promoted(moved: ShelfMove) -> Promoted:
    return Promoted(moved.name, moved.folder, moved.stored, dict(moved.standing.aliases), moved.move, moved.changed)


def _require_alias(alias: str) -> None:
    if alias not in ALIASES:
        hint = nearest(str(alias), ALIASES)
        raise UsageError(
            f"unknown alias {alias!r}" + (f"; did you mean {hint!r}?" if hint else ""),
            received=str(alias),
            expected=f"one of {', '.join(ALIASES)}",
        )


def _require_plain(**given: str | Path) -> None:
    """Refuses what would act when it is shown, or could not be written down: the trail keeps it."""
    for name, value in given.items():
        require_plain(str(value), name, UsageError)


def _say_waiting() -> None:
    echo("waiting    another process moves the aliases of this name", err=True)
