"""Facts that are planted in right answers: seen, or not by the probe's making."""

from __future__ import annotations

import numpy as np
import pytest

from kft.metrics.support import NAME, NUMBER, WORD, support
from kft.suites.planted import BLIND, SEEN, FactSources, measure_planted, plant

ITEMS = ("lamps", "desks", "chairs", "shelves", "mirrors", "sofas")
PLACES = ("Oslo", "Bergen", "Lima", "Quito", "Rome")
ROWS = [(n, item, place) for n, item in enumerate(ITEMS, 13) for place in PLACES]
CONTEXTS = [
    f"Dear all, we have {n} {item} that will go to {place} in week {n + 40}. Regards, Ann" for n, item, place in ROWS
]
ANSWERS = [f"We have {n} {item} for {place}." for n, item, place in ROWS]


def test_what_is_seen_is_told_apart_and_what_is_not_is_said() -> None:
    every, kinds = measure_planted(ANSWERS, CONTEXTS)
    assert every is not None and every.n == len(ROWS) and every.auroc.value >= 0.99 and every.auroc.low >= 0.9
    assert [each.kind for each in kinds] == [*SEEN, *(kind for kind in BLIND if kind != "exchanged")]
    assert all((each.auroc.value >= 0.95) == each.seen for each in kinds)
    assert all(each.auroc.value == 0.5 for each in kinds if each.kind == "negation")
    assert measure_planted(ANSWERS[:19], CONTEXTS[:19]) == (None, ())  # too few to say anything


@pytest.mark.parametrize("kind", SEEN)
def test_one_fact_is_changed_and_nothing_else(kind: str) -> None:
    sources = FactSources.of([support(answer, context) for answer, context in zip(ANSWERS, CONTEXTS, strict=True)])
    for answer, context in zip(ANSWERS, CONTEXTS, strict=True):
        changed = plant(answer, context, kind, sources, np.random.default_rng(1))
        assert changed is not None
        apart = [(was, now) for was, now in zip(answer.split(), changed.split(), strict=True) if was != now]
        assert len(apart) == 1 and apart[0][1].strip(".") in sources.facts[kind]
    assert {NUMBER: "13", NAME: "Oslo", WORD: "lamps"}[kind] in sources.facts[kind]
    assert plant("Yes.", CONTEXTS[0], kind, sources, np.random.default_rng(1)) is None
