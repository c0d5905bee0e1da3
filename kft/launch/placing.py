"""Where a job finds its files: each ``gs://BUCKET/PATH`` under /gcs/BUCKET/PATH, as Vertex AI mounts it on its own.

kft reads data and backbones from folders, and only checkpoints from ``gs://``. So a job sees its buckets as folders: on
Vertex AI and GKE through Cloud Storage FUSE, on a TPU VM as copies that its start script makes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kft import assets, terms
from kft.errors import UsageError, require_plain
from kft.model.sources import HUGGING_FACE, KAGGLE, PRESET, resolve_backbone, source_of, terms_of
from kft.recipe.durations import parse_percent
from kft.recipe.limits import texts_in
from kft.recipe.load import SOURCE_KEYS, Recipe
from kft.recipe.sources import DATAFRAME

GS, MOUNTS = "gs://", "/gcs/"
FETCHED = (assets.PACKAGE, HUGGING_FACE, KAGGLE, PRESET)
"""How the sources of backbones begin that the job fetches by itself; so does it data of the form ``package:NAME``."""


@dataclass(frozen=True)
class JobInput:
    """A file or folder that a job reads.

    Attributes:
        url: Where it lies in Cloud Storage.
        local: Where it lies on this machine; None when the recipe names it in Cloud Storage.
    """

    url: str
    local: Path | None

    @property
    def upload(self) -> tuple[str, str] | None:
        """What is to be copied where with ``gcloud storage cp --recursive``; None when nothing is."""
        if self.local is None or not os.path.exists(self.local):  # which knows no name that is too long
            return None
        return str(self.local), self.url.rpartition("/")[0] + "/"


@dataclass(frozen=True)
class Placed:
    """A recipe as the job reads it.

    Attributes:
        recipe: Its sources lie in folders of the job.
        sources: What lies there.
    """

    recipe: Recipe
    sources: tuple[JobInput, ...]

    @property
    def missing(self) -> list[str]:
        """What is not on this machine, so that nothing can be said of it."""
        return [str(source.local or source.url) for source in self.sources if not source.upload]


def mounted(url: str) -> str:
    """Returns the path under which a job sees a place in Cloud Storage.

    Example:
        >>> mounted("gs://bucket/runs/tickets")
        '/gcs/bucket/runs/tickets'
    """
    return MOUNTS + url.removeprefix(GS)


def bucket_of(url: str) -> str:
    """Returns the bucket of a ``gs://`` URL."""
    return url.removeprefix(GS).partition("/")[0]


def require_gs(url: str, option: str, what: str) -> str:
    """Returns a ``gs://BUCKET/FOLDER`` without a slash at its end.

    Raises:
        UsageError: It has not that form.
    """
    require_plain(url, option, UsageError)
    steps = {".", ".."} & set(url.split("/"))
    if steps or not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[\w.=+-]+)+/?", url):
        raise UsageError(
            "a job keeps its files in Cloud Storage",
            where=option,
            received=url,
            expected=f"gs://BUCKET/FOLDER, {what}",
            next_step=f"{option} gs://BUCKET/FOLDER; gcloud storage buckets list shows the buckets",
        )
    return url.rstrip("/")


def place(recipe: Recipe, data: str | None) -> Placed:
    """Returns the recipe with each source where a job finds it.

    Args:
        recipe: Whose sources are paths, ``gs://`` URLs, packages or remote names.
        data: The ``gs://`` folder that holds what the recipe names by path.

    Raises:
        UsageError: A path has no place, the data are a DataFrame, or nobody here has accepted the backbone's terms.
        ModelError: The backbone is unknown.
    """
    _require_plain(recipe)
    if recipe.spec.train.teacher is not None:
        raise UsageError(
            "a job has no place for the run of a teacher",
            where="train.teacher",
            received=recipe.spec.train.teacher.run,
            expected="a recipe that learns from data alone",
            next_step="train the student where its teacher lies, or leave train.teacher out",
        )
    if recipe.spec.model.start_from is not None:
        raise UsageError(
            "a job has no place for a run that weights come from",
            where="model.start_from",
            received=recipe.spec.model.start_from,
            expected="a recipe that begins with the pretrained weights",
            next_step="train where that run lies, or leave model.start_from out",
        )
    sources: list[JobInput] = []
    data_values: dict[str, Any] = {}
    for key in SOURCE_KEYS:
        named = getattr(recipe.spec.data, key)
        if named is None:
            continue
        several = [
            _placed(f"data.{key}", one, recipe.base, data) for one in ([named] if isinstance(named, str) else named)
        ]
        sources += [one for one in several if isinstance(one, JobInput)]
        where = tuple(mounted(one.url) if isinstance(one, JobInput) else one for one in several)
        data_values[key] = where[0] if isinstance(named, str) else where
    placed = recipe.with_values("data", data_values)
    backbone = recipe.spec.model.backbone
    if backbone.startswith(GS) or not source_of(backbone).startswith(FETCHED):
        if not backbone.startswith(GS):
            resolve_backbone(backbone, recipe.base)  # refuses an unknown name
        sources.append(_source("model.backbone", backbone, recipe.base, data))
        placed = placed.with_values("model", {"backbone": mounted(sources[-1].url)})
    elif under := terms_of(backbone):
        terms.require(under, assets.cache_dir(), backbone)
    suite = recipe.spec.evaluate.suite
    if suite is not None:
        sources.append(_source("evaluate.suite", suite, recipe.base, data))
        placed = placed.with_values("evaluate", {"suite": mounted(sources[-1].url)})
    return Placed(placed, tuple(dict.fromkeys(sources)))


SPACES = {"data.label_separator": "\t", "model.template": "\t\n", "model.context_template": "\t\n"}
"""What may stand in values that are no names; the job file has it as escapes within quotes."""


def _require_plain(recipe: Recipe) -> None:
    """Refuses control characters in the recipe's file name, its folder, its keys and its values.

    Raises:
        UsageError: There are some.
    """
    if recipe.path is not None:
        require_plain(str(recipe.path), "RECIPE", UsageError)
    require_plain(str(recipe.base), "the recipe's folder", UsageError)
    for key, text in texts_in(recipe.spec.model_dump(mode="json")):
        require_plain(text, key, UsageError, allowed=SPACES.get(key, ""))


def _placed(key: str, named: str, base: Path, data: str | None) -> JobInput | str:
    """Returns where a job finds one source of data; one that it fetches by itself, and a share, as they are."""
    if named == DATAFRAME:
        raise UsageError("a DataFrame cannot be sent along", where=key, next_step="save it as a parquet or csv file")
    if parse_percent(named) is not None or (re.match(r"[a-z0-9]+:", named) and not named.startswith(GS)):
        return named
    return _source(key, named, base, data)


def _source(key: str, named: str, base: Path, data: str | None) -> JobInput:
    if named.startswith(GS):
        return JobInput(require_gs(named, key, "a file or folder that the job's account may read"), None)
    local = (base / Path(named).expanduser()).resolve()
    if data is None:
        raise UsageError(
            "the job has no place for a file of this machine",
            where=key,
            received=named,
            expected="--data gs://BUCKET/FOLDER, where it lies or will lie",
            next_step=f"gcloud storage cp --recursive {local} gs://BUCKET/FOLDER/, then --data gs://BUCKET/FOLDER",
        )
    inside = PurePosixPath(named)
    # What lies beside or below the recipe keeps its path there; of anything else the name is enough.
    if inside.is_absolute() or ".." in inside.parts or inside.parts[0].startswith("~"):
        inside = PurePosixPath(local.name)
    return JobInput(f"{data}/{inside}", local)
