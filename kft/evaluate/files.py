"""What a run folder has of scored examples: metrics.json and the tables beside it."""

from __future__ import annotations

import numpy as np

from kft.answer.decide import Decisions
from kft.evaluate.evaluate import Scored
from kft.records.csv_file import write_csv
from kft.records.document import write_document
from kft.records.metrics import EvaluateResult
from kft.records.run_folder import RunFolder

RATES = ("precision", "recall", "f1")
"""Of each class, in per_class.csv."""


def write_evaluation(run: RunFolder, result: EvaluateResult, scored: Scored, decisions: Decisions) -> None:
    """Writes metrics.json, predictions.csv and, where there are any, per_class.csv, confusion.csv, edge_cases.json."""
    shown = scored.answers if scored.shown is None else scored.shown
    abstains = scored.withheld(decisions)
    rows = zip(scored.ids, scored.truth, shown, abstains, strict=True)
    space = scored.space.cut_by(decisions.labels)
    written: list[tuple[str, ...]] = [
        (name, *scored.kind.judging.row(truth, answer, space), "true" if abstain else "false")
        for name, truth, answer, abstain in rows
    ]
    columns: tuple[str, ...] = ("id", "target", "prediction", "confidence", "abstain")
    for name, cells in scored.kind.judging.beside(shown).items():
        columns = (*columns, name)
        written = [(*row, cell) for row, cell in zip(written, cells, strict=True)]
    if decisions.interval is not None and decisions.interval.reaches:
        ends = decisions.interval.bounds(np.asarray(shown))
        columns = (*columns, "low", "high")
        written = [(*row, f"{low:.6g}", f"{high:.6g}") for row, (low, high) in zip(written, ends, strict=True)]
    write_csv(run.predictions, columns, written)
    if result.classes:
        write_csv(
            run.per_class,
            (
                "label",
                "n",
                *RATES,
                *(f"{name}_{end}" for name in RATES for end in ("low", "high")),
            ),
            [
                (
                    each.label,
                    each.n,
                    *(f"{getattr(each, name):.4f}" for name in RATES),
                    *(f"{end:.4f}" for name in RATES for end in getattr(each, f"{name}_range")),
                )
                for each in result.classes
            ],
        )
    if result.confusion is not None:
        labels = result.labels
        write_csv(
            run.confusion,
            ("target", *labels),
            [(label, *map(int, row)) for label, row in zip(labels, result.confusion, strict=True)],
        )
    if result.edge_cases is not None:
        write_document(run.edge_cases, result.edge_cases)
    write_document(run.metrics, result)
