"""Rows that a person may look at: those of one call that speak most for a change. None is kept behind it.

A row speaks for a change as its cells do: how much more often each gauge that raised an alarm has come to lie there
than among the test rows. Rows are shown where somebody has allowed it, without personal data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.personal import redact
from kft.monitor.explain import amount, before_of
from kft.monitor.gauges.texts import SCRIPTS
from kft.monitor.seen import Seen
from kft.monitor.watch import Watch, Watched, open_window
from kft.monitor.wealth import last_began
from kft.recipe.personal_kinds import PERSONAL_KINDS
from kft.records.sliced import ExampleSeen, ExamplesSeen, SlicesSeen

MOST_ROWS = 4_000
"""Of a call that examples are chosen from, drawn at random."""
MOST_CHARACTERS = 600
"""Of a text."""
MOST_GAUGES = 5
"""That raised an alarm, by which rows are chosen: those with the most evidence."""
MOST_REASONS = 2
NOT_ALLOWED = "no examples kept, export with --keep-examples; or add --keep-examples 6 to this command"


@dataclass
class Pool:
    """Rows of one call that examples are chosen from.

    Attributes:
        wanted: How many are to be shown; 0: no row is collected.
        refused: Why none is.
    """

    wanted: int
    refused: str = ""
    _parts: list[tuple[Seen, np.ndarray, np.ndarray]] = field(default_factory=list)
    _given: list[tuple[Any, Mapping[str, Any]]] = field(default_factory=list)
    _rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, keys: np.ndarray, seen: Seen, inputs: Sequence[Any] | None, answers: Sequence[Any] | None) -> None:
        """Adds rows.

        Args:
            keys: ``int64[rows]``: the window of each.
            seen: What is seen of them.
            inputs: Raw; None where there are none.
            answers: As they were given; None where a row has none.
        """
        if not self.wanted:
            return
        if inputs is None or answers is None:
            self.refused = "a table of answers holds no inputs: hand over the inputs"
            return
        there = np.flatnonzero([answer is not None for answer in answers])
        self._parts.append((seen.take(there), keys[there], self._rng.random(len(there))))
        self._given += [(inputs[at], answers[at]) for at in there.tolist()]
        if len(self._given) > 2 * MOST_ROWS:
            self._thin()

    def _thin(self) -> None:
        seen, keys, drawn = self._joined()
        kept = np.sort(np.argsort(drawn, kind="stable")[:MOST_ROWS])
        self._parts = [(seen.take(kept), keys[kept], drawn[kept])]
        self._given = [self._given[at] for at in kept.tolist()]

    def _joined(self) -> tuple[Seen, np.ndarray, np.ndarray]:
        seen, keys, drawn = zip(*self._parts, strict=True)
        return Seen.join(seen), np.concatenate(keys), np.concatenate(drawn)

    def choose(self, watch: Watch, since: str, slices: SlicesSeen | None) -> ExamplesSeen:
        """Returns the rows that speak most for a change; where no alarm was raised, those that lie farthest off.

        Args:
            watch: After all rows.
            since: The window from which on rows are chosen.
            slices: Those that moved are named where a row lies in one.
        """
        if self.refused or not self.wanted:
            return ExamplesSeen(refused=self.refused or NOT_ALLOWED)
        if not self._given:
            return ExamplesSeen(refused="no row of this call is new")
        seen, keys, _ = self._joined()
        opened = open_window(watch)
        gauges = watch.gauges if opened is None else opened[1]
        alarmed = sorted((each for each in gauges.values() if each.alarm), key=lambda each: -each.wealth.log)
        names = {key: watch.cut.name(key) for key in np.unique(keys).tolist()}
        first = next((key for key, name in sorted(names.items()) if name == since), min(names))
        weights = [weigh(each, seen) for each in alarmed[:MOST_GAUGES]]
        far = np.nan_to_num(seen.values.get("distance", np.zeros(len(seen))))
        sure = np.zeros(len(seen)) if seen.confidence is None else np.nan_to_num(seen.confidence)
        whole = np.sum([np.zeros(len(seen)), *weights], axis=0)
        order = [at for at in np.lexsort((sure, -far, -np.round(whole, 6))).tolist() if keys[at] >= first]
        within = _in_moved(watch, seen, slices)
        found: dict[int, ExampleSeen] = {}
        for at in order:
            if len(found) == self.wanted:
                break
            if (key := int(seen.keys[at])) in found:
                continue
            parts = sorted(zip(weights, alarmed, strict=False), key=lambda pair: -pair[0][at])
            said = [_why(each, seen, at, watch) for weight, each in parts if weight[at] > 0][:MOST_REASONS]
            reasons = (*said, *(name for name, rows in within if rows[at]))
            given, answer = self._given[at]
            found[key] = example(given, answer, names[int(keys[at])], reasons or _far(seen, at, watch))
        by = f"what speaks most for the change: {', '.join(each.gauge.name for each in alarmed[:MOST_GAUGES])}"
        return ExamplesSeen(
            by=by if alarmed else "what lies farthest from all that is known", came=tuple(found.values())
        )


def weigh(each: Watched, seen: Seen) -> np.ndarray:
    """Returns how much each row speaks for what a gauge's bets say, in nats; 0 where the gauge does not apply to it."""
    values = _values(each, seen)
    found = np.zeros(len(seen))
    if values is None:
        return found
    came = each.wealth.counts - last_began(each.wealth)
    usual = each.edges.gaps / each.edges.gaps.sum()
    likelier = np.log((came + usual * len(usual)) / (came.sum() + len(usual)) / usual)
    known = ~np.isnan(values)
    found[known] = likelier[each.edges.place(values[known], np.random.default_rng(0))]
    return found


def _values(each: Watched, seen: Seen) -> np.ndarray | None:
    if each.learned is None:
        return seen.values.get(each.gauge.name)
    return None if seen.vectors is None else each.learned.score(seen.vectors)


def _why(each: Watched, seen: Seen, at: int, watch: Watch) -> str:
    """Says what a row has of a gauge, beside what the test rows have on average."""
    values, gauge = _values(each, seen), each.gauge
    assert values is not None
    if gauge.codes:
        names = watch.reference.labels if gauge.name == "class" else SCRIPTS
        return f"{gauge.name} {names[int(values[at])]}"
    before = before_of(watch.reference, each)
    assert before is not None
    return f"{gauge.name} {amount(float(values[at]))}, test rows {amount(before.mean)}"


def _far(seen: Seen, at: int, watch: Watch) -> tuple[str, ...]:
    before = watch.reference.moments.get("distance")
    if before is None or "distance" not in seen.values:
        return ()
    return (f"distance {amount(float(seen.values['distance'][at]))}, test rows {amount(before.mean)}",)


def _in_moved(watch: Watch, seen: Seen, slices: SlicesSeen | None) -> list[tuple[str, np.ndarray]]:
    """Returns slices that have grown, with the rows that lie in them; those of columns are not looked at."""
    grown = {(each.by, each.value) for each in slices.every if each.share.low > 0} if slices is not None else set()
    found = []
    for way in () if watch.reference.slices is None else watch.reference.slices.every:
        if way.gauge in seen.values and any((way.by, name) in grown for name in way.names):
            places = way.place(seen.values[way.gauge])
            found += [
                (f"{way.by} {name}", places == at) for at, name in enumerate(way.names) if (way.by, name) in grown
            ]
    return found


def example(given: Any, answer: Mapping[str, Any], window: str = "", why: Sequence[str] = ()) -> ExampleSeen:
    """Returns a row as it may be shown.

    Args:
        given: A text, several, or the path of an image; what a server keeps of an image has nothing to show.
        answer: As it was given.
        window: Into which it fell.
        why: What it has that speaks for a change.
    """
    file = text = ""
    if isinstance(given, Path):
        file = str(given)
    elif not isinstance(given, Mapping):
        parts = (given,) if isinstance(given, str) else tuple(map(str, given))
        # A few characters more are looked at, so that none is cut in the middle of what should be hidden.
        texts = [redact(part[: 4 * MOST_CHARACTERS], PERSONAL_KINDS)[:MOST_CHARACTERS] for part in parts]
        text = " | ".join(texts)
    sure = answer.get("confidence")
    return ExampleSeen(text, file, say(answer), None if sure is None else round(float(sure), 4), window, tuple(why))


def say(answer: Mapping[str, Any]) -> str:
    """Returns an answer in a few words.

    Example:
        >>> say({"label": "good", "confidence": 0.9}), say({"labels": ["a", "b"]}), say({"spans": [{"label": "name"}]})
        ('good', 'a, b', '1 span: name')
    """
    if "label" in answer:
        return str(answer["label"])
    if "labels" in answer:
        return ", ".join(map(str, answer["labels"])) or "no label"
    if "spans" in answer:
        kinds = dict.fromkeys(str(span["label"]) for span in answer["spans"])
        count = len(answer["spans"])
        return f"{count:,} span{'s' if count != 1 else ''}" + (f": {', '.join(kinds)}" if kinds else "")
    return amount(float(answer["value"])) if "value" in answer else ""


def of_test(lines: Iterable[Mapping[str, Any]], most: int = 3) -> tuple[ExampleSeen, ...]:
    """Returns test rows that an artifact carries, for comparison; texts alone.

    Args:
        lines: Of its examples.jsonl.
        most: How many.
    """
    texts = (line for line in lines if not isinstance(line["input"], Mapping))
    return tuple(example(line["input"], line["answer"]) for line, _ in zip(texts, range(most), strict=False))
