"""What makes the vectors of an index: an artifact, a run as training has left it, or a pretrained backbone as it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from kft import strategy
from kft.answer.artifact import Artifact
from kft.answer.fitted import checkpoint_hash
from kft.answer.load import Run, load_artifact, read_run
from kft.data.clean import clean_text
from kft.deploy.described import reading_of
from kft.deploy.load import is_artifact, open_artifact
from kft.errors import UsageError
from kft.model.catalog import CATALOG
from kft.model.encode import make_reader
from kft.model.files import backbone_files
from kft.model.limits import known_limit
from kft.model.sources import fetch_backbone
from kft.model.trained_prompts import known_prompts
from kft.recipe.schema import RecipeSpec
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder, open_run
from kft.records.shipped import Preprocessing, read_claims
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS
from kft.tasks.task import AnswerSpace, Task, require_command
from kft.train.start import load_for

if TYPE_CHECKING:
    import tokenizers


MOST_TOKENS = 256
"""That a backbone reads of a text: a passage has 200 at most."""


DECIDES = ("weights", "blocks", "max_tokens", "long_text", "windows", "pooling", "prompts")
"""Keys of a recipe's ``model`` that change a vector, beside the weights. One that comes later joins them, and then only
where it differs from what was done before, or every index would be another model's."""


class AboutEmbedder(Protocol):
    """What an index says of the model that made its vectors."""

    @property
    def name(self) -> str:
        """Of the recipe."""

    @property
    def version(self) -> str:
        """The first letters of a hash of what answers."""

    @property
    def digest(self) -> str:
        """A hash of all that decides a vector."""

    @property
    def checkpoint(self) -> str:
        """Hash of the weights."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Of vectors, beside the whole, that were trained to answer too."""

    @property
    def reader(self) -> Preprocessing:
        """How texts are read."""


class Embedder(Protocol):
    """Gives vectors of texts: ``kft.deploy.load.Shipped``, or a ``KerasModel``."""

    @property
    def folder(self) -> Path:
        """Where it lies."""

    @property
    def about(self) -> AboutEmbedder:
        """What is said of it."""

    @property
    def tokenizer(self) -> tokenizers.Tokenizer:
        """What takes texts apart, without truncation or padding."""

    def vectors(self, texts: Sequence[str], *, side: str = "query") -> np.ndarray:
        """Returns ``float32[texts, width]``; see ``kft.deploy.load.Shipped.vectors``."""


@dataclass(frozen=True)
class AboutModel:
    """As ``AboutEmbedder`` has it."""

    name: str
    version: str
    digest: str
    checkpoint: str
    widths: tuple[int, ...]
    reader: Preprocessing


@dataclass(frozen=True)
class KerasModel:
    """A run or a backbone that gives vectors. Several threads may ask it: one after the other is answered.

    Attributes:
        folder: Where it lies; of a backbone of ``kft models`` its name.
        about: What an index says of it.
    """

    folder: Path
    about: AboutModel
    _artifact: Artifact = field(repr=False, compare=False)
    _asked: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def tokenizer(self) -> tokenizers.Tokenizer:
        tokenizer = self._artifact.reader.tokenizer
        assert tokenizer is not None  # a text backbone has one
        return tokenizer.tokenizer

    @cached_property
    def _sides(self) -> dict[str, Artifact]:
        return {"query": self._artifact, "document": self._artifact.of_documents()}

    def vectors(self, texts: Sequence[str], *, side: str = "query") -> np.ndarray:
        """Returns ``float32[texts, width]``: as the artifact would that ``kft export`` makes of the run."""
        model = self._sides[side]
        cleaned = [clean_text(text, model.spec.data) for text in texts]
        with self._asked, strategy.start("auto").scope():
            answers, read = model.answers_and_vectors(cleaned, vectors=not model.kind.searches)
        return np.asarray(answers if model.kind.searches else read, np.float32)


def open_model(folder: Path) -> Embedder:
    """Opens an artifact, a run, or a pretrained backbone, which is a name of ``kft models`` or a folder.

    Raises:
        RunError: It is none of them, or is damaged.
        ModelError: The backbone cannot be loaded, or reads no texts.
        UsageError: It gives no vectors of texts; or its package is not installed.
    """
    if is_backbone(folder):
        return _open_backbone(str(folder))
    return open_artifact(folder) if is_artifact(folder) else _open_run(read_run(open_run(folder)))


def kind_of(folder: Path) -> Literal["artifact", "run", "backbone"]:
    """Returns what makes vectors."""
    if is_backbone(folder):
        return "backbone"
    return "artifact" if is_artifact(folder) or not is_run(folder) else "run"


def digest_of(folder: Path) -> tuple[str, str, str]:
    """Returns name, version and digest of what lies in a folder, without loading a model.

    Raises:
        RunError: It is neither an artifact nor a run nor a backbone.
    """
    kind = kind_of(folder)
    if kind == "backbone":
        hashed = backbone_files(fetch_backbone(str(folder))).hash
        return folder.name, *_digests(f"backbone {hashed}", _spec_of(str(folder)))
    if kind == "artifact":
        claims = read_claims(folder)
        return claims.name, claims.version, claims.digest
    run = read_run(open_run(folder))
    return run.recipe.name, *_hashes(run)


def is_run(folder: Path) -> bool:
    """Whether a folder is one that ``kft train`` wrote."""
    return RunFolder(folder).recipe.is_file()


def is_backbone(folder: Path) -> bool:
    """Whether it is a pretrained backbone: the folder of one, or a name of ``kft models``.

    A folder of that name, such as the index that is made by it, does not hide it, unless it is an artifact or a run.
    """
    if is_artifact(folder) or is_run(folder):
        return False
    return str(folder) in CATALOG or (folder / "config.json").is_file()


def require_vectors(task: Task, folder: Path) -> None:
    """Refuses a run that gives no vector of one text.

    Raises:
        UsageError: It reads something else, or answers for each token.
    """
    together = task.reads.pairs and not task.reads.apart
    if task.reads.medium != "text" or together or task.kind.learning.per_token:
        raise UsageError(
            "the run gives no vector of a text",
            where=str(folder),
            received=f"task {task.name}",
            expected="a run that reads one text and gives vectors",
            next_step="train a model of task text-embedding or text-classification, and name it here",
        )


def _open_run(run: Run) -> KerasModel:
    require_command(run.task, "index")
    require_vectors(run.task, run.folder.path)
    version, digest = _hashes(run)
    with strategy.start("auto").scope():
        artifact = _of_one_text(load_artifact(run))
    widths = run.recipe.spec.train.pairs.widths
    about = AboutModel(run.recipe.name, version, digest, artifact.checkpoint, widths, reading_of(artifact))
    return KerasModel(run.folder.path, about, artifact)


def _of_one_text(artifact: Artifact) -> Artifact:
    """Returns what gives a vector of one text, also where an answer compares two."""
    if not artifact.reader.task.reads.apart:
        return artifact
    task = TASKS.get("text-embedding")
    return replace(artifact, kind=task.kind, reader=replace(artifact.reader, task=task))


def _spec_of(backbone: str) -> RecipeSpec:
    """Returns the recipe of an embedding that has learned nothing, with the prompts that its backbone knows."""
    tokens = min(MOST_TOKENS, known_limit(backbone) or MOST_TOKENS)
    asked = (
        {"train": "none"},
        {"backbone": backbone, "max_tokens": tokens, "prompts": known_prompts(backbone).model_dump()},
    )
    return load_recipe({"task": "text-embedding", "data": asked[0], "model": asked[1]}).spec


def _open_backbone(name: str) -> KerasModel:
    """Opens a backbone with the head that training begins with, which changes nothing."""
    spec, task, space = _spec_of(name), TASKS.get("text-embedding"), AnswerSpace(())
    with strategy.start("auto").scope():
        from kft.model.build import build_for  # it brings TensorFlow, which strategy has started quietly

        backbone = load_for(spec)
        model = build_for(spec, task, space, backbone)
        artifact = Artifact(model, make_reader(task, backbone, spec.model), task.kind, space, spec, backbone)
    version, digest = _digests(f"backbone {backbone.files.hash}", spec)
    about = AboutModel(Path(name).name, version, digest, "", (), reading_of(artifact))
    return KerasModel(Path(name), about, artifact)


def _hashes(run: Run) -> tuple[str, str]:
    """Returns version and digest: of the weights, and of what the recipe says of reading and computing."""
    return _digests(f"run {checkpoint_hash(run.folder)} {run.receipt.weights_hash}", run.recipe.spec)


def _identity(checkpoint: str, receipt: Receipt) -> str:
    """Returns a hash that a run and what is exported of it have in common: of its weights, and of its recipe."""
    return hashlib.sha256(f"{checkpoint} {receipt.weights_hash} {receipt.recipe_hash}".encode()).hexdigest()


def run_of(folder: Path) -> str:
    """Returns which run gives the vectors of a run, or of an artifact that is proved to answer as it; else nothing.

    Args:
        folder: A run's, an artifact's, or a backbone.

    Raises:
        RunError: It is none of them, or is damaged.
    """
    kind = kind_of(folder)
    if kind == "run":
        run = read_run(open_run(folder))
        return _identity(checkpoint_hash(run.folder), run.receipt)
    if kind == "artifact":
        claims = read_claims(folder)
        return "" if claims.parity is None or not claims.checkpoint else _identity(claims.checkpoint, claims.receipt)
    return ""


def _digests(weights: str, spec: RecipeSpec) -> tuple[str, str]:
    model = spec.model.model_dump(mode="json", include=set(DECIDES))
    said: dict[str, Any] = {"model": model, "precision": spec.features.precision}
    said |= {"html": spec.data.html, "redact": list(spec.data.redact), "task": spec.task}
    digest = hashlib.sha256(f"{weights}\n{json.dumps(said, sort_keys=True)}".encode()).hexdigest()
    return digest[:12], digest
