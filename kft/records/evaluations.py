"""evaluations/: one dated document for each time that a run was scored on other data than its own test split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kft.records.document import write_document
from kft.records.estimate import Estimate
from kft.records.manifest import seal
from kft.records.metrics import GateResult
from kft.records.run_folder import RunFolder


@dataclass(frozen=True)
class DatedEvaluation:
    """What a run reached on some labelled data, on some day.

    Attributes:
        at: When, in ISO 8601, UTC.
        data: What the data are called.
        data_hash: Of every id, input and label, as that of the receipt.
        n: How many examples.
        seen_in_training: How many of them the run was trained on or chose by.
        checkpoint: Hash of the weights that answered.
        metrics: By name, with 95 % intervals.
        gates: The recipe's gates.
        versions: Of what decides a result.
    """

    at: str
    data: str
    data_hash: str
    n: int
    seen_in_training: int
    checkpoint: str
    metrics: Mapping[str, Estimate]
    gates: Mapping[str, GateResult]
    versions: Mapping[str, str]


def keep_evaluation(run: RunFolder, found: DatedEvaluation) -> Path:
    """Writes the document, under a name of its own that begins with the time.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    stem = found.at.replace(":", "-").removesuffix("+00-00")
    names = (f"{stem}{f'-{number}' if number else ''}.json" for number in range(10_000))
    path = next(path for path in (run.evaluations / name for name in names) if not path.exists())
    write_document(path, found)
    seal(run, [str(path.relative_to(run.path))])
    return path
