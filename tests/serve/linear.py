"""A small real model in a folder: a linear model on the bytes of a text or the mean colour of an image, in NumPy."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from kft.errors import DataError, RunError
from kft.search.index import Index
from kft.serve.answering import Server
from kft.serve.app import make_app
from kft.serve.guard import Access, Guard, Log
from kft.serve.limits import Limits
from kft.serve.loading import load_version
from kft.serve.measures import Measures
from kft.serve.models import Followed, Following, Served, by_name
from kft.serve.recording import SampleRecorder
from kft.serve.shadow import Shadow, ShadowLimits

LABELS = ("ham", "other", "spam")
THRESHOLD = 0.7


def write_model(folder: Path, **settings: Any) -> Path:
    """Writes a model's folder.

    Args:
        folder: Where to.
        settings: ``name``, ``version``, ``kind``, ``labels``, ``redact``, ``seconds_a_batch`` and ``seconds_an_input``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    usual = {"name": "spam", "version": "1", "kind": "text", "labels": LABELS, "redact": [], "seed": 0}
    (folder / "artifact.json").write_text(json.dumps({**usual, **settings}))
    return folder


@dataclass(frozen=True)
class Linear:
    """The model, opened."""

    folder: Path
    about: SimpleNamespace
    weights: np.ndarray
    settings: dict[str, Any]

    @property
    def gate(self) -> Path:
        """Where it is there, nothing is answered until it goes: a model that hangs."""
        return self.folder / "hangs"

    def predict(self, inputs: Sequence[Any]) -> list[dict[str, Any]]:
        while self.gate.exists():
            time.sleep(0.001)
        time.sleep(self.settings.get("seconds_a_batch", 0))
        time.sleep(self.settings.get("seconds_an_input", 0) * len(inputs))
        logits = np.stack([self._features(given) @ self.weights for given in inputs])  # alike in every batch
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        return [self._named(row) for row in exponents / exponents.sum(axis=1, keepdims=True)]

    def cut(self, inputs: Sequence[Any]) -> int:
        return 0  # all of a text is read

    def _named(self, row: np.ndarray) -> dict[str, Any]:
        labels, best = self.about.labels, int(row.argmax())
        answer = {
            "label": labels[best],
            "confidence": float(row[best]),
            "abstain": bool(row[best] < THRESHOLD),
            "probabilities": dict(zip(labels, map(float, row), strict=True)),
        }
        return answer | ({"why": "not sure enough"} if answer["abstain"] else {})

    def _features(self, given: Any) -> np.ndarray:
        if self.about.reader.kind != "image":
            text = "\t".join(given) if isinstance(given, tuple) else given
            if text == "poison":
                raise ZeroDivisionError(text)
            return np.bincount(np.frombuffer(text.encode(), np.uint8) % 16, minlength=16) / len(text)
        from PIL import Image

        try:
            with Image.open(io.BytesIO(given)) as image:
                mean = np.asarray(image.convert("RGB").resize((1, 1)), np.float64).reshape(3) / 255
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError("an image cannot be read", received=type(error).__name__) from None
        return np.concatenate([mean, np.zeros(13)])


def open_linear(folder: Path) -> Linear:
    """Opens a model's folder."""
    try:
        settings = json.loads((folder / "artifact.json").read_text())
    except (OSError, ValueError):
        raise RunError("the artifact cannot be read", where=str(folder)) from None
    reader = SimpleNamespace(kind=settings["kind"], redact=settings["redact"])
    about = SimpleNamespace(reader=reader, task=f"{settings['kind']}-classification", **settings)
    weights = 3 * np.random.default_rng(settings["seed"]).normal(size=(16, len(settings["labels"])))
    return Linear(folder, about, weights, settings)


def load_linear(folder: Path, name: str) -> Any:
    """Opens a folder as a version of a server."""
    return load_version(open_linear, folder, name)


def make_server(
    *folders: Path,
    limits: Limits | None = None,
    access: Access | None = None,
    log: Log | None = None,
    recorder: SampleRecorder | None = None,
    following: Following | None = None,
    shadow: Path | None = None,
    shadow_limits: ShadowLimits | None = None,
    index: Index | None = None,
    load: Callable[[Path, str], Any] = load_linear,
) -> Guard:
    """Returns a server's application; with ``following`` the folders are aliases of that resolver.

    A shadow answers beside the first of them.
    """
    limits, measures, served = limits or Limits(), Measures(), []
    for folder in folders:
        place = following.resolve(str(folder)) if following else folder
        followed = Followed(str(folder), load(place, ""), moves=following is not None)
        served.append(Served(followed, limits, measures))
    log, shadows = log or Log(lambda line: None), {}
    if shadow:
        place, batcher = following.resolve(str(shadow)) if following else shadow, served[0].batcher
        followed = Followed(str(shadow), load_linear(place, served[0].name), moves=following is not None)
        beside = Shadow(followed, lambda: not batcher.busy, measures.shadows, log.write, shadow_limits)
        shadows[served[0].name] = beside
    server = Server(by_name(served), limits, measures, log, recorder, shadows)
    return make_app(server, access or Access(local=False), following, index)
