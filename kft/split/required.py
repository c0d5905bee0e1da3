"""What every split has to have: rows, and groups of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from kft.data.examples import Examples, RejectedRow
from kft.data.tables import unusable
from kft.errors import DataError
from kft.registry import nearest
from kft.split.assign import SPLITS
from kft.split.labels import named_in
from kft.tasks.spelling import respelled
from kft.tasks.task import AnswerKind, AnswerSpace


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


def require_known_labels(
    parts: Mapping[str, Examples], names: Mapping[str, str], kind: AnswerKind, space: AnswerSpace
) -> None:
    """Refuses labels that train does not have, and ids that stand for two examples.

    Args:
        parts: The examples of each split.
        names: What the source of each is called.
        kind: What labels are.
        space: What train has.

    Raises:
        DataError: There are such; counts them.
    """
    known = set(space.labels)
    for key in ("valid", "test"):
        unseen = Counter(
            name for label in named_in(parts[key]) for name in kind.labels.names(label) if name not in known
        )
        if unseen:
            hint = nearest(str(unseen.most_common(1)[0][0]), known)
            raise DataError(
                f"labels that are in {key} but never in train",
                where=names.get(key, names["train"]),
                received=", ".join(f"{label!r} ({count})" for label, count in unseen.most_common(5))
                + (respelled(list(unseen), sorted(known)) or (f"; did you mean {hint!r}?" if hint else "")),
                expected="one of " + ", ".join(sorted(known)[:10]) + (" ..." if len(known) > 10 else ""),
                next_step="mend the spelling, add examples of them to train, or take these rows out",
            )
    seen: dict[str, str] = {}
    for key in SPLITS:
        for identifier in parts[key].ids:
            if identifier in seen:
                two = "two splits" if seen[identifier] != key else f"{key} twice"
                raise DataError(
                    f"one id is in {two}",
                    where=f"{seen[identifier]} and {key}" if seen[identifier] != key else names.get(key, key),
                    received=str(identifier),
                    expected="ids that are unique over all files",
                    next_step="mend the ids, or leave data.id out to use file and row number",
                )
            seen[identifier] = key
