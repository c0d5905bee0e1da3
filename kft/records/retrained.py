"""retrain.json: a challenger against the champion it was retrained from; retraining.json: what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from kft.records.estimate import Estimate
from kft.records.fields import absent

Start = Literal["backbone", "warm"]
STARTS: tuple[Start, ...] = get_args(Start)
"""Where a challenger's weights begin: as pretrained, or as the champion's; the cheaper first: features are stored."""


@dataclass(frozen=True)
class RetrainingRequest:
    """retraining.json: what a retraining was asked for; who asks for the same again goes on with it.

    Attributes:
        champion: Its run folder.
        checkpoint: Hash of its best checkpoint.
        file: The file of new rows, as it was named.
        file_hash: sha256 of what was in it.
        start: ``backbone``, ``warm`` or ``auto``.
        new_labels: Whether labels may come that the champion does not know.
        rounds: Where the new rows lie since, and those of earlier rounds before them.
    """

    champion: str
    checkpoint: str
    file: str
    file_hash: str
    start: str
    new_labels: bool
    rounds: tuple[str, ...] = ()


@dataclass(frozen=True)
class NewRows:
    """What became of the new rows; see ``kft.split.added.AddedRound``."""

    name: str
    file: str
    rows: int
    train: int
    valid: int
    test: int
    unlabelled: int
    copies: int
    relabelled: int
    contradictory: int
    of_test: int
    beside: int
    new_labels: tuple[str, ...] = absent(())


@dataclass(frozen=True)
class ChallengerCandidate:
    """One of the runs that a challenger was chosen from.

    Attributes:
        start: Where its weights began.
        run: Its folder.
        phase: That was kept.
        valid: What it reached on valid, by name.
    """

    start: Start
    run: str
    phase: str
    valid: Mapping[str, float]


@dataclass(frozen=True)
class Duel:
    """Champion and challenger on the same rows.

    Attributes:
        part: ``old``: the champion's own test split; ``new``: the new rows that were set aside.
        n: Rows.
        metric: The task's first.
        higher_is_better: Whether more of it is.
        champion: What the champion reaches.
        challenger: What the challenger reaches.
        difference: Challenger less champion, paired.
        fixed: Ids that the champion gets wrong and the challenger right, where a row has one class.
        broke: Ids that the champion gets right and the challenger wrong.
    """

    part: Literal["old", "new"]
    n: int
    metric: str
    higher_is_better: bool
    champion: Estimate
    challenger: Estimate
    difference: Estimate
    fixed: tuple[str, ...] = ()
    broke: tuple[str, ...] = ()

    @property
    def gain(self) -> Estimate:
        """The difference such that above 0 the challenger is better."""
        return self.difference if self.higher_is_better else -self.difference


@dataclass(frozen=True)
class EdgeDuel:
    """Champion and challenger on the same suite of edge cases."""

    suite: str
    n: int
    champion: int
    challenger: int
    fixed: tuple[str, ...]
    broke: tuple[str, ...]


@dataclass(frozen=True)
class Forgot:
    """What each keeps of what the pretrained backbone could do; None where it was not measured."""

    champion: Estimate | None
    challenger: Estimate | None


@dataclass(frozen=True)
class Ruling:
    """Whether the challenger may take the champion's place.

    Attributes:
        passes: Whether it may.
        tolerance: By how much it may be worse on old rows, in units of the metric.
        reasons: Why not, one sentence each; or why, in one.
    """

    passes: bool
    tolerance: float
    reasons: tuple[str, ...]

    @property
    def why(self) -> str:
        return "; ".join(self.reasons)


@dataclass(frozen=True)
class Retraining:
    """retrain.json, in the challenger's run folder.

    Attributes:
        champion: Its run folder.
        champion_checkpoint: Hash of its best checkpoint.
        challenger: Its run folder.
        challenger_checkpoint: Hash of its best checkpoint.
        rows: What became of the new rows.
        start: Where the challenger's weights began.
        start_why: Why there.
        candidates: What was trained, in order.
        old: On the champion's test split.
        new: On new rows that were set aside.
        edge_cases: On the recipe's suite; None without one, or where the two were asked different cases.
        forgetting: Where the recipe measures it.
        failed_gates: Gates of the recipe that the challenger fails, and checks of the suite with too few passes.
        ruling: Whether it may be promoted.
    """

    champion: str
    champion_checkpoint: str
    challenger: str
    challenger_checkpoint: str
    rows: NewRows
    start: Start
    start_why: str
    candidates: tuple[ChallengerCandidate, ...]
    old: Duel
    new: Duel
    failed_gates: tuple[str, ...]
    ruling: Ruling
    edge_cases: EdgeDuel | None = absent()
    forgetting: Forgot | None = absent()
