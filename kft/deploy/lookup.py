"""What a text names: an artifact, or what a name on a shelf stands for now."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from kft.data.remote import fetch_remote
from kft.deploy.formats.language import LANGUAGE_FORMATS
from kft.deploy.load import is_artifact
from kft.deploy.standing import SHELF, ShelfReference, parse_reference, read_standing
from kft.errors import DataError, RecipeError, RunError
from kft.records.remote import is_url
from kft.records.shelf import ShelfVersion, Standing
from kft.records.shipped import NAME, read_claims
from kft.records.storage import Storage


def artifact_of(text: str | Path) -> Path | None:
    """Returns the folder of the artifact that a text names; None where it names something else, such as a run.

    Raises:
        KftError: As ``resolve`` does, where it names a shelf.

    Example:
        >>> artifact_of("runs/product_reviews-1") is None
        True
    """
    named = str(text)
    folder = Path(named).expanduser()
    pick = named.rpartition("@")[2]
    is_pick = pick != named and "/" not in pick and not folder.exists()
    if is_url(named) or is_artifact(folder) or (folder / SHELF).is_file() or is_pick:
        return resolve(named)
    return None


def resolve(reference: str | Path) -> Path:
    """Returns the folder of an artifact: one that is named itself, or what a name on a shelf stands for now.

    It is quick to ask again: shelf.json and artifact.json are read. What lies behind a URL is fetched once.

    Args:
        reference: ``ARTIFACT``, ``SHELF/NAME``, ``SHELF/NAME@champion``, ``SHELF/NAME@3``; also behind a URL.

    Raises:
        UsageError: The alias is unknown.
        RunError: There is no such artifact, name, alias or version, or the version is not the one that was promoted.
        StorageError: The shelf does not answer.

    Example:
        >>> resolve("shelf/tickets@challenger").name  # doctest: +SKIP
        '4'
    """
    text = str(reference)
    if not is_url(text) and (Path(text).expanduser() / NAME).is_file():
        return Path(text).expanduser()
    if is_url(text) and Storage(text.rstrip("/")).read(NAME) is not None:
        return fetch_remote(text.rstrip("/"))
    if not is_url(text) and (Path(text).expanduser() / "recipe.yaml").is_file():
        raise RunError(
            "this is a run, not an artifact",
            where=text,
            expected="a folder that kft export wrote, or SHELF/NAME[@champion|challenger|VERSION]",
            next_step=f"kft export {text} DEST makes an artifact of it",
        )
    wanted = parse_reference(text)
    standing = read_standing(wanted)
    number = standing.aliases.get(wanted.pick) if isinstance(wanted.pick, str) else wanted.pick
    version = None if number is None else standing.version(number)
    if version is None:
        raise _no_version(wanted, standing)
    return version_folder(wanted, version)


def version_folder(to: ShelfReference, version: ShelfVersion) -> Path:
    """Returns a version's folder, of which artifact.json is the one that was promoted.

    Raises:
        RunError: It is not; all other files are for whoever relies on them to check.
    """
    storage = to.storage
    where = storage.where(str(version.number))
    try:
        folder = _fetched(where, version.artifact) if is_url(where) else Path(where)
    except DataError:  # nothing is there
        folder = None
    if folder is None or not (folder / NAME).is_file():
        problem = f"version {version.number} of {to.name} is not on the shelf any more"
    elif sha256((folder / NAME).read_bytes()).hexdigest() != version.artifact:
        problem = f"version {version.number} of {to.name} is not what was promoted: {NAME} was changed"
    else:
        return folder
    raise RunError(
        problem,
        where=where,
        expected=f"an artifact whose {NAME} has the sha256 {version.artifact[:12]}...",
        next_step="restore it from a copy of the shelf, or promote the artifact again",
    )


@cache
def _fetched_once(url: str, digest: str) -> Path:
    return fetch_remote(url)


def _fetched(url: str, digest: str) -> Path:
    """Returns a local copy of a version: it never changes, so that the store is asked once."""
    folder = _fetched_once(url, digest)
    if not folder.is_dir():  # `kft cache prune` took it
        _fetched_once.cache_clear()
        folder = _fetched_once(url, digest)
    return folder


def _no_version(wanted: ShelfReference, standing: Standing) -> RunError:
    aliases = [f"{alias} ({number})" for alias, number in standing.aliases.items()]
    numbers = [str(each.number) for each in standing.versions]
    what = f"version {wanted.pick}" if isinstance(wanted.pick, int) else wanted.pick
    return RunError(
        f"{wanted.name} has no {what}",
        where=wanted.storage.path,
        received=str(wanted),
        expected=", ".join((*aliases, f"a version of {', '.join(numbers)}")),
        next_step=f"kft versions {wanted.name} --shelf {wanted.shelf} shows them",
    )


def writes_texts(place: str) -> bool:
    """Whether a place is a language model: a run that writes, or an artifact that was exported of one.

    Raises:
        KftError: As ``resolve`` does, where it names a shelf.
    """
    folder = artifact_of(place)
    if folder is not None:
        return read_claims(folder).format in LANGUAGE_FORMATS.names()
    recipe = Path(place).expanduser() / "recipe.yaml"
    if not recipe.is_file():
        return False
    from kft.tasks.recipes import load_recipe  # what serves artifacts alone needs none of it
    from kft.tasks.registry import TASKS

    try:
        return TASKS.get(load_recipe(recipe).spec.task).kind.writes
    except RecipeError:
        return False  # whoever opens it says what is wrong
