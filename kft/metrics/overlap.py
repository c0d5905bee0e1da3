"""How much of the right text stands in what was written: ROUGE-L and chrF, by packages of the extra ``language``."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import regex

from kft import extras

PACKAGES = {"rouge_l": "rouge_score", "chrf": "sacrebleu"}
"""By metric, the module that computes it."""
_EDGE = regex.compile(r"\b", regex.WORD | regex.V1)


class _Words:
    """Words of any script by Unicode's boundaries (UAX #29); rouge-score's own drops what is not a to z or a digit."""

    def tokenize(self, text: str) -> list[str]:
        return [part for part in _EDGE.split(text.lower()) if any(map(str.isalnum, part))]


def missing() -> list[str]:
    """Returns the metrics that cannot be computed here, because their package is not installed."""
    return [name for name, module in PACKAGES.items() if extras.missing([module])]


def require_overlap(gates: Iterable[str]) -> None:
    """Refuses gates on what cannot be computed here.

    Raises:
        UsageError: A package is not installed.
    """
    for gate in sorted(set(gates) & set(missing())):
        raise extras.lacking(
            "language",
            f"a gate asks for {gate}, which cannot be computed here",
            f"{PACKAGES[gate]} is not installed",
            where=f"evaluate.gates.{gate}",
        )


def rouge_l(truth: str, said: str) -> float:
    """Returns the F1 of the longest common subsequence of words (Lin, 2004), from 0 to 1.

    Example:
        >>> rouge_l("ein grüner Apfel", "ein Apfel"), rouge_l("красный дом", "красный дом"), rouge_l("\u2192", "\u2192")
        (0.8, 1.0, 1.0)
        >>> round(rouge_l("\u6211\u7684\u5361", "\u4f60\u7684\u5361"), 2)
        0.67
    """
    return float(truth.strip() == said.strip() or _rouge().score(truth, said)["rougeL"].fmeasure)


def chrf(truth: str, said: str) -> float:
    """Returns chrF2 of one answer: the F2 of its n-grams of 1 to 6 characters (Popović, 2015), from 0 to 1.

    Example:
        >>> chrf("дом", "дом"), chrf("abc", "xyz")
        (1.0, 0.0)
    """
    return float(_chrf().sentence_score(said, [truth]).score) / 100


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Words())


@cache
def _chrf() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()
