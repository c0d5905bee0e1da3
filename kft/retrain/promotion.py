"""The champion on a shelf: that it is the run which is retrained, and its place taken only while it still is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kft.deploy.lookup import version_folder
from kft.deploy.shelf import ShelfMove, Wish, promote
from kft.deploy.standing import ShelfReference, parse_reference, read_standing
from kft.errors import RunError, UsageError
from kft.records.retrained import Retraining
from kft.records.shelf import CHAMPION
from kft.records.shipped import About, read_claims


@dataclass(frozen=True)
class Throne:
    """Where a champion stands.

    Attributes:
        at: The name on the shelf.
        version: The one that is champion.
        about: Its artifact.json.
    """

    at: ShelfReference
    version: int
    about: About

    @property
    def quantize(self) -> str:
        """As ``kft export --quantize`` has it; empty for numbers as they were evaluated."""
        return "" if self.about.quantized is None else self.about.quantized.how


def find_throne(named: str) -> Throne:
    """Returns the champion that a text such as ``shelf/tickets`` names.

    Raises:
        UsageError: It names another alias, or a version.
        RunError: There is no champion of that name.
    """
    at = parse_reference(named)
    if at.pick != CHAMPION:
        raise UsageError(
            "a challenger takes the champion's place, and no other",
            where="--promote",
            received=named,
            expected="SHELF/NAME",
            next_step=f"--promote {at.shelf}/{at.name}",
        )
    standing = read_standing(at)
    number = standing.aliases.get(CHAMPION)
    version = None if number is None else standing.version(number)
    if version is None:
        raise RunError(
            "nothing is champion there: there is no place to take",
            where=at.storage.path,
            received=", ".join(standing.aliases) or "no alias",
            expected="a name with a champion",
            next_step=f"kft promote ARTIFACT {at.name} --shelf {at.shelf}",
        )
    return Throne(at, version.number, read_claims(version_folder(at, version)))


def require_throne(throne: Throne, checkpoint: str, run: Path) -> None:
    """Refuses a champion on a shelf that is not the run which is retrained: nothing was compared with it.

    Raises:
        RunError: It is of other weights.
    """
    if throne.about.checkpoint != checkpoint:
        raise RunError(
            "the champion on the shelf is not this run: the challenger would not be compared with it",
            where=str(throne.at),
            received=f"version {throne.version}, of weights {throne.about.checkpoint[:12]}",
            expected=f"{checkpoint[:12]}, the best weights of {run}",
            next_step=f"retrain the run that it was exported from; kft versions {throne.at.name} --shelf "
            f"{throne.at.shelf} shows who put it there",
        )


def take_throne(throne: Throne, artifact: Path, found: Retraining, say: Callable[[], None]) -> ShelfMove:
    """Has the alias ``champion`` name the challenger, if it still names the champion that was compared.

    Args:
        throne: As it was found.
        artifact: The challenger's.
        found: What the trail is told of.
        say: Called once when it has to wait for another process.

    Raises:
        RunError: Another version is champion by now.
        GateError: The artifact is not what was exported.
        StorageError: The shelf cannot be written; all aliases are then as they were.
    """
    why = f"retrained from {found.champion} with {found.rows.file}: {found.ruling.why}"
    return promote(str(artifact), throne.at, Wish(CHAMPION, why, instead_of=throne.version), say)
