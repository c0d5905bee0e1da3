"""What is said where a model is held against one response for every prompt."""

from __future__ import annotations

from collections.abc import Mapping

from kft.records.estimate import Estimate, metric_title


def not_beaten(gains: Mapping[str, Estimate]) -> list[str]:
    """Returns a sentence for each metric in which one response for every prompt is not surely beaten.

    Args:
        gains: By metric, of which more is better: the model less the constant response, paired.

    Example:
        >>> not_beaten({"token_f1": Estimate(0.1, 0.05, 0.2), "field_accuracy": Estimate(-0.1, -0.2, -0.05)})
        ['field accuracy: the best single response of train, whatever the prompt, is better than this model, by more
        than chance']
    """
    return [
        f"{metric_title(name)}: the best single response of train, whatever the prompt, {_stands(gain)}"
        for name, gain in gains.items()
        if gain.low <= 0
    ]


def _stands(gain: Estimate) -> str:
    if gain.value > 0:
        return "is behind this model, though that may be chance"
    if gain.value == 0:
        return "does as well as this model"
    return "is better than this model, " + ("by more than chance" if gain.high < 0 else "though that may be chance")
