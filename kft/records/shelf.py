"""shelf.json and trail.jsonl: the versions of an artifact that stand on a shelf, and who moved an alias when and why.

shelf.json decides: it is replaced whole, and what it does not name is not there. It also holds the last move, so that
the trail lacks none: a line that a killed process did not come to write is written by the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from kft.records.fields import absent

Alias = Literal["champion", "challenger"]
ALIASES: tuple[Alias, ...] = get_args(Alias)
"""As MLflow names them: what answers, and what may come to."""
CHAMPION: Alias = "champion"


@dataclass(frozen=True)
class ShelfVersion:
    """A version that stands on the shelf; it never changes.

    Attributes:
        number: Counts up from 1; also the name of its folder.
        artifact: sha256 of its artifact.json, which holds those of all other files.
        at: When it came, in ISO 8601.
        forced: What the gate had against it; it came nevertheless.
    """

    number: int
    artifact: str
    at: str
    forced: tuple[str, ...] = absent(())


@dataclass(frozen=True)
class Move:
    """One line of the trail: an alias that was moved.

    Attributes:
        number: Counts up from 1.
        at: When, in ISO 8601.
        who: User and host.
        action: What was asked for.
        alias: What was moved.
        previous: The version that it named before; None where it named none.
        version: The version that it names now.
        artifact: sha256 of that version; see ``ShelfVersion``.
        why: In the words of whoever moved it; may be empty.
        source: The artifact as it was named; empty for a rollback.
        forced: What the gate had against it; it was moved nevertheless.
        signature: sha256 of the signature; empty where there is none.
    """

    number: int
    at: str
    who: str
    action: Literal["promote", "rollback"]
    alias: Alias
    previous: int | None
    version: int
    artifact: str
    why: str
    source: str = absent("")
    forced: tuple[str, ...] = absent(())
    signature: str = absent("")


@dataclass(frozen=True)
class Standing:
    """shelf.json: what stands on the shelf under one name.

    Attributes:
        aliases: The version that each alias names.
        versions: All of them, the oldest first.
        champions: Versions that were champion before the one that is, the latest last.
        last: The last move; None before the first.
    """

    aliases: Mapping[Alias, int] = field(default_factory=dict)
    versions: tuple[ShelfVersion, ...] = ()
    champions: tuple[int, ...] = ()
    last: Move | None = None

    def version(self, number: int) -> ShelfVersion | None:
        return next((each for each in self.versions if each.number == number), None)
