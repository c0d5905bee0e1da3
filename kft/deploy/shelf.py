"""The shelf: versions of an artifact under one name, and the aliases that say which of them answers.

    SHELF/NAME/1, 2 ...       a version each, an artifact that never changes
    SHELF/NAME/shelf.json     which versions there are, what the aliases name; replaced whole
    SHELF/NAME/trail.jsonl    who moved an alias, when, from where to where and why

A version is copied under another name, renamed, and then named by shelf.json: whatever shelf.json does not name is not
there, so that a process killed at any moment leaves what was there before. A line of the trail that it did not come to
write stands in shelf.json too, and the next process writes it.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256

from kft.deploy.holding import holding
from kft.deploy.lookup import resolve, version_folder
from kft.deploy.proof import Contract, Proof, contract_of, objections, prove, require_whole
from kft.deploy.signing import SIGNATURE
from kft.deploy.standing import (
    SHELF,
    TRAIL,
    ShelfReference,
    read_standing,
    standing_in,
    trail_in,
    unwritten,
)
from kft.errors import RunError, StorageError, UsageError
from kft.records.document import as_document, document_text
from kft.records.files import utc_now
from kft.records.remote import is_url
from kft.records.shelf import CHAMPION, Alias, Move, ShelfVersion, Standing
from kft.records.shipped import NAME
from kft.records.storage import Storage


@dataclass(frozen=True)
class Wish:
    """What somebody wants of a move.

    Attributes:
        alias: What is moved.
        why: In their words.
        force: Whether the gate is passed over; that stands in the trail.
        instead_of: The version that the alias has to name until then; None: whichever it names.
    """

    alias: Alias = CHAMPION
    why: str = ""
    force: bool = False
    instead_of: int | None = None


@dataclass(frozen=True)
class ShelfMove:
    """What became of it.

    Attributes:
        name: Of the model.
        folder: Of the version that the alias names now, or its URL.
        stored: Whether this version is new; the same content is not stored twice.
        move: As the trail has it; None where the alias named this version already.
        standing: What stands on the shelf now.
        changed: Which labels the champion did not have, and which are gone; empty where they are the same.
    """

    name: str
    folder: str
    stored: bool
    move: Move | None
    standing: Standing = field(repr=False)
    changed: str = ""


def promote(source: str, to: ShelfReference, wish: Wish, say: Callable[[], None] | None = None) -> ShelfMove:
    """Puts an artifact on a shelf, if its content is not there yet, and has an alias name it.

    Args:
        source: As for ``resolve``: also a version of this shelf or of another.
        to: The name on the shelf.
        wish: Which alias, why, and whether the gate is passed over.
        say: Called once when it has to wait for another process.

    Raises:
        GateError: The artifact was forced when it was exported, or is not what was exported.
        RunError: There is no such artifact, shelf.json is damaged, or the alias names another version by now.
        StorageError: The disk is full, or the shelf cannot be written; all aliases are then as they were.
    """
    proof = prove(resolve(source))
    storage = to.storage
    champion = _champion(storage)
    against = objections(proof, champion, force=wish.force)
    with holding(storage, say):
        standing = _settled(storage)
        version = _same(to, standing, proof)
        stored = version is None
        if version is not None and wish.alias != CHAMPION and standing.aliases.get(CHAMPION) == version.number:
            raise UsageError(
                f"version {version.number} of {to.name} is the champion: it cannot challenge itself",
                where=storage.path,
                expected="another artifact",
                next_step=f"kft versions {to.name} --shelf {to.shelf} shows what stands there",
            )
        if version is None:
            version = ShelfVersion(_next(standing), proof.digest, utc_now(), against)
            _store(storage, version, proof)
            standing = replace(standing, versions=(*standing.versions, version))
        elif SIGNATURE in proof.files:
            _add_signature(storage, version, (proof.artifact / SIGNATURE).read_bytes())
        if standing.aliases.get(wish.alias) == version.number:
            return ShelfMove(to.name, storage.where(str(version.number)), False, None, standing)
        _require_still(to, standing, wish)
        move = _move(standing, version, wish.alias, wish.why)
        named = source if is_url(source) else os.path.abspath(source)
        signature = storage.read(f"{version.number}/{SIGNATURE}")
        move = replace(move, source=named, forced=against, signature=sha256(signature).hexdigest() if signature else "")
        standing = _moved(standing, move)
        _keep(storage, standing)
    changed = champion.changed_by(contract_of(proof.about)) if champion else ""
    return ShelfMove(to.name, storage.where(str(version.number)), stored, move, standing, changed)


def _champion(storage: Storage) -> Contract | None:
    """Returns what whoever asks the champion counts on; None where there is none, or it is damaged."""
    with suppress(ValueError, KeyError, TypeError, StorageError):  # of a shelf that cannot be read the move says more
        standing = standing_in(storage) or Standing()
        about = json.loads(storage.read(f"{standing.aliases[CHAMPION]}/{NAME}") or b"")
        return Contract(about["task"], about["reader"]["kind"], tuple(about["labels"]))
    return None


def rollback(to: ShelfReference, why: str = "", say: Callable[[], None] | None = None) -> ShelfMove:
    """Has the champion be the one before.

    Args:
        to: The name on the shelf.
        why: In the words of whoever asks for it.
        say: Called once when it has to wait for another process.

    Raises:
        RunError: There is no such name, no champion before this one, or that one's files were changed.
        StorageError: The shelf cannot be written; the champion is then as it was.
    """
    read_standing(to)  # a name that is not there gets no folder
    storage = to.storage
    with holding(storage, say):
        standing = _settled(storage)
        before = standing.version(standing.champions[-1]) if standing.champions else None
        if before is None:
            champion = standing.aliases.get(CHAMPION)
            raise RunError(
                "there is no champion before this one",
                where=storage.path,
                received=f"version {champion}, the first champion" if champion else "no champion at all",
                expected="a name that has had two champions",
                next_step=f"kft promote {to.shelf}/{to.name}@VERSION {to.name} makes any version champion",
            )
        require_whole(version_folder(to, before))
        move = replace(_move(standing, before, CHAMPION, why), action="rollback")
        standing = _moved(standing, move)
        _keep(storage, standing)
    return ShelfMove(to.name, storage.where(str(before.number)), False, move, standing)


def _require_still(to: ShelfReference, standing: Standing, wish: Wish) -> None:
    named = standing.aliases.get(wish.alias)
    if wish.instead_of is not None and named != wish.instead_of:
        raise RunError(
            f"somebody has moved the alias {wish.alias} of {to.name} meanwhile",
            where=to.storage.path,
            received=f"version {named}",
            expected=f"version {wish.instead_of}, which was compared",
            next_step=f"kft versions {to.name} --shelf {to.shelf} shows who did; compare with that one",
        )


def _same(to: ShelfReference, standing: Standing, proof: Proof) -> ShelfVersion | None:
    """Returns the version that has this content, provided that both are whole."""
    if proof.problems:
        return None
    for version in standing.versions:
        if version.artifact == proof.digest:
            with suppress(RunError):  # damaged since: the content is stored again, under another number
                require_whole(version_folder(to, version))
                return version
    return None


def _store(storage: Storage, version: ShelfVersion, proof: Proof) -> None:
    """Copies an artifact, artifact.json last; it is no version before shelf.json names it."""
    number = str(version.number)
    stage = number if is_url(storage.path) else f".{number}.partial"
    later = sorted(int(name) for name in storage.names() if name.isdecimal() and int(name) > version.number)
    if later:
        raise RunError(
            f"{SHELF} does not name folders that stand beside it: it is missing, or older than they are",
            where=storage.path,
            received=f"{', '.join(map(str, later))}, where version {number} would be the next",
            expected="the folders as kft wrote them",
            next_step=f"restore {SHELF} from a copy of the shelf, or move these folders away",
        )
    for litter in {number, stage}:  # of a process that was killed
        storage.clear(litter)
    for name in sorted(proof.files, key=lambda name: (name == NAME, name)):
        if storage.put(proof.artifact / name, f"{stage}/{name}") != proof.files[name]:
            raise RunError(
                "the artifact was changed while it was copied",
                where=str(proof.artifact / name),
                expected="an artifact that nobody writes to",
                next_step="run the command again",
            )
    if stage != number:
        storage.settle(stage)
        storage.rename(stage, number)
        storage.settle()


def _add_signature(storage: Storage, version: ShelfVersion, signature: bytes) -> None:
    """Adds a signature that was made since to a version, or replaces the one that it has: it is of the same files."""
    name = f"{version.number}/{SIGNATURE}"
    if storage.read(name) != signature:
        storage.write(name, signature)


def _settled(storage: Storage) -> Standing:
    """Reads what stands there, and has the trail say the last move: whoever made it may have been killed."""
    standing = standing_in(storage) or Standing()
    whole, cut_short = trail_in(storage)
    known = standing.last.number if standing.last else 0
    if whole and whole[-1].number > known:
        # To go on would write a version over one that the trail tells of.
        raise RunError(
            f"{TRAIL} tells of moves that {SHELF} does not know: that is missing, or older than it",
            where=storage.path,
            received=f"{known or 'no'} moves in {SHELF}, {whole[-1].number} in {TRAIL}",
            expected="the two as kft wrote them",
            next_step=f"restore {SHELF} from a copy of the shelf; the folders of the versions are whole as they are",
        )
    if cut_short:
        storage.write(TRAIL, b"".join(map(_line, whole)))
    for move in unwritten(whole, standing):
        storage.append(TRAIL, _line(move))
    return standing


def _keep(storage: Storage, standing: Standing) -> None:
    """Has the aliases name what they name now, in one step; then writes the line of the trail."""
    storage.write(SHELF, document_text(standing).encode())
    storage.settle()
    assert standing.last is not None
    try:
        storage.append(TRAIL, _line(standing.last))
    except StorageError as error:
        raise StorageError(
            f"the alias was moved, but {TRAIL} could not be written: {error.problem}",
            where=error.where,
            received=error.received,
            expected=error.expected,
            next_step=f"{error.next_step}; {SHELF} holds the line, and the next kft promote or rollback writes it",
        ) from error


def _move(standing: Standing, version: ShelfVersion, alias: Alias, why: str) -> Move:
    return Move(
        number=standing.last.number + 1 if standing.last else 1,
        at=utc_now(),
        who=_who(),
        action="promote",
        alias=alias,
        previous=standing.aliases.get(alias),
        version=version.number,
        artifact=version.artifact,
        why=why,
    )


def _moved(standing: Standing, move: Move) -> Standing:
    """Returns what stands there after a move."""
    aliases, champions = {**standing.aliases, move.alias: move.version}, standing.champions
    if move.action == "rollback":
        champions = champions[:-1]
    elif move.alias == CHAMPION and move.previous is not None:
        champions = (*champions, move.previous)
    if move.alias == CHAMPION and aliases.get("challenger") == move.version:
        del aliases["challenger"]  # it has won
    return replace(standing, aliases=aliases, champions=champions, last=move)


def _next(standing: Standing) -> int:
    return max((each.number for each in standing.versions), default=0) + 1


def _line(move: Move) -> bytes:
    return (json.dumps(as_document(move), ensure_ascii=False) + "\n").encode()


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's number that has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
