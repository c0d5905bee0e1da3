"""`kft runs`: what was trained here, what each run came to, and in what two of them differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from kft.compare.reading import read_comparison
from kft.errors import KftError, RunError
from kft.evaluate.paired import is_compared, other_inputs, same_test
from kft.recipe.load import LATER_KEYS, Recipe
from kft.records.document import read_document
from kft.records.estimate import Estimate, metric_title
from kft.records.files import write_file
from kft.records.lock import seems_held
from kft.records.metrics import EvaluateResult
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder, open_run
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS

FINISHED, TRAINING, UNFINISHED, COMPARISON = "finished", "training", "unfinished", "comparison"
SPLIT = 6
"""Letters of a split's hash that are shown: enough to tell a person's runs apart."""


@dataclass(frozen=True)
class RunLine:
    """One run folder.

    Attributes:
        run: The folder.
        state: ``finished``, ``training`` (a process holds it), ``unfinished``, or ``comparison`` (of `kft compare`).
        created: When, in ISO 8601.
        task: Of the recipe.
        backbone: Its name.
        train: Rows that it learns from.
        test: sha256 of the split into train, valid and test: figures of runs that share it can be compared.
        metrics: On the test split, the task's first metric first; empty until it is finished. Of a comparison those
            of the approach that it recommends.
        approach: That a comparison recommends; else empty.
    """

    run: str
    state: str
    created: str
    task: str
    backbone: str
    train: int
    test: str
    metrics: Mapping[str, Estimate]
    approach: str = ""

    @property
    def figure(self) -> str:
        """The first metric with its interval, after the approach of a comparison."""
        if not self.metrics:
            return ""
        name, value = next(iter(self.metrics.items()))
        return f"{self.approach}{': ' if self.approach else ''}{metric_title(name)} {value}"


@dataclass(frozen=True)
class Listing:
    """What lies in a folder of runs.

    Attributes:
        folder: Where was looked.
        runs: The newest first.
        unreadable: Run folders that cannot be read, and why.
    """

    folder: str
    runs: tuple[RunLine, ...]
    unreadable: Mapping[str, str]


@dataclass(frozen=True)
class SideBySide:
    """Two runs.

    Attributes:
        first: One.
        second: The other.
        differences: By dotted key of the recipe, what it has in one and in the other; what decides no result is left
            out.
        same_test: Whether both were scored on test rows of the same ids.
        other_inputs: What is to be known of test rows that hold something else in one than in the other.
    """

    first: RunLine
    second: RunLine
    differences: Mapping[str, tuple[Any, Any]]
    same_test: bool
    other_inputs: str = ""


def list_runs(folder: str | Path = "runs") -> Listing:
    """Returns the runs and comparisons of a folder, without loading TensorFlow.

    Args:
        folder: A run, or a folder whose subfolders are looked at.

    Raises:
        RunError: There is no such folder.

    Example:
        >>> import kft
        >>> [each.run for each in kft.list_runs("runs").runs]  # doctest: +SKIP
        ['runs/product_reviews-2', 'runs/product_reviews-1']
    """
    root = folder_of_runs(folder)
    runs, unreadable = [], {}
    own = (root,) if RunFolder(root).receipt.is_file() else ()  # recipe.yaml alone is what a person wrote
    for path in (*own, *sorted(root.iterdir())):
        if not (path / "recipe.yaml").is_file():
            continue
        try:
            runs.append(_line(open_run(path), load_recipe(path / "recipe.yaml")))
        except KftError as error:
            unreadable[str(path)] = str(error).splitlines()[0]
    return Listing(str(root), tuple(sorted(runs, key=lambda each: each.created, reverse=True)), unreadable)


def folder_of_runs(folder: str | Path) -> Path:
    """Returns a folder that was named.

    Raises:
        RunError: There is none.
    """
    root = Path(folder)
    if not root.is_dir():
        raise RunError(
            "no folder of runs",
            where=str(root),
            received="a file" if root.exists() else "nothing there",
            expected="a folder whose subfolders kft train wrote",
            next_step="kft train RECIPE, or kft runs FOLDER",
        )
    return root


def set_side_by_side(first: str | Path, second: str | Path) -> SideBySide:
    """Returns two runs with what their recipes have otherwise.

    No difference of figures is computed here: it would need what belongs together among the rows, which
    `kft evaluate RUN --against OTHER` reads.

    Raises:
        RunError: One is no run folder, or is damaged.
    """
    folders = open_run(Path(first)), open_run(Path(second))
    recipes = [load_recipe(each.recipe) for each in folders]
    one, other = (_line(folder, recipe) for folder, recipe in zip(folders, recipes, strict=True))
    same = same_test(*folders)
    return SideBySide(one, other, _differences(*recipes), same, other_inputs(*folders) if same else "")


def rows_of(found: SideBySide) -> list[tuple[str, str, str]]:
    """Returns two runs as the rows of a table: what it is, of the first, of the second."""
    pair = (found.first, found.second)
    rows: list[tuple[str, ...]] = [
        (title, *(getattr(each, name) for each in pair))
        for title, name in (("begun", "created"), ("state", "state"), ("task", "task"), ("backbone", "backbone"))
    ]
    rows.append(("train rows", *(f"{each.train:,}" for each in pair)))
    rows.append(("split", *(each.test[:SPLIT] for each in pair)))
    for metric in dict.fromkeys([*found.first.metrics, *found.second.metrics]):
        rows.append((metric_title(metric), *(str(each.metrics.get(metric, "")) for each in pair)))
    for key, values in found.differences.items():
        rows.append((key, *(json.dumps(each, ensure_ascii=False) for each in values)))
    return [(title, first, second) for title, first, second in rows]


def notes_of(found: SideBySide) -> list[str]:
    """Returns what has to be known of two runs before their figures are compared, and what to do next."""
    same = [] if found.differences else ["the recipe is the same in all that decides a result"]
    if not found.same_test:
        return [*same, "the two were scored on other test rows: their figures cannot be compared"]
    same += [found.other_inputs] if found.other_inputs else []
    done = found.first.state == found.second.state == FINISHED
    if done and found.first.task == found.second.task and is_compared(TASKS.get(found.first.task)):
        command = f"kft evaluate {quote(found.first.run)} --against {quote(found.second.run)}"
        return [*same, f"{command} has the paired difference and its interval"]
    return same


def write_pair(found: SideBySide, file: str | Path) -> Path:
    """Writes two runs side by side as a page for people, one HTML file that fetches nothing.

    Args:
        found: From ``set_side_by_side``.
        file: Where to.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    from kft.report.html import render

    values = {"title": f"{found.first.run} and {found.second.run}", "rows": rows_of(found), "notes": notes_of(found)}
    write_file(Path(file), render("pair.html.j2", {**values, "runs": (found.first.run, found.second.run)}))
    return Path(file)


def _differences(first: Recipe, second: Recipe) -> dict[str, tuple[Any, Any]]:
    here, there = ({**LATER_KEYS, **each.comparable()} for each in (first, second))
    keys = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
    return {key: (here.get(key), there.get(key)) for key in keys}


def _line(folder: RunFolder, recipe: Recipe) -> RunLine:
    receipt, spec = read_document(Receipt, folder.receipt), recipe.spec
    metrics: Mapping[str, Estimate] = {}
    approach, state = "", TRAINING if seems_held(folder) else UNFINISHED
    if (folder.path / "compare.json").is_file():
        found = read_comparison(folder.path)
        approach, state = found.verdict.approach, COMPARISON
        metrics = next((each.metrics or {} for each in found.approaches if each.name == approach), {})
    elif folder.metrics.is_file():
        metrics = read_document(EvaluateResult, folder.metrics).metrics
        state = FINISHED if state == UNFINISHED else state
    said = str(folder.path), state, receipt.created, spec.task, receipt.backbone
    return RunLine(*said, receipt.n.train, receipt.split_hash, metrics, approach)
