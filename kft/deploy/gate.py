"""Who may ship: a run whose gates hold and whose files are what was written, unless a person insists."""

from __future__ import annotations

from kft.answer.load import Run, read_run
from kft.errors import GateError, RunError
from kft.records.document import read_document
from kft.records.manifest import ALL, require_intact
from kft.records.metrics import EvaluateResult
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder
from kft.tasks.recipes import load_recipe


def admit(folder: RunFolder, *, force: bool) -> tuple[Run, EvaluateResult, tuple[str, ...]]:
    """Reads a run that is to be shipped.

    Args:
        folder: The run's.
        force: Ships it although it would be refused; the reasons then come back.

    Returns:
        The run, what it reached on its test split, and why it would have been refused.

    Raises:
        GateError: A gate of its recipe fails.
        RunError: A file is not as it was written, or the run was never evaluated.
    """
    reasons = []
    try:
        require_intact(folder, ALL)
        run = read_run(folder)
    except RunError as error:
        if not force:
            raise
        reasons.append(error.problem)
        run = Run(folder, load_recipe(folder.recipe), read_document(Receipt, folder.receipt))
    if not (folder.metrics.is_file() and folder.predictions.is_file()):
        raise RunError(
            "the run was never evaluated: there is nothing to hold what ships to",
            where=str(folder.path),
            received="no metrics.json or no predictions.csv",
            expected="a run that was trained to its end",
            next_step=f"kft evaluate {folder.path}",
        )
    result = read_document(EvaluateResult, folder.metrics)
    failed = [f"{name} {gate.rule} (reached {gate.reached})" for name, gate in result.gates.items() if not gate.passed]
    if failed and not force:
        raise GateError(
            "gates of the recipe fail: " + ", ".join(failed),
            where=str(folder.metrics),
            received=failed[0],
            expected="gates that hold",
            next_step="train a better model; --force ships this one, and says so in the artifact",
        )
    return run, result, (*reasons, *(f"gate {gate}" for gate in failed))
