"""What the probe of faithfulness is worth: right answers of real rows beside the same answers with one fact changed.

Facts come from the other rows. What the probe cannot see by its making is planted as well: a negation, two facts that
change places, a wrong fact that stands elsewhere in the context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kft.metrics.intervals import estimate
from kft.metrics.ranking import AUROC
from kft.metrics.support import NAME, NUMBER, WORD, Support, SupportedWord, support
from kft.records.faithfulness import Planted
from kft.suites.perturb_text import negate

SEEN, BLIND = (NUMBER, NAME, WORD), ("negation", "exchanged", "elsewhere")
ANY = "any"
"""One of those that are seen, drawn for each answer."""
FEWEST = 20
"""Answers with a fact of a kind, below which nothing is said of it."""


@dataclass(frozen=True, eq=False)
class FactSources:
    """Where planted facts come from.

    Attributes:
        facts: By kind, those of all answers, each once.
    """

    facts: dict[str, list[str]]

    @classmethod
    def of(cls, read: Sequence[Support]) -> FactSources:
        return cls(
            {kind: sorted({each.text for one in read for each in one.found if each.kind == kind}) for kind in SEEN}
        )


def plant(answer: str, context: str, kind: str, sources: FactSources, rng: np.random.Generator) -> str | None:
    """Returns an answer with one fact changed; None where it holds none of this kind.

    Args:
        answer: A right one.
        context: What it comes from.
        kind: One of ``SEEN`` and ``BLIND``.
        sources: Of all answers.
        rng: Random numbers.

    Example:
        >>> read = [support(text, "") for text in ("Ship 4 lamps.", "Ship 7 desks.")]
        >>> plant("Ship 4 lamps.", "Four lamps.", NUMBER, FactSources.of(read), np.random.default_rng(0))
        'Ship 7 lamps.'
    """
    found = support(answer, context).found
    if kind == "negation":
        turned = negate(answer, rng)
        return None if turned == answer else turned
    if kind == "exchanged":
        return _exchanged(answer, found, rng)
    if kind == "elsewhere":
        inside = FactSources.of([support(context, context)])
        kinds = [each for each in SEEN if _others(found, each, inside)]
        return _changed(answer, found, str(rng.choice(kinds)), inside, rng) if kinds else None
    return _changed(answer, found, kind, sources, rng)


def _others(found: Sequence[SupportedWord], kind: str, sources: FactSources) -> list[str]:
    """Returns the facts of a kind that the answer does not say, where it says one."""
    said = {each.text.casefold() for each in found}
    if not any(each.kind == kind for each in found):
        return []
    return [fact for fact in sources.facts[kind] if fact.casefold() not in said]


def _changed(
    answer: str, found: Sequence[SupportedWord], kind: str, sources: FactSources, rng: np.random.Generator
) -> str | None:
    others = _others(found, kind, sources)
    if not others:
        return None
    mine = [each for each in found if each.kind == kind and answer.startswith(each.text, each.start)]
    if not mine:
        return None
    place = mine[rng.integers(len(mine))]
    return answer[: place.start] + str(rng.choice(others)) + answer[place.start + len(place.text) :]


def _exchanged(answer: str, found: Sequence[SupportedWord], rng: np.random.Generator) -> str | None:
    """Returns an answer in which two facts of one kind have changed places."""
    for kind in rng.permutation(SEEN):
        mine = [each for each in found if each.kind == kind and answer.startswith(each.text, each.start)]
        if len({each.text for each in mine}) < 2:
            continue
        first = mine[rng.integers(len(mine))]
        second = [each for each in mine if each.text != first.text]
        one, two = sorted((first, second[rng.integers(len(second))]), key=lambda each: each.start)
        between = answer[one.start + len(one.text) : two.start]
        return answer[: one.start] + two.text + between + one.text + answer[two.start + len(two.text) :]
    return None


def measure_planted(
    answers: Sequence[str], contexts: Sequence[str], groups: np.ndarray | None = None, seed: int = 0
) -> tuple[Planted | None, tuple[Planted, ...]]:
    """Returns how well the probe tells planted answers from right ones: of any kind that is seen, and kind by kind.

    Args:
        answers: Right ones.
        contexts: What each comes from.
        groups: Examples of one group are resampled together.
        seed: Of what is planted.
    """
    right = [support(answer, context) for answer, context in zip(answers, contexts, strict=True)]
    sources, shares = FactSources.of(right), np.array([each.share for each in right])
    codes = (
        np.arange(len(answers)) if groups is None else np.unique(np.asarray(groups).astype(str), return_inverse=True)[1]
    )
    made: dict[str, np.ndarray] = {}
    for kind in (*SEEN, *BLIND):
        rng = np.random.default_rng([seed, len(made)])
        changed = [plant(a, c, kind, sources, rng) for a, c in zip(answers, contexts, strict=True)]
        made[kind] = np.array(
            [np.nan if new is None else support(new, c).share for new, c in zip(changed, contexts, strict=True)]
        )
    stacked = np.stack([made[kind] for kind in SEEN])
    made[ANY] = _one_of_each(stacked, np.random.default_rng([seed, len(made)]))
    judged = {kind: _judge(kind, shares, scores, codes) for kind, scores in made.items()}
    of_kinds = (judged[kind] for kind in (*SEEN, *BLIND))
    return judged[ANY], tuple(each for each in of_kinds if each is not None)


def _one_of_each(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns of each column one of the rows that are numbers, drawn at random."""
    drawn = np.where(np.isnan(scores), -1.0, rng.random(scores.shape))
    return scores[drawn.argmax(axis=0), np.arange(scores.shape[1])]


def _judge(kind: str, right: np.ndarray, planted: np.ndarray, codes: np.ndarray) -> Planted | None:
    (rows,) = np.nonzero(~np.isnan(planted))
    if len(rows) < FEWEST:
        return None
    marks = np.repeat([0, 1], len(rows))
    scores, groups = np.concatenate([right[rows], planted[rows]]), np.tile(codes[rows], 2)
    return Planted(kind, len(rows), estimate(AUROC, marks, scores, groups=groups), kind in (*SEEN, ANY))
