"""The most confident wrong answers of a model that writes, beside what it was asked and what is right."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kft.data.personal import conceal
from kft.evaluate.mistakes import (
    MOST,
    MOST_CHARACTERS,
    PASSAGE_CHARACTERS,
    PASSAGES,
    predictions_hash,
    read_predictions,
)
from kft.metrics.language import right_answers, spoken
from kft.records.mistakes import Mistake, Mistakes
from kft.records.run_folder import RunFolder
from kft.split.data_split import DataSplit


def find_samples(run: RunFolder, split: DataSplit, right: str, *, sure: bool) -> Mistakes:
    """Returns the content of mistakes.json for written answers.

    Args:
        run: An evaluated run: its predictions.csv says what was written, and how sure the model was.
        split: Its data.
        right: Which answers are right: see ``kft.metrics.language.right_answers``.
        sure: Whether predictions.csv says how sure the model was; that of an earlier kft says another thing.
    """
    rows = read_predictions(run)
    are_right = right_answers(right, [row["target"] for row in rows], spoken([row["prediction"] for row in rows]))
    wrong = [row for row, yes in zip(rows, are_right, strict=True) if not yes]
    if sure:
        wrong.sort(key=lambda row: -float(row["confidence"] or 0))
    places, passages = {str(name): place for place, name in enumerate(split.test.ids)}, split.test.passages
    found = [
        Mistake(
            id=row["id"],
            input=_shown(str(split.test.inputs[place])),
            target=_shown(row["target"]),
            prediction=_shown(row["prediction"]),
            confidence=float(row["confidence"]) if sure and row["confidence"] else None,
            cost=None,
            neighbours=(),
            given=() if passages is None else _given(passages[place]),
            unsupported=tuple(json.loads(row.get("unsupported") or "[]")),
            withheld=row["abstain"] == "true",
        )
        for row in wrong[:MOST]
        if (place := places.get(row["id"], -1)) >= 0
    ]
    return Mistakes("test", len(wrong), tuple(found), predictions_hash(run))


def _shown(text: str) -> str:
    return conceal(text, 0, MOST_CHARACTERS)


def _given(passages: Sequence[str]) -> tuple[str, ...]:
    return tuple(conceal(each, 0, PASSAGE_CHARACTERS) for each in passages[:PASSAGES])
