"""Train, valid and test: a seeded, stratified, group-aware split, and its hash."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kft.data.tables import Columns, Examples, RejectedRow, guess_columns, read_table, refuse_rejected, to_examples
from kft.errors import DataError
from kft.recipe.durations import parse_percent
from kft.recipe.schema import DATAFRAME, DataSpec

SPLITS = ("train", "valid", "test")
Table = Path | pd.DataFrame


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
        return np.array([positions[label] for label in self.part(name).labels], dtype=np.int32)

    def frame(self) -> pd.DataFrame:
        """Returns id, split and the first 16 hex digits of the text's sha256."""
        rows = [
            (identifier, name, hashlib.sha256(text.encode()).hexdigest()[:16])
            for name in SPLITS
            for identifier, text in zip(self.part(name).ids, self.part(name).texts, strict=True)
        ]
        return pd.DataFrame(rows, columns=["id", "split", "hash"])


def split_rows(
    labels: np.ndarray, groups: np.ndarray | None, *, valid_fraction: float, test_fraction: float, seed: int
) -> np.ndarray:
    """Assigns every row to ``train``, ``valid`` or ``test``.

    Whole groups (single rows where there are none) are shuffled, sorted from large to small, and given one by
    one to the split that is furthest below its share of the group's own labels. So every label keeps its
    shares as well as the groups allow, and no group crosses. The first group of a label goes to train, so a
    label with one row is learned, not tested.

    Args:
        labels: ``str[n]``.
        groups: ``str[n]`` or None.
        valid_fraction: Share of the rows; 0 gives none.
        test_fraction: Likewise.
        seed: The same seed gives the same split.

    Returns:
        ``str[n]``.

    Example:
        >>> import numpy as np
        >>> rows = split_rows(np.array(["a", "b"] * 10), None, valid_fraction=0.2, test_fraction=0.2, seed=0)
        >>> sorted(Counter(rows.tolist()).items())
        [('test', 4), ('train', 12), ('valid', 4)]
    """
    _, label_of = np.unique(labels.astype(str), return_inverse=True)
    group_of = np.arange(len(labels)) if groups is None else np.unique(groups.astype(str), return_inverse=True)[1]
    counts = np.zeros((group_of.max() + 1, label_of.max() + 1))
    np.add.at(counts, (group_of, label_of), 1)
    fractions = np.array([1 - valid_fraction - test_fraction, valid_fraction, test_fraction])
    wanted = fractions[:, None] * counts.sum(axis=0)
    have = np.zeros_like(wanted)
    rng = np.random.Generator(np.random.PCG64(seed))
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    chosen = np.zeros(len(counts), dtype=np.int64)
    for group in order:
        own = counts[group]
        # The lack of the group's own labels, relative to each split's share of them.
        lack = ((wanted - have) * own).sum(axis=1) / np.maximum((wanted * own).sum(axis=1), 1e-9)
        lack[fractions <= 0] = -np.inf
        unseen = (have[0] == 0) & (own > 0)
        chosen[group] = 0 if unseen.any() else int(lack.argmax())
        have[chosen[group]] += own
    return np.array(SPLITS, dtype=object)[chosen[group_of]]


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
    columns = guess_columns(read["train"], text=spec.text, label=spec.label, where=names["train"])
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
        labels=tuple(sorted(set(parts["train"].labels))),
        rejected=tuple(rejected),
        columns=columns,
        split_hash=split_hash(assignments),
        data_hash=_data_hash(parts),
        how=how,
    )


def _tables(
    spec: DataSpec,
    base: Path,
    locate: Callable[[str, Path], Path],
    frames: Mapping[str, pd.DataFrame] | None,
) -> dict[str, Table]:
    if frames is not None:
        unknown = sorted(set(frames) - set(SPLITS))
        if unknown or "train" not in frames:
            raise DataError(
                "the DataFrames are not named as splits",
                received=", ".join(map(str, frames)),
                expected="train, and perhaps valid and test",
                next_step='kft.train(recipe, data={"train": frame})',
            )
    elif spec.train == DATAFRAME:
        raise DataError(
            "this recipe was used with a DataFrame, which is not kept",
            where="data.train",
            next_step="pass it again as data=, or name a file with --set data.train=FILE",
        )
    tables: dict[str, Table] = {}
    for key, source in (("train", spec.train), ("valid", spec.valid), ("test", spec.test)):
        if frames is not None and key in frames:
            tables[key] = frames[key]
        elif key == "train" or parse_percent(source) is None:
            tables[key] = locate(source, base)
    return tables


def _names(tables: Mapping[str, Table]) -> dict[str, str]:
    """Names each table for ids: as few of the path's last parts as tell the files apart."""
    paths = {key: table for key, table in tables.items() if isinstance(table, Path)}
    names = {key: key for key in tables}
    for length in range(1, max((len(path.parts) for path in paths.values()), default=0) + 1):
        short = {key: "/".join(path.parts[-length:]) for key, path in paths.items()}
        if len(set(short.values())) == len(short):
            return names | short
    return names


def _divide(parts: dict[str, Examples], spec: DataSpec, names: Mapping[str, str]) -> tuple[dict[str, Examples], str]:
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
        )
    whole = parts["train"]
    rows = split_rows(
        whole.labels,
        whole.groups,
        valid_fraction=shares.get("valid", 0.0),
        test_fraction=shares.get("test", 0.0),
        seed=spec.split_seed,
    )
    made = {key: whole.take(np.flatnonzero(rows == key)) for key in ("train", *shares)}
    groups = "" if whole.groups is None else f" by group ({len(set(whole.groups)):,} groups)"
    taken = [f"{key} {share:.4g}%" for key, share in ((k, s * 100) for k, s in shares.items())]
    result = parts | made
    _require_separate_groups(result, names)
    return result, f"{' and '.join(taken)} of {names['train']}{groups}, stratified" + "".join(f", {g}" for g in given)


def _require_classes(train: Examples, name: str, columns: Columns) -> None:
    found = sorted(set(train.labels))
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
                next_step=f"add labelled rows, or a larger share with --set data.{key}=20%",
            )
    known = set(parts["train"].labels)
    for key in ("valid", "test"):
        unseen = Counter(label for label in parts[key].labels if label not in known)
        if unseen:
            raise DataError(
                f"labels that stand in {key} but never in train",
                where=names.get(key, names["train"]),
                received=", ".join(f"{label!r} ({count})" for label, count in unseen.most_common(5)),
                expected="one of " + ", ".join(sorted(known)[:10]) + (" ..." if len(known) > 10 else ""),
                next_step="mend the spelling, add training examples, or take these rows out",
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
                    next_step="move the group's rows into one file, or let kft split with a share such as 15%",
                )
            seen[group] = key


def _data_hash(parts: Mapping[str, Examples]) -> str:
    digest = hashlib.sha256()
    rows = [row for key in SPLITS for row in zip(parts[key].ids, parts[key].texts, parts[key].labels, strict=True)]
    for row in sorted(rows):
        for value in row:
            content = str(value).encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()
