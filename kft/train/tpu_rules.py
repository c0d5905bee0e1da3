"""What a TPU asks for, and the rule that is checked without loading anything."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TpuCheck:
    """One thing a TPU asks for.

    Attributes:
        name: What is asked.
        ok: Whether the recipe meets it.
        found: What was found.
        advice: What to change; empty when it is met.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""


def check_batch(batch_size: int, cores: int) -> TpuCheck:
    """Checks that the cores of a TPU slice share a batch evenly.

    Args:
        batch_size: ``train.batch_size``, of all cores together.
        cores: Of the slice.

    Example:
        >>> check = check_batch(12, cores=8)
        >>> check.found, check.advice
        ('train.batch_size 12 on 8 cores', '--set train.batch_size=16')
    """
    parts = -(-batch_size // cores)
    ok = parts * cores == batch_size
    return TpuCheck(
        name="the batch divides by the cores",
        ok=ok,
        found=f"train.batch_size {batch_size} on {cores} cores",
        advice="" if ok else f"--set train.batch_size={parts * cores}",
    )


def check_precision(precision: str) -> list[TpuCheck]:
    """Checks what frozen blocks are computed in; nothing where that is no question.

    Args:
        precision: ``features.precision``.

    Example:
        >>> [check.advice for check in check_precision("int8")], check_precision("float32")
        (['--set features.precision=float32'], [])
    """
    if precision == "float32":
        return []
    found = f"features.precision {precision}, which is computed on a CPU"
    return [TpuCheck("frozen blocks run on the TPU", False, found, "--set features.precision=float32")]
