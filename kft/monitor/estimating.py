"""Accuracy and class shares of the latest rows, from a sample of their answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from kft.errors import DataError
from kft.monitor.estimates.accuracy import estimate_accuracy
from kft.monitor.estimates.labelled import Numbers, estimate_mean_error, estimate_with_labels, not_estimated
from kft.monitor.estimates.scores import OTHER, UNLABELLED, Scores
from kft.monitor.estimates.shares import estimate_shares
from kft.monitor.reference import Reference
from kft.records.csv_file import original
from kft.records.estimated import AccuracyEstimate, ClassShares
from kft.tasks.cells import as_text
from kft.tasks.spelling import respelled, spelled


def estimate(
    reference: Reference, columns: Mapping[str, np.ndarray]
) -> tuple[AccuracyEstimate | None, ClassShares | None]:
    """Returns what can be said of the latest rows; None where there are none.

    Args:
        reference: Of the artifact.
        columns: From ``Latest``: ``probabilities`` and ``label``, or ``value``; ``distance``; and where labels were
            looked for ``truth`` and perhaps ``inclusion``.
    """
    if reference.scores is None and not answers_numbers(reference):
        return not_estimated(reference.task), None
    if not columns:
        return None, None
    if reference.scores is None:
        # The reference holds no number's truth: labels of new rows stand alone.
        numbers = Numbers(columns["value"], columns.get("truth"))
        return estimate_mean_error(Numbers(np.zeros(0)), numbers, columns.get("inclusion")), None
    own = _of_test(reference)
    distance = columns["distance"]
    foreign = None if np.isnan(distance).any() or own.foreign is None else distance
    seen = Scores(columns["probabilities"], columns["label"], columns.get("truth"), foreign)
    shares = estimate_shares(own, seen, reference.labels)
    if "truth" not in columns:
        return estimate_accuracy(own, seen), shares
    return estimate_with_labels(own, seen, columns.get("inclusion")), shares


def _of_test(reference: Reference) -> Scores:
    scored = reference.scores
    assert scored is not None
    n = len(scored.probabilities)
    truth = np.where(scored.truth[:n] < 0, OTHER, scored.truth[:n])
    distance = scored.distance[:n]
    foreign = None if np.isnan(distance).any() else distance
    return Scores(scored.probabilities.astype(np.float32), scored.label[:n], truth, foreign)


def answers_numbers(reference: Reference) -> bool:
    """Whether the artifact answers a number."""
    return "value" in reference.edges


def read_truth(cells: Sequence[Any], reference: Reference, column: str) -> np.ndarray:
    """Returns what is true of each row: the place of its class, or a number; see ``read_classes``, ``read_numbers``.

    Raises:
        DataError: Numbers are answered, and a label is none; or a class is spelled otherwise.
    """
    return read_numbers(cells, column) if answers_numbers(reference) else read_classes(cells, reference.labels, column)


def read_numbers(cells: Sequence[Any], column: str) -> np.ndarray:
    """Returns the true number of each row, ``float64[rows]``; NaN where a cell is empty.

    Args:
        cells: Of the column of labels.
        column: Its name.

    Raises:
        DataError: A cell that is not empty is no finite number.

    Example:
        >>> read_numbers(["1.5", "", None, 2], "stars").tolist()
        [1.5, nan, nan, 2.0]
    """
    texts = [as_text(cell).strip() for cell in cells]
    found = np.full(len(texts), np.nan)
    for at, text in enumerate(texts):
        if not text:
            continue
        with suppress(ValueError):
            found[at] = float(text)
        if not math.isfinite(found[at]):
            raise DataError(
                "a label is no number, and the artifact answers numbers",
                where=f"--labels {column}",
                received=text[:80],
                expected="numbers; empty cells are rows without a label",
                next_step="name the column of true numbers, or mend it",
            )
    return found


def read_classes(cells: Sequence[Any], labels: Sequence[str], column: str = "") -> np.ndarray:
    """Returns the place of each row's true class, ``int64[rows]``; see ``Scores``.

    Args:
        cells: Of the column of labels, in any form that training takes for the same; one that is empty is not known.
        labels: That can be answered.
        column: Its name.

    Raises:
        DataError: A label differs from one of the artifact's by case or white space alone: each would count as wrong.

    Example:
        >>> read_classes(["b", "", None, "new", " a "], ("a", "b")).tolist()
        [1, -1, -1, -2, 0]
    """
    known = {name: place for place, name in enumerate(labels)}
    texts = [text if (text := as_text(cell).strip()) in known else original(spelled(cell)) for cell in cells]
    unknown = sorted({text for text in texts if text and text not in known})
    if said := respelled(unknown, labels).removeprefix("; "):
        raise DataError(
            "some labels are the artifact's in another spelling: each of them would count as wrong",
            where=f"--labels {column}",
            received=said,
            expected="such as " + ", ".join(labels[:10]),
            next_step="mend the labels",
        )
    return np.array([known.get(text, OTHER) if text else UNLABELLED for text in texts], np.int64)


def refuse_unknown(truth: np.ndarray, labels: Sequence[str], column: str) -> str:
    """Refuses a column of labels none of which is one of the artifact's: it is another column.

    Returns:
        What a person should know of labels that are none of the artifact's; empty where there are none.

    Raises:
        DataError: It is.
    """
    unknown = int((truth == OTHER).sum()) if labels else 0
    if unknown and not (truth >= 0).any():
        raise DataError(
            "none of the labels is one that the artifact can answer",
            where=f"--labels {column}",
            received=f"{unknown:,} labels, all unknown",
            expected="such as " + ", ".join(labels[:10]),
            next_step="name the column of true labels; empty cells are rows without one",
        )
    told = int((truth != UNLABELLED).sum()) if labels else 0
    return f"{unknown:,} of {told:,} labels are none that the artifact can answer: counted as wrong" if unknown else ""


def read_chances(cells: Sequence[Any], column: str) -> np.ndarray:
    """Returns the chance with which each row was drawn, ``float64[rows]``; NaN where a cell is empty.

    Raises:
        DataError: A cell is no number: without its chance a row would be taken for one that came by itself.

    Example:
        >>> read_chances(["0.25", "", None, 1], "inclusion_probability").tolist()
        [0.25, nan, nan, 1.0]
    """
    texts = [as_text(cell).strip() for cell in cells]
    found = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(np.float64)
    if wrong := [row for row, text in enumerate(texts) if text and not math.isfinite(found[row])]:
        raise DataError(
            "a chance with which a row was drawn is no number",
            where=f"column {column!r}, row {wrong[0] + 1:,}",
            received=texts[wrong[0]][:80],
            expected="numbers as kft queue wrote them, such as 0.0512; empty cells are rows that were not drawn",
            next_step="save the file without changing that column: a spreadsheet may write a comma for the point",
        )
    return found
