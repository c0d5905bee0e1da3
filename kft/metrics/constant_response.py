"""The best single response, written for every prompt: what a model that reads its prompts has to beat."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.metrics.language import BESIDE_CONSTANT, as_fields, token_f1
from kft.metrics.slots import shared_items

MOST = 200
"""Distinct responses, and responses, that are weighed against each other; of more, evenly drawn ones."""


def constant_responses(responses: Sequence[str]) -> dict[str, str]:
    """Returns by each metric that a model is held against the constant by, the one that is best by it."""
    return {metric: constant_response(responses, metric) for metric in BESIDE_CONSTANT}


def constant_response(responses: Sequence[str], metric: str = "field_accuracy") -> str:
    """Returns the one text that is nearest to all responses.

    Where all are JSON objects, each field has its most frequent value: no other object has more fields right. By slot
    F1 it holds those items that most responses hold, as many as raise F1: no other object has a higher one. Else it is
    the response with the highest token F1 to the others on average; of equal ones the most frequent.

    Args:
        responses: Of the training split, at least one.
        metric: By which it is to be the best, where all are JSON objects: ``slot_f1``, or any other for fields.

    Example:
        >>> constant_response(['{"a": 1, "b": 2}', '{"a": 1, "b": 3}', '{"a": 4, "b": 3}'])
        '{"a": 1, "b": 3}'
        >>> constant_response(['{"a": [1, 2]}', '{"a": [1]}', '{"a": [3]}', '{"a": [1]}'], "slot_f1")
        '{"a": [1]}'
        >>> constant_response(["a red house", "a red car", "no"])
        'a red house'
    """
    fields = [each for text in responses if (each := as_fields(text)) is not None]
    if len(fields) < len(responses):
        candidates = [text for text, _ in Counter(responses).most_common()]
        others = _evenly(responses)
        return max(_evenly(candidates), key=lambda text: sum(token_f1(each, text) for each in others))
    if metric == "slot_f1":
        return json.dumps(_best_slots(fields), ensure_ascii=False)
    seen: dict[str, Counter[str]] = {}
    for each in fields:
        for key, value in each.items():
            seen.setdefault(key, Counter())[json.dumps(value)] += 1
    found = {key: json.loads(counts.most_common(1)[0][0]) for key, counts in seen.items()}
    return json.dumps(found, ensure_ascii=False)


def _evenly(texts: Sequence[str]) -> Sequence[str]:
    """Returns the first and others as far apart as they have to be, at most ``MOST``."""
    return texts[:: -(-len(texts) // MOST)]


def _best_slots(fields: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the object of the highest slot F1.

    An item raises F1 if it is found in more than half of F1 of the rows, so F1 follows from what is kept and what is
    kept from F1, which rises until both fit (Dinkelbach, 1967).
    """
    best: dict[str, Any] = {}
    reached = 0.0
    while True:
        found = _held_by_more(fields, len(fields) * reached / 2)
        both, right, given = np.sum([shared_items(each, found) for each in fields], axis=0)
        f1 = 2 * both / max(right + given, 1)
        if f1 <= reached:
            return best or found
        best, reached = found, f1


def _held_by_more(values: Sequence[Any], rows: float) -> Any:
    """Returns the value that holds what more than so many of these values hold; none of a kind is an empty one."""
    objects = [each for each in values if isinstance(each, dict)]
    if objects:
        keys = dict.fromkeys(key for each in objects for key in each)
        return {key: _held_by_more([each[key] for each in objects if key in each], rows) for key in keys}
    lists = [each for each in values if isinstance(each, list)]
    if lists:
        copies = [Counter(map(json.dumps, each)).items() for each in lists]
        held = Counter((value, copy) for each in copies for value, times in each for copy in range(times))
        return [json.loads(value) for (value, _), times in held.most_common() if times > rows]
    said = Counter(json.dumps(each) for each in values if each not in (None, ""))
    value, times = said.most_common(1)[0] if said else ("null", 0)
    return json.loads(value) if times > rows else None
