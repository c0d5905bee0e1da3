"""What is kept of each approach as soon as it is done, so that a comparison that was cut short goes on from there."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kft.answer.decide import UNCHANGED, Temperature
from kft.errors import RunError
from kft.records.compare import Cost, LabelCurve, Slope
from kft.records.estimate import Estimate
from kft.records.files import write_file, write_json
from kft.tasks.cells import as_objects

UNFINISHED = "unfinished"
"""The folder of a comparison's folder that is there until the comparison is done."""
IDENTITY = "identity.json"
ARRAYS = ("valid", "known", "test")
"""Of an approach: float64, spans or texts."""
BEFORE = {UNFINISHED, "recipe.yaml", "receipt.json", "splits.parquet", "manifest.json"}
"""What the folder has before the first approach is kept."""


@dataclass(frozen=True)
class FittedApproach:
    """An approach between its fitting and the opening of the test split.

    Attributes:
        name: The approach.
        valid: Calibrated answers to valid; out of fold where ``known`` is.
        test: Likewise to the inputs of test; nobody has seen whether they are right.
        cost: What it takes.
        forgetting_why: Why ``retained`` is not measured.
        chosen: What was chosen within the approach.
        seconds: Wall seconds of all of it, fitting, answering and timing.
        temperature: Fitted on ``known``, or where that is None on ``valid``.
        known: Calibrated answers to ``Setting.judged.rows``, out of fold; None of what was trained on train.
        train: The metric on a sample of train; None where it keeps its examples, or nobody looked.
        retained: What tuning left of the backbone's own ability; None where it is not measured.
        curve: What more labels would bring; None where it is not measured.
        slope: What half of the training rows lacked; None where it was not trained on them.
    """

    name: str
    valid: np.ndarray
    test: np.ndarray
    cost: Cost
    forgetting_why: str
    chosen: Mapping[str, Any]
    seconds: float
    temperature: Temperature = UNCHANGED
    known: np.ndarray | None = None
    train: float | None = None
    retained: Estimate | None = None
    curve: LabelCurve | None = None
    slope: Slope | None = None


@dataclass(frozen=True)
class Saved:
    """The approaches of one comparison that are done, in its folder.

    Attributes:
        folder: Gives the comparison's folder; makes it, with what is known before, when the first approach is done.
        identity: Recipe, data, split, weights and versions, by name: what another call has to agree in.
        done: What an earlier call has done, by name.
    """

    folder: Callable[[], Path]
    identity: Mapping[str, Any]
    done: Mapping[str, FittedApproach] = field(default_factory=dict)

    def take(self, name: str, note: Callable[[str], None]) -> FittedApproach | None:
        """Returns an approach that an earlier call has done, and says so; None where it is still to do."""
        if (fitted := self.done.get(name)) is not None:
            note(f"\n{name:<10} done before, {fitted.seconds:,.0f} s")
        return fitted

    def recall(self, name: str) -> Recalled:
        """Returns what an approach that is not done yet has come to, and keeps what it comes to."""
        folder = self.folder() / UNFINISHED
        if not (folder / IDENTITY).is_file():
            write_json(folder / IDENTITY, dict(self.identity))
        return Recalled(folder / f"{name}.parts.json")

    def keep(self, fitted: FittedApproach) -> None:
        """Writes an approach, whole or not at all.

        Raises:
            StorageError: The disk is full or cannot be written.
        """
        folder = self.folder() / UNFINISHED
        if not (folder / IDENTITY).is_file():
            write_json(folder / IDENTITY, dict(self.identity))
        facts = {name: value for name, value in vars(fitted).items() if name not in ARRAYS}
        facts |= {
            name: None if facts[name] is None else dataclasses.asdict(facts[name])
            for name in ("temperature", "cost", "retained", "curve", "slope")
        }
        text = json.dumps(facts, default=float).encode()
        file = io.BytesIO()
        arrays: dict[str, Any] = {
            name: _packed(array) for name in ARRAYS if (array := getattr(fitted, name)) is not None
        }
        np.savez(file, **arrays, facts=np.frombuffer(text, np.uint8))
        write_file(folder / f"{fitted.name}.npz", file.getvalue())


class Recalled:
    """Dear values by what they are of, kept one by one: after a kill the same call goes on behind the last of them.

    Args:
        path: Of the file, which is written whole each time; one that is damaged is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {}
        self._values: dict[str, Any] = found if isinstance(found, dict) else {}

    def get(self, key: str) -> Any:
        """Returns a value, or None."""
        return self._values.get(_hash(key))

    def keep(self, values: Mapping[str, Any]) -> None:
        """Keeps values that JSON has, by their keys, which may be long."""
        self._values |= {_hash(key): value for key, value in values.items()}
        write_json(self._path, self._values)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def read_saved(folder: Path, identity: Mapping[str, Any]) -> dict[str, FittedApproach]:
    """Returns the approaches that an earlier call has done; one whose file is damaged is none.

    Args:
        folder: Of the comparison.
        identity: Of this call; see ``Saved``.

    Raises:
        RunError: The folder has no unfinished comparison, or one of another recipe, other data or other versions.
    """
    unfinished = folder / UNFINISHED
    if _hardly_begun(folder):
        return {}
    try:
        known = json.loads((unfinished / IDENTITY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        done = (folder / "compare.json").is_file()
        raise RunError(
            "this comparison is finished" if done else "there is no comparison to go on with",
            where=str(folder),
            received="compare.json" if done else f"no {UNFINISHED}/{IDENTITY} that can be read",
            expected="a folder of a kft compare that was cut short",
            next_step="read compare.md" if done else "leave --resume out: kft compare RECIPE begins a new one",
        ) from None
    differ = [name for name in identity if not isinstance(known, dict) or known.get(name) != identity[name]]
    if differ:
        raise RunError(
            "the comparison was begun with another " + " and another ".join(differ),
            where=str(unfinished / IDENTITY),
            received="; ".join(f"{name} {_short(identity[name])}" for name in differ),
            expected="; ".join(
                f"{name} {_short(known.get(name) if isinstance(known, dict) else None)}" for name in differ
            ),
            next_step="restore what it was begun with, or leave --resume out: kft compare RECIPE begins a new one",
        )
    found = (_read(path) for path in sorted(unfinished.glob("*.npz")))
    return {fitted.name: fitted for fitted in found if fitted is not None}


def _hardly_begun(folder: Path) -> bool:
    """Whether a comparison was killed while it made its folder, before any approach was kept."""
    names = {path.name for path in folder.iterdir() if not path.name.endswith(".tmp")} if folder.is_dir() else {""}
    return names <= BEFORE and not (folder / UNFINISHED / IDENTITY).exists()


def drop_saved(folder: Path) -> None:
    """Takes away what is kept of single approaches; the comparison is done."""
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) else json.dumps(value)


def _read(path: Path) -> FittedApproach | None:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            facts = json.loads(file["facts"].tobytes())
            valid, known, test = (_unpacked(file[name]) if name in file else None for name in ARRAYS)
        if valid is None or test is None:
            return None
        facts["temperature"], facts["cost"] = Temperature(**facts["temperature"]), Cost(**facts["cost"])
        facts["curve"] = None if facts["curve"] is None else _curve(facts["curve"])
        facts["slope"] = None if facts["slope"] is None else _slope(facts["slope"])
        facts["retained"] = None if facts["retained"] is None else Estimate(**facts["retained"])
        return FittedApproach(valid=valid, known=known, test=test, **facts)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        return None


def _slope(facts: Mapping[str, Any]) -> Slope:
    points: dict[str, Any] = {name: tuple(facts[name]) for name in ("sizes", "values")}
    return Slope(**{**facts, **points, "gain": Estimate(**facts["gain"])})


def _curve(facts: Mapping[str, Any]) -> LabelCurve:
    estimates = {name: Estimate(**facts[name]) for name in ("forecast", "gain")}
    points = {name: tuple(facts[name]) for name in ("sizes", "accuracy")}
    return LabelCurve(**{**facts, **estimates, **points})


def _packed(answers: np.ndarray) -> np.ndarray:
    """Returns answers as a file holds them: spans and texts are JSON in UTF-8."""
    if answers.dtype != object:
        return answers
    return np.frombuffer(json.dumps(answers.tolist(), default=float).encode(), np.uint8)


def _unpacked(held: np.ndarray) -> np.ndarray:
    if held.dtype != np.uint8:
        return np.asarray(held, np.float64)
    answers = json.loads(held.tobytes())
    return as_objects([each if isinstance(each, str) else tuple(map(tuple, each)) for each in answers])
