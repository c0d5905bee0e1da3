"""What every split has to have: rows, and groups of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kft.data.examples import Examples, RejectedRow
from kft.data.tables import unusable
from kft.errors import DataError
from kft.split.assign import SPLITS


def require_rows(parts: Mapping[str, Examples], names: Mapping[str, str], rejected: Sequence[RejectedRow]) -> None:
    """Refuses a split without examples.

    Args:
        parts: The examples of each split.
        names: What the source of each is called.
        rejected: Rows that cannot be used.

    Raises:
        DataError: One is empty.
    """
    for key in SPLITS:
        if len(parts[key]) == 0:
            left_out = [row for row in rejected if row.source == names.get(key)]
            if left_out:
                raise unusable(f"no row of {key} can be used", left_out, "mend them, or name another file")
            raise DataError(
                f"the {key} split is empty",
                where=names.get(key, names["train"]),
                received=", ".join(f"{len(parts[k])} {k}" for k in SPLITS),
                expected="at least one example in each split",
                next_step="add labelled rows to that file"
                if key in names
                else f"add labelled rows, or a larger share with --set data.{key}=30%",
            )


def require_separate_groups(parts: Mapping[str, Examples], names: Mapping[str, str]) -> None:
    """Refuses a group with rows on two sides.

    Args:
        parts: The examples of each split.
        names: What the source of each is called.

    Raises:
        DataError: One is in two splits.
    """
    seen: dict[str, str] = {}
    for key, examples in parts.items():
        for group in set(examples.groups if examples.groups is not None else ()):
            if group in seen:
                raise DataError(
                    "one group is in two splits",
                    where=f"{names.get(seen[group], seen[group])} and {names.get(key, key)}",
                    received=str(group),
                    expected="all rows of a group on one side",
                    next_step="move the group's rows into one file, or split by a share such as 15%",
                )
            seen[group] = key
