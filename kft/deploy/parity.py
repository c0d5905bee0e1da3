"""The proof that what ships answers as what was evaluated: in a fresh process, where kft cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kft.deploy.near import Near
from kft.deploy.runner.trace import Stages, load_stages
from kft.errors import ParityError

STAGE_OF = {
    **{"vectors": "vectors", "logits": "logits"},
    **dict.fromkeys(("probabilities", "confidence", "value", "embedding"), "calibration"),
    **dict.fromkeys(("said", "abstain", "foreign", "low", "high"), "rule"),
}
"""Which step an output belongs to. What the most probable label is hangs on the probabilities alone."""
ALONE = """
import importlib.abc, runpy, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is not here: this process answers without it")
blocked, sys.argv = sys.argv[1].split(","), sys.argv[2:]
sys.meta_path.insert(0, Blocked())
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script in a process where some packages cannot be imported."""
DECIDED = ("label", "labels", "spans", "abstain")
"""Fields of an answer that are no figures."""
NEVER = ("kft", "pandas", "sklearn", "pydantic", "keras_hub", "keras", "tensorflow")
"""What an artifact does without, unless its format names it."""
BROUGHT_BY = {"keras": "tensorflow"}
"""TensorFlow requires Keras, and imports it."""


@dataclass(frozen=True)
class ParityResult:
    """How far what ships lies from what was evaluated.

    Attributes:
        largest: The largest difference of a probability, or of a number in its standard deviations.
        borderline: Rows that fell on the other side of a threshold, or of two labels, within the tolerance.
    """

    largest: float
    borderline: int


def answered_alone(folder: Path, inputs: Sequence[Any], uses: Sequence[str]) -> Stages:
    """Returns what an artifact's run.py makes of inputs, in a fresh process without kft.

    Args:
        folder: The artifact's, with artifact.json in it.
        inputs: Raw.
        uses: Packages that the format may import beside NumPy.

    Raises:
        ParityError: The process fails; the message has its last words.
    """
    script = [str(folder.resolve() / "run.py")]
    return run_alone(script, inputs, uses, ("--stages",), load_stages)


def run_alone(
    script: Sequence[str],
    inputs: Sequence[Any],
    uses: Sequence[str],
    before: Sequence[str] = (),
    load: Callable[[Path], Any] = lambda made: json.loads(made.read_text(encoding="utf-8")),
) -> Any:
    """Runs a script in a fresh process without kft, on a file of inputs, and returns what it writes.

    Args:
        script: Its path, and what it is given before the file of inputs.
        inputs: Raw; a line of JSON each.
        uses: Packages that it may import beside NumPy.
        before: What stands before the path that it writes to.
        load: Reads what it wrote.

    Raises:
        ParityError: The process fails; the message has its last words.
    """
    with tempfile.TemporaryDirectory(prefix="kft-alone-") as work:
        asked, made = Path(work) / "inputs.jsonl", Path(work) / "made.npz"
        asked.write_text("".join(json.dumps(given, default=_absolute) + "\n" for given in inputs), encoding="utf-8")
        blocked = ",".join(name for name in NEVER if name not in uses and BROUGHT_BY.get(name) not in uses)
        command = [sys.executable, "-I", "-c", ALONE, blocked, *script, str(asked), *before, str(made)]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode or not made.is_file():
            raise ParityError(
                "what would ship does not answer",
                where=f"its {Path(script[0]).name}, in a process without kft",
                received=(done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1],
                next_step="nothing was exported; kft export --debug shows the process's own words",
            ) from RuntimeError(done.stderr)
        return load(made)


def hold_to(expected: Stages, found: Stages, inputs: Sequence[Any], near: Near) -> ParityResult:
    """Compares two models step by step.

    Args:
        expected: What was evaluated.
        found: What ships.
        inputs: What both were asked.
        near: What counts as equal.

    Raises:
        ParityError: They differ; names the first step at which they do, and an example.
    """
    for difference in _differences(expected, found, near):
        raise _not_as_evaluated(difference, inputs)
    rows = list(zip(expected.answers, found.answers, strict=True))
    (name, *_) = (name for name, stage in STAGE_OF.items() if stage == "calibration" and name in expected.outputs[0])
    far = max(float(np.max(gap)) for gap in _gaps(name, expected, found))
    return ParityResult(far, sum(decided(one) != decided(other) for one, other in rows))


def hold_reading(expected: Stages, found: Stages, inputs: Sequence[Any]) -> None:
    """Compares what two models read: decoding, normalising and tokens are equal, whatever is computed from them.

    Raises:
        ParityError: They differ; names the first step at which they do, and an example.
    """
    for difference in _read_otherwise(expected, found):
        raise _not_as_evaluated(difference, inputs)


def _not_as_evaluated(difference: tuple[str, int, str, str], inputs: Sequence[Any]) -> ParityError:
    stage, row, said, heard = difference
    return ParityError(
        "what would ship does not answer as what was evaluated",
        where=f"{stage}, the first step that differs, at {_short(inputs[row])}",
        received=heard,
        expected=said,
        next_step="nothing was exported; another --format may do, and this is worth a report",
    )


def _read_otherwise(expected: Stages, found: Stages) -> Iterator[tuple[str, int, str, str]]:
    """Yields what ``_differences`` does, of the stages before the graph."""
    for stage in ("decoded", "normalised"):
        named = {"decoded": "decoding", "normalised": "normalising"}[stage]
        pairs = zip(getattr(expected, stage), getattr(found, stage), strict=True)
        yield from ((named, row, _short(one), _short(other)) for row, (one, other) in enumerate(pairs) if one != other)
    for row, (one, other) in enumerate(zip(expected.rows, found.rows, strict=True)):
        for name, values in one.items():
            if not np.array_equal(values, other[name]):
                yield "tokens", row, f"{name} {_short(values.tolist())}", _short(other[name].tolist())


def _differences(expected: Stages, found: Stages, near: Near) -> Iterator[tuple[str, int, str, str]]:
    """Yields stage, row, what was expected and what came, in the order of the stages."""
    yield from _read_otherwise(expected, found)
    for stage in ("vectors", "logits", "calibration", "rule"):
        for name in (name for name, of in STAGE_OF.items() if of == stage and name in expected.outputs[0]):
            yield from ((stage, *found_at) for found_at in _apart(name, expected, found, near))
    for row, (one, other) in enumerate(zip(expected.answers, found.answers, strict=True)):
        if decided(one) != decided(other) and not near.may_differ(expected.outputs[row]):
            yield "name", row, _short(decided(one)), _short(decided(other))


def _apart(name: str, expected: Stages, found: Stages, near: Near) -> Iterator[tuple[int, str, str]]:
    """Yields the rows where an output of the graph lies too far from the evaluated one."""
    for row, gap in enumerate(_gaps(name, expected, found)):
        one, other = expected.outputs[row][name], found.outputs[row][name]
        within = np.max(gap) <= near.tolerance  # never where one is no number
        # How sure all labels are as said jumps with a label that may be said or not, an interval with the bin.
        jumps = (
            one.dtype == bool or name in ("low", "high") or (name == "confidence" and "said" in expected.outputs[row])
        )
        if not within and not (jumps and near.may_differ(expected.outputs[row])):
            at = int(np.argmax(gap))
            said, heard = (f"{name} {np.ravel(values)[at : at + 3].tolist()}" for values in (one, other))
            yield row, said, heard


def _gaps(name: str, expected: Stages, found: Stages) -> Iterator[np.ndarray]:
    """Yields how far each row's output lies from the evaluated one: probabilities, else in standard deviations."""
    pairs = [(one[name], other[name]) for one, other in zip(expected.outputs, found.outputs, strict=True)]
    unit = 1.0
    if name in ("vectors", "logits", "value", "low", "high", "embedding"):
        unit = float(np.concatenate([np.ravel(one) for one, _ in pairs]).std()) or 1.0
    for one, other in pairs:
        other = other[: len(one)] if one.ndim else other  # tokens behind a text's own are padding
        yield np.full(1, np.inf) if one.shape != other.shape else np.abs(one * 1.0 - other * 1.0) / unit


def decided(answer: Mapping[str, Any]) -> Any:
    """What an answer says, without its figures and reasons."""
    said = {name: answer[name] for name in DECIDED if name in answer}
    if "spans" in said:
        said["spans"] = [{key: span[key] for key in ("start", "end", "label")} for span in said["spans"]]
    return said


def _absolute(path: Path) -> str:
    return str(path.resolve())


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else text[:117] + "..."
