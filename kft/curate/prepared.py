"""Prepared, split data as a folder of tensorflow-datasets: any program can read them, without kft or the recipe."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from kft import runtime
from kft.data.examples import Examples
from kft.data.images import UnusableImage, as_common
from kft.errors import DataError, StorageError, UsageError
from kft.recipe.load import Recipe
from kft.records.files import storage_errors
from kft.split.assign import SPLITS
from kft.split.data_split import DataSplit
from kft.tasks.task import Task

FORMATS = ("tfrecord", "array_record")
RECIPE = "recipe.yaml"
FIXED = ("id", "text", "text_pair", "image", "label", "group")
"""Features of kft's own; other columns of the data get other names."""
ELSEWHERE = "name another DEST"
BLOCK = 1000
SHARD_EXAMPLES = {"text": 100_000, "image": 2_000}
KEPT = ("encoding", "separator", "html", "redact", "unusable_rows")
"""Keys of ``data:`` that still mean something for prepared data, and for what the trained model reads later."""


def refuse_existing(folder: Path) -> None:
    """Refuses a folder that is there already: prepared data are never overwritten.

    Raises:
        UsageError: It is there.

    Example:
        >>> refuse_existing(Path("/nowhere"))
    """
    if folder.exists() or folder.is_symlink():
        raise UsageError(
            "the folder already exists; prepared data are never overwritten",
            where=str(folder),
            expected="a folder that does not exist yet",
            next_step="name another DEST, or remove that one",
        )


def other_features(split: DataSplit) -> dict[str, str]:
    """Returns the feature that each column of ``data.slices`` and ``data.sensitive`` goes to.

    tensorflow-datasets parts the levels of nested features by slashes, so names are of letters, digits and ``_``.
    """
    taken = list(FIXED)
    found = {}
    for column in split.train.columns:
        name = re.sub(r"\W", "_", column)
        while name in taken:
            name += "_"
        taken.append(name)
        found[column] = name
    return found


def prepared_recipe(recipe: Recipe, split: DataSplit, task: Task) -> str:
    """Returns the recipe that trains on the prepared data: the same, but for where they are and how they are read."""
    features = other_features(split)
    spec = recipe.spec
    values = spec.model_dump(mode="json", exclude_defaults=True)
    if recipe.checkpoints_folder is not None:
        values["train"]["checkpoints"]["folder"] = recipe.checkpoints_folder
    data = {name: f"tfds:.?split={name}" for name in SPLITS}
    data |= {name: name for name in task.reads.columns} | {"label": "label", "id": "id"}
    if split.train.groups is not None:
        data["group"] = "group"
    lists = {key: [features[name] for name in getattr(spec.data, key)] for key in ("slices", "sensitive")}
    kept = {key: value for key, value in values["data"].items() if key in KEPT}
    ordered = {"task": spec.task, "name": recipe.name, "data": data | {k: v for k, v in lists.items() if v} | kept}
    stream = StringIO()
    yaml = YAML(typ="rt")
    yaml.width = 120
    yaml.dump(ordered | {key: value for key, value in values.items() if key not in ordered}, stream)
    return (
        f"# purpose: {recipe.name} on the prepared data in this folder; the split is the one they were built with\n"
        f"# command: kft train {RECIPE}\n# result:  not trained yet\n\n{stream.getvalue()}"
    )


def write_prepared(
    split: DataSplit, folder: Path, *, name: str, task: Task, file_format: str, recipe: str
) -> tuple[dict[str, str], int]:
    """Writes the three splits, with features and statistics; the folder appears whole or not at all.

    Features: ``id``; ``text``, ``text`` and ``text_pair``, or ``image`` (its file's own bytes where they are a usual
    JPEG or PNG); ``label``, which is a ClassLabel, a list of them, a float64, or a list of ``start``, ``end`` and
    ``label``; ``group`` and the recipe's other columns where there are any. Examples keep their order.

    Args:
        split: The data.
        folder: Where they go.
        name: Of the data set.
        task: What inputs and labels are.
        file_format: One of ``FORMATS``: plain tensorflow-datasets reads tfrecord with ``as_dataset``, and
            array_record with ``as_data_source`` (random access, without TensorFlow).
        recipe: From ``prepared_recipe``; it goes beside the data.

    Returns:
        What each feature is, in words, and how many images were written anew as PNG.

    Raises:
        UsageError: The folder is there already.
        DataError: Labels are soft, or a label's name holds a line break, which tensorflow-datasets cannot keep.
        StorageError: The disk is full or cannot be written.
    """
    refuse_existing(folder)
    refuse_soft(split)
    _refuse_line_breaks(split)
    runtime.load_tensorflow()
    import tensorflow as tf

    folder = folder.absolute()
    stage = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    with storage_errors(folder, ELSEWHERE):
        try:
            stage.mkdir(parents=True)
            written = _write_splits(split, stage, name, task, file_format)
            (stage / RECIPE).write_text(recipe, encoding="utf-8")
            refuse_existing(folder)
            stage.rename(folder)
        except tf.errors.OpError as error:  # TensorFlow's own writer met what an OSError tells elsewhere
            raise StorageError(
                "the prepared data cannot be written",
                where=str(folder),
                received=(error.message or type(error).__name__).splitlines()[0],
                expected="a folder that this user may write to, with room for the data",
                next_step=f"free some space, or {ELSEWHERE}",
            ) from error
        finally:
            with suppress(OSError):
                shutil.rmtree(stage)
    return written


def refuse_soft(split: DataSplit) -> None:
    """Refuses soft labels: what is written has one class an example, and their shares would be lost.

    Raises:
        DataError: They are soft.
    """
    if any(split.part(name).shares is not None for name in SPLITS):
        raise DataError(
            "soft labels are not written: prepared data have one class an example",
            where="data.label",
            received=f"{split.columns.holds} of {split.columns.label}"[:200],
            expected="a column with one label a row",
            next_step="train on the tables themselves, which keep their shares",
        )


def _refuse_line_breaks(split: DataSplit) -> None:
    broken = next((label for label in split.labels if re.search(r"[\r\n]", label)), None)
    if broken is not None:
        raise DataError(
            "a label's name holds a line break",
            where="the label column",
            received=repr(broken),
            expected="names on one line: tensorflow-datasets keeps them one a line",
            next_step="mend the labels",
        )


def _write_splits(split: DataSplit, stage: Path, name: str, task: Task, file_format: str) -> tuple[dict[str, str], int]:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.dataset_info import DatasetIdentity

    features = _features(split, task)
    identity = DatasetIdentity(name=_identifier(name), version="1.0.0", data_dir=str(stage), module_name="kft")
    info = tfds.core.DatasetInfo(
        builder=identity,
        features=features,
        description=f"Prepared by `kft data build`: {split.how}. {RECIPE} beside it trains on it.",
        disable_shuffling=True,
    )
    writer = tfds.core.SequentialWriter(info, SHARD_EXAMPLES[task.reads.medium], file_format=file_format)
    writer.initialize_splits(list(SPLITS))
    converted = 0
    for key in SPLITS:
        part = split.part(key)
        for start in range(0, len(part), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(part)))
            examples = list(_examples(part.take(rows), split, task))
            converted += sum(example.pop("converted", False) for example in examples)
            writer.add_examples({key: examples})
    writer.close_all()
    return {feature: type(kind).__name__ for feature, kind in features.items()}, converted


def _identifier(name: str) -> str:
    """Returns a name as tensorflow-datasets wants them.

    Example:
        >>> _identifier("Product-Reviews 2")
        'product_reviews_2'
    """
    found = re.sub(r"\W+", "_", name.lower(), flags=re.ASCII).strip("_")
    return found if re.match(r"[a-z]", found) else f"data_{found}".rstrip("_")


def _features(split: DataSplit, task: Task) -> Any:
    import tensorflow_datasets as tfds

    kinds = tfds.features
    classes = kinds.ClassLabel(names=list(split.labels)) if split.labels else None
    label = {
        "class": lambda: classes,
        "set": lambda: kinds.Sequence(classes),
        # As bytes: a record would keep it as float32.
        "number": lambda: kinds.Tensor(shape=(), dtype=np.float64, encoding="bytes"),
        "spans": lambda: kinds.Sequence(
            {"start": kinds.Scalar(np.int64), "end": kinds.Scalar(np.int64), "label": classes}
        ),
    }[split.kind.labels.form]()
    found = {"id": kinds.Text(), "label": label}
    found |= {name: kinds.Image() if task.reads.files else kinds.Text() for name in task.reads.columns}
    if split.train.groups is not None:
        found["group"] = kinds.Text()
    found |= dict.fromkeys(other_features(split).values(), kinds.Text())
    return kinds.FeaturesDict(found)


def _examples(part: Examples, split: DataSplit, task: Task) -> Iterator[dict[str, Any]]:
    """Yields examples as tensorflow-datasets encodes them, and whether an image was ``converted``."""
    assert part.labels is not None
    features = other_features(split)
    for row, (identifier, given, label) in enumerate(zip(part.ids, part.inputs, part.labels, strict=True)):
        example: dict[str, Any] = {"id": str(identifier), "label": _label(label, split)}
        if isinstance(given, Path):
            example[task.reads.columns[0]], example["converted"] = _image(given)
        else:
            example |= zip(task.reads.columns, given if isinstance(given, tuple) else (given,), strict=True)
        if part.groups is not None:
            example["group"] = str(part.groups[row])
        example |= {features[column]: str(values[row]) for column, values in part.columns.items()}
        yield example


def _label(label: Any, split: DataSplit) -> Any:
    form = split.kind.labels.form
    if form == "spans":
        return [span._asdict() for span in label]
    return list(label) if form == "set" else label


def _image(path: Path) -> tuple[bytes, bool]:
    try:
        content = path.read_bytes()
        common = as_common(content)
    except (UnusableImage, OSError) as error:  # it could be used a moment ago
        raise DataError("an image cannot be used", where=str(path), received=str(error)) from error
    return common, common is not content
