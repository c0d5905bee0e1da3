"""A figure with its 95 % interval, and what metrics are called, for people."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval.

    Example:
        >>> print(Estimate(0.787, 0.759, 0.814))
        0.787 [0.759, 0.814]
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = self.shown
        return f"{value} [{low}, {high}]"

    @property
    def shown(self) -> list[str]:
        """Value, lower and upper end, as people read them."""
        return figures(self.value, self.low, self.high)

    def __neg__(self) -> Estimate:
        """The same figure where less is better, so that more is.

        Example:
            >>> print(-Estimate(0.1, -0.2, 0.3))
            -0.100 [-0.300, 0.200]
        """
        return Estimate(-self.value, -self.high, -self.low)


def figures(*values: float, sign: str = "", digits: int = 3) -> list[str]:
    """Returns figures that stand together: with digits behind the point, or where all would read 0, digits that count.

    Errors of labels of 1e-7 are small, and none of them is 0.

    Args:
        values: In the unit of the labels, or shares.
        sign: ``+`` where more and less is told.
        digits: How many.

    Example:
        >>> figures(0.78712, 0.0002), figures(2.5e-8, 0), figures(-0.01, sign="+"), figures(0)
        (['0.787', '0.000'], ['2.5e-08', '0'], ['-0.010'], ['0.000'])
    """
    largest = max(map(abs, values))
    kind = "f" if largest == 0 or largest >= 0.5 * 10.0**-digits else "g"
    return [f"{value:{sign}.{digits}{kind}}" for value in values]


def figure(value: float) -> str:
    """Returns a figure as ``figures`` does."""
    return figures(value)[0]


def widen(difference: Estimate, looks: int) -> Estimate:
    """Returns a 95 % interval that holds together with others like it: Bonferroni's level for so many.

    Each half is stretched as that of a normal distribution would be. Without it, the best of several approaches, each
    at its best epoch, seems to lead by what is luck on these rows (docs/compare.md has a measured case).

    Args:
        difference: With its own 95 % interval.
        looks: How many differences are looked at together.

    Example:
        >>> wider = widen(Estimate(0.05, 0.01, 0.09), 8)
        >>> round(wider.low, 3), round(wider.high, 3)
        (-0.006, 0.106)
    """
    normal = NormalDist()
    stretch = normal.inv_cdf(1 - 0.025 / max(looks, 1)) / normal.inv_cdf(0.975)
    value = difference.value
    return Estimate(value, value - stretch * (value - difference.low), value + stretch * (difference.high - value))


TITLES = {
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "entity_f1": "entity F1",
    "log_loss": "log loss",
    "soft_accuracy": "soft accuracy",
    "soft_log_loss": "soft log loss",
    "soft_brier": "soft Brier",
    "soft_ece": "soft ECE",
    "ece": "ECE",
    "mae": "MAE",
    "rmse": "RMSE",
    "pearson_r": "Pearson r",
    "r2": "R²",
    "recall_at_1": "recall@1",
    "recall_at_10": "recall@10",
    "mrr": "MRR",
    "json_valid": "valid JSON",
    "token_f1": "token F1",
    "slot_f1": "slot F1",
    "answer_tokens": "tokens of an answer",
    "rouge_l": "ROUGE-L",
    "chrf": "chrF",
    "repeated_4_grams": "repeated 4-grams",
    "ndcg_at_10": "nDCG@10",
}


def metric_title(name: str) -> str:
    """Returns a metric's name as people write it.

    Example:
        >>> metric_title("macro_f1"), metric_title("average_precision")
        ('macro F1', 'average precision')
    """
    return TITLES.get(name, name.replace("_", " "))


def percent(share: float, digits: int = 1) -> str:
    """Returns a share as percent; what is not none and not all does not read so.

    Args:
        share: From 0 to 1.
        digits: Behind the point; where the last of one is 0, it is left out.

    Example:
        >>> percent(0.8879), percent(1), percent(0.0002), percent(0.9999), percent(0.004, 0)
        ('88.8 %', '100 %', 'under 0.1 %', 'over 99.9 %', 'under 1 %')
    """
    least, value = 10.0**-digits, 100 * share
    if 0 < value < least:
        return f"under {least:.{digits}f} %"
    if 100 - least < value < 100:
        return f"over {100 - least:.{digits}f} %"
    return f"{value:.{digits}f}".removesuffix(".0") + " %"


def shown_value(value: float | None) -> str:
    """Returns what a gate compared, for people.

    Example:
        >>> shown_value(0.81234), shown_value(None)
        ('0.8123', 'not measured')
    """
    return "not measured" if value is None else figures(value, digits=4)[0]
