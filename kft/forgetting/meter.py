"""Forgetting: how much of what the pretrained backbone could do is left after fine-tuning.

A network that learns a second task may lose the first (McCloskey and Cohen, 1989); fine-tuning at too high a rate does
so within an epoch (Howard and Ruder, 2018; Mosbach et al., 2021). The ability that is looked at needs no head: examples
about one thing lie beside each other among the backbone's pooled vectors. It is judged by the nearest neighbours, which
see rotation and scale of the vectors as no change, as a similarity of representations should (Kornblith et al., 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.metrics.intervals import Estimate, estimate_mean, ratio_of_means
from kft.metrics.neighbours import nearest_first, unit_rows

VOTERS = 5
"""Neighbours that vote on what an example is about."""
NEIGHBOURS = 10
"""Neighbours whose staying is counted where nobody said what examples are about."""
LOW, LOW_NEIGHBOURS = 0.9, 0.5
"""A warning comes where the whole interval of what is retained lies below; neighbours change sooner than topics."""
LEAST = 0.1
"""By so much the pretrained backbone has to be above chance, or there is nothing that could be forgotten."""
ALL = Estimate(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Retained:
    """What one set of weights keeps.

    Attributes:
        weights: Which, for people.
        ability: The tuned backbone's figure.
        retained: The share of the pretrained backbone's, both less what chance finds: 1 keeps all, 0 nothing.
    """

    weights: str
    ability: Estimate
    retained: Estimate


@dataclass(frozen=True)
class ForgettingResult:
    """What a run's backbone keeps.

    Attributes:
        name: Of the retain set.
        source: Where that comes from.
        n: Its examples.
        metric: What the figures are.
        pretrained: The pretrained backbone's figure.
        kept: The weights that are the run's.
        dropped: Those that the last phase ended with, where a start that trained nothing was kept instead.
        warns_below: A warning comes where the whole interval of what is retained lies below.
    """

    name: str
    source: str
    n: int
    metric: str
    pretrained: Estimate
    kept: Retained
    dropped: Retained | None = None
    warns_below: float = LOW

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know, in words; nothing where little was forgotten, or it may be chance."""
        both = (self._warning(one) for one in (self.kept, self.dropped) if one is not None)
        return tuple(warning for warning in both if warning)

    @property
    def kept_warning(self) -> str:
        """Likewise of the weights that were kept alone; empty where there is none."""
        return self._warning(self.kept)

    def _warning(self, one: Retained) -> str:
        return _in_words(one) if one.retained.high < self.warns_below else ""

    @property
    def lines(self) -> tuple[str, ...]:
        """What is retained, and the warnings, for people."""
        kept = self.kept
        retained = (
            f"retained {kept.retained} ({kept.weights}; {self.name}, {self.n:,} examples: "
            f"{self.pretrained.value:.3f} before, {kept.ability.value:.3f} now)"
        )
        return retained, *self.warnings

    def as_dict(self) -> dict[str, Any]:
        """Returns its part of metrics.json."""
        dropped = self.dropped
        return {
            "retain": {"name": self.name, "source": self.source, "n": self.n},
            "metric": self.metric,
            "weights": self.kept.weights,
            "pretrained": self.pretrained.as_dict(),
            "tuned": self.kept.ability.as_dict(),
            "retained": self.kept.retained.as_dict(),
            "not_kept": dropped
            and {
                "weights": dropped.weights,
                "tuned": dropped.ability.as_dict(),
                "retained": dropped.retained.as_dict(),
            },
            "warns_below": self.warns_below,
            "warning": "; ".join(self.warnings) or None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ForgettingResult:
        """Reads what ``as_dict`` wrote."""

        def retained(part: Mapping[str, Any]) -> Retained:
            return Retained(part["weights"], Estimate(**part["tuned"]), Estimate(**part["retained"]))

        return cls(
            **values["retain"],
            metric=values["metric"],
            pretrained=Estimate(**values["pretrained"]),
            kept=retained(values),
            dropped=retained(values["not_kept"]) if values["not_kept"] else None,
            warns_below=values["warns_below"],
        )


def _in_words(one: Retained) -> str:
    share = f"{one.retained.value:.0%} [{one.retained.low:.0%}, {one.retained.high:.0%}]"
    return (
        f"{one.weights}: {share} of what the pretrained model knew is left, the rest is forgotten; "
        "a lower lr, fewer epochs, fewer blocks or lora keep more"
    )


@dataclass(frozen=True)
class Meter:
    """Measures tuned backbones against the pretrained one.

    Attributes:
        before: ``float[n, width]``: the retain set as the pretrained backbone sees it.
        topics: ``int[n]``: what each example is about; None where nobody said.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> topics = np.arange(120) % 4
        >>> before = np.eye(4)[topics] + rng.normal(0, 0.2, (120, 4))
        >>> meter = Meter(before, topics)
        >>> print(meter.measure(before @ np.linalg.qr(rng.normal(size=(4, 4)))[0], "turned").retained)
        1.000 [1.000, 1.000]
        >>> meter.measure(rng.normal(size=(120, 4)), "scrambled").retained.high < 0.3
        True
    """

    before: np.ndarray
    topics: np.ndarray | None

    @property
    def metric(self) -> str:
        """What the figures are, in words."""
        if self.topics is None:
            return f"share of the {NEIGHBOURS} nearest neighbours that stay (cosine)"
        return f"accuracy of the {VOTERS} nearest neighbours, leaving each example out (cosine)"

    @property
    def chance(self) -> float:
        """What vectors that mean nothing reach at best: naming one topic always, or neighbours drawn at random."""
        if self.topics is None:
            return NEIGHBOURS / (len(self.before) - 1)
        return float(np.bincount(self.topics).max() / len(self.topics))

    @property
    def warns_below(self) -> float:
        """What is retained of this figure by tuning at a sane rate lies above."""
        return LOW_NEIGHBOURS if self.topics is None else LOW

    @property
    def pretrained(self) -> Estimate:
        """The pretrained backbone's figure."""
        return estimate_mean(self._figures(self.before))

    @property
    def why_not(self) -> str:
        """Why nothing can be said: the pretrained backbone itself does not know the examples. Empty where it does."""
        found = self.pretrained
        if found.low - self.chance > LEAST:
            return ""
        return f"the pretrained backbone does not tell these examples apart: {found}, by chance {self.chance:.3f}"

    def measure(self, after: np.ndarray, weights: str) -> Retained:
        """Returns what is left of the ability.

        Args:
            after: ``float[n, width]``: the retain set as the tuned backbone sees it.
            weights: What the tuned weights are called.
        """
        tuned, pretrained = self._figures(after), self._figures(self.before)
        retained = ratio_of_means(tuned - self.chance, pretrained - self.chance)
        return Retained(weights, estimate_mean(tuned), retained)

    def unchanged(self, weights: str) -> Retained:
        """Returns the same of a backbone that did not move."""
        return Retained(weights, self.pretrained, ALL)

    def _figures(self, vectors: np.ndarray) -> np.ndarray:
        """Returns ``float[n]``: how well each example fares."""
        if self.topics is None:
            before, after = nearest(self.before, NEIGHBOURS), nearest(vectors, NEIGHBOURS)
            return (before[:, :, None] == after[:, None, :]).any(axis=2).mean(axis=1)
        votes = np.eye(self.topics.max() + 1)[self.topics[nearest(vectors, VOTERS)]]  # [n, voters, topics]
        nearer_first = 1 + np.arange(VOTERS, 0, -1)[:, None] / 1000  # of topics with as many votes, the nearer one
        return ((votes * nearer_first).sum(axis=1).argmax(axis=1) == self.topics).astype(np.float64)


def nearest(vectors: np.ndarray, k: int) -> np.ndarray:
    """Returns ``int[n, k]``: the most similar other examples by cosine, nearest first.

    Example:
        >>> nearest(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 1).ravel().tolist()
        [1, 0, 1]
    """
    units = unit_rows(np.asarray(vectors, np.float64))
    similar = units @ units.T
    np.fill_diagonal(similar, -np.inf)
    return nearest_first(similar, k)
