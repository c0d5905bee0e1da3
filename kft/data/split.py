"""Train, valid and test: a seeded, stratified, group-aware split, and its hash."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kft.data.assign import SPLITS, split_rows
from kft.data.tables import (
    Columns,
    Examples,
    RejectedRow,
    guess_columns,
    read_table,
    refuse_rejected,
    to_examples,
)
from kft.errors import DataError
from kft.recipe.durations import parse_percent
from kft.recipe.schema import DATAFRAME, DataSpec
from kft.registry import nearest


@dataclass(frozen=True)
class DataSplit:
    """The prepared data.

    Attributes:
        train: What is learned from.
        valid: What choices look at.
        test: Sealed until evaluation.
        labels: Class names, sorted; a target is a position in it.
        rejected: Rows that cannot be used.
        columns: What was read.
        split_hash: sha256 over the sorted (id, split) pairs.
        data_hash: sha256 over every id, text and label.
        how: How the split was made, in words.
    """

    train: Examples
    valid: Examples
    test: Examples
    labels: tuple[str, ...]
    rejected: tuple[RejectedRow, ...]
    columns: Columns
    split_hash: str
    data_hash: str
    how: str

    def part(self, name: str) -> Examples:
        """Returns the examples of ``train``, ``valid`` or ``test``."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[name]

    def targets(self, name: str) -> np.ndarray:
        """Returns ``int32[examples]``: each example's position in ``labels``."""
        positions = {label: position for position, label in enumerate(self.labels)}
        return np.array([positions[label] for label in _labels(self.part(name))], dtype=np.int32)

    def frame(self) -> pd.DataFrame:
        """Returns id, split and the first 16 hex digits of the text's sha256."""
        rows = [
            (identifier, name, hashlib.sha256(text.encode()).hexdigest()[:16])
            for name in SPLITS
            for identifier, text in zip(self.part(name).ids, self.part(name).texts, strict=True)
        ]
        return pd.DataFrame(rows, columns=["id", "split", "hash"])


def _labels(examples: Examples) -> np.ndarray:
    if examples.labels is None:
        raise ValueError("these examples have no labels")
    return examples.labels


def split_hash(assignments: Mapping[str, str]) -> str:
    """Returns sha256 over the sorted (id, split) pairs, each as ``id TAB split LF`` in UTF-8.

    Example:
        >>> split_hash({"a:1": "train"}) == split_hash({"a:1": "test"})
        False
    """
    digest = hashlib.sha256()
    for identifier, name in sorted(assignments.items()):
        digest.update(f"{identifier}\t{name}\n".encode())
    return digest.hexdigest()


def data_hash(parts: Iterable[Examples]) -> str:
    """Returns sha256 over id, text and label of every example, sorted; the split plays no part in it.

    Each of the three is its length in bytes as eight bytes, most significant first, and then its UTF-8. A
    missing label counts as an empty one.

    Example:
        >>> one = Examples(np.array(["a:1"]), ["fine"], np.array(["good"]), None)
        >>> data_hash([one])[:16]
        '1e85020b21b8c88f'
    """
    digest = hashlib.sha256()
    rows: list[tuple[str, str, str]] = []
    for part in parts:
        labels = [""] * len(part) if part.labels is None else part.labels
        rows.extend(zip(map(str, part.ids), part.texts, map(str, labels), strict=True))
    for row in sorted(rows):
        for value in row:
            content = value.encode()
            digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def load_split(
    spec: DataSpec,
    *,
    base: Path,
    locate: Callable[[str, Path], Path],
    frames: Mapping[str, pd.DataFrame] | None = None,
) -> DataSplit:
    """Reads the data and splits them.

    Args:
        spec: The recipe's data part.
        base: Where relative paths start.
        locate: Turns a source into a local file; ``kft.assets.locate``.
        frames: DataFrames named ``train``, ``valid``, ``test`` that stand in for files.

    Raises:
        DataError: The data cannot be used; says where and what to do.
    """
    tables = _tables(spec, base, locate, frames)
    names = _names(tables)
    read = {key: read_table(table, columns=spec.columns) for key, table in tables.items()}
    columns = guess_columns(
        read["train"],
        text=spec.text,
        label=spec.label,
        where=names["train"],
        besides=[name for name in (spec.id, spec.group and spec.group.column) if name],
    )
    parts: dict[str, Examples] = {}
    rejected: list[RejectedRow] = []
    for key, frame in read.items():
        if key != "train":
            guess_columns(frame, text=columns.text, label=columns.label, where=names[key])
        parts[key], bad = to_examples(frame, spec, name=names[key], columns=columns)
        rejected.extend(bad)
    refuse_rejected(rejected, spec)
    _require_classes(parts["train"], names["train"], columns)
    parts, how = _divide(parts, spec, names)
    _require_usable(parts, names)
    assignments = {str(identifier): key for key in SPLITS for identifier in parts[key].ids}
    return DataSplit(
        train=parts["train"],
        valid=parts["valid"],
        test=parts["test"],
        labels=tuple(sorted(set(_labels(parts["train"])))),
        rejected=tuple(rejected),
        columns=columns,
        split_hash=split_hash(assignments),
        data_hash=data_hash(parts[key] for key in SPLITS),
        how=how,
    )


def _tables(
    spec: DataSpec,
    base: Path,
    locate: Callable[[str, Path], Path],
    frames: Mapping[str, pd.DataFrame] | None,
) -> dict[str, Path | pd.DataFrame]:
    if frames is not None:
        unknown = sorted(set(frames) - set(SPLITS))
        if unknown or "train" not in frames:
            raise DataError(
                "the DataFrames are not named as splits",
                received=", ".join(map(str, frames)),
                expected="train, and perhaps valid and test",
                where="data=",
                next_step='kft.train(recipe, data={"train": frame})',
            )
    kept = frames or {}
    missing = [key for key in SPLITS if getattr(spec, key) == DATAFRAME and key not in kept]
    if missing:
        raise DataError(
            "the run was trained on a DataFrame, which is not kept",
            where=", ".join(f"data.{key}" for key in missing),
            received=DATAFRAME,
            expected="the same DataFrame again",
            next_step="kft.evaluate(run, data=frame) in Python; kft evaluate RUN --data FILE scores another file",
        )
    tables: dict[str, Path | pd.DataFrame] = {}
    for key, source in (("train", spec.train), ("valid", spec.valid), ("test", spec.test)):
        if frames is not None and key in frames:
            tables[key] = frames[key]
        elif key == "train" or parse_percent(source) is None:
            tables[key] = locate(source, base)
    _require_different_files(tables)
    return tables


def _require_different_files(tables: Mapping[str, Path | pd.DataFrame]) -> None:
    seen: dict[Path, str] = {}
    for key, table in tables.items():
        if not isinstance(table, Path):
            continue
        first = seen.setdefault(table.resolve(), key)
        if first != key:
            raise DataError(
                "two splits are the same file",
                where=f"data.{first}, data.{key}",
                received=str(table),
                expected="another file, or a share such as 15%",
                next_step=f"--set data.{key}=15% takes a share of train instead",
            )


def _names(tables: Mapping[str, Path | pd.DataFrame]) -> dict[str, str]:
    """Names each table for ids: as few of the path's last parts as tell the files apart."""
    paths = {key: table for key, table in tables.items() if isinstance(table, Path)}
    names = {key: key for key in tables}
    for length in range(1, max((len(path.parts) for path in paths.values()), default=0) + 1):
        short = {key: "/".join(path.parts[-length:]) for key, path in paths.items()}
        if len(set(short.values())) == len(short):
            return names | short
    return names


def _divide(
    parts: dict[str, Examples],
    spec: DataSpec,
    names: Mapping[str, str],
) -> tuple[dict[str, Examples], str]:
    shares = {key: parse_percent(getattr(spec, key)) or 0.0 for key in ("valid", "test") if key not in parts}
    given = [f"{key} from {names[key]}" for key in ("valid", "test") if key in parts]
    if not shares:
        _require_separate_groups(parts, names)
        return parts, ", ".join(given)
    if sum(shares.values()) >= 1:
        raise DataError(
            "nothing is left to train on",
            where="data.valid, data.test",
            received=" and ".join(f"{share:.0%}" for share in shares.values()),
            expected="shares that add up to less than 100%",
            next_step="--set data.valid=15% --set data.test=15%",
        )
    whole = parts["train"]
    rows = split_rows(
        _labels(whole),
        whole.groups,
        valid_fraction=shares.get("valid", 0.0),
        test_fraction=shares.get("test", 0.0),
        seed=spec.split_seed,
    )
    made = {key: whole.take(np.flatnonzero(rows == key)) for key in ("train", *shares)}
    groups = "" if whole.groups is None else f" by group ({len(set(whole.groups)):,} groups)"
    taken = " and ".join(f"{key} {share * 100:.4g}%" for key, share in shares.items())
    result = parts | made
    _require_separate_groups(result, names)
    return result, ", ".join([f"{taken} of {names['train']}{groups}, stratified", *given])


def _require_classes(train: Examples, name: str, columns: Columns) -> None:
    found = sorted(set(_labels(train)))
    if len(found) < 2:
        raise DataError(
            "one class only: there is nothing to tell apart",
            where=f"{name}, column {columns.label!r}",
            received=", ".join(map(repr, found)) or "no usable row",
            expected="at least two different labels",
            next_step="name the right column with --set data.label=COLUMN",
        )


def _require_usable(parts: Mapping[str, Examples], names: Mapping[str, str]) -> None:
    for key in SPLITS:
        if len(parts[key]) == 0:
            raise DataError(
                f"the {key} split is empty",
                where=names.get(key, names["train"]),
                received=", ".join(f"{len(parts[k])} {k}" for k in SPLITS),
                expected="at least one example in each split",
                next_step="add labelled rows to that file"
                if key in names
                else f"add labelled rows, or a larger share with --set data.{key}=30%",
            )
    known = set(_labels(parts["train"]))
    for key in ("valid", "test"):
        unseen = Counter(label for label in _labels(parts[key]) if label not in known)
        if unseen:
            hint = nearest(str(unseen.most_common(1)[0][0]), known)
            raise DataError(
                f"labels that stand in {key} but never in train",
                where=names.get(key, names["train"]),
                received=", ".join(f"{label!r} ({count})" for label, count in unseen.most_common(5))
                + (f"; did you mean {hint!r}?" if hint else ""),
                expected="one of " + ", ".join(sorted(known)[:10]) + (" ..." if len(known) > 10 else ""),
                next_step="mend the spelling, add examples of them to train, or take these rows out",
            )
    seen: dict[str, str] = {}
    for key in SPLITS:
        for identifier in parts[key].ids:
            if identifier in seen:
                raise DataError(
                    "one id stands in two splits",
                    where=f"{seen[identifier]} and {key}",
                    received=str(identifier),
                    expected="ids that are unique over all files",
                    next_step="mend the ids, or leave data.id out to use file and row number",
                )
            seen[identifier] = key


def _require_separate_groups(parts: Mapping[str, Examples], names: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for key, examples in parts.items():
        for group in set(examples.groups if examples.groups is not None else ()):
            if group in seen:
                raise DataError(
                    "one group stands in two splits",
                    where=f"{names.get(seen[group], seen[group])} and {names.get(key, key)}",
                    received=str(group),
                    expected="all rows of a group on one side",
                    next_step="move the group's rows into one file, or split by a share such as 15%",
                )
            seen[group] = key
