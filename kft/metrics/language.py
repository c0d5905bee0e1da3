"""Metrics of written answers: how likely the right text was, token by token, and how near what was written came to it.

Targets are texts, ``object[n]``; answers are ``Spoken``, one an example. Intervals are by example: the tokens of one
response hang together.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kft.errors import UsageError
from kft.metrics.metric import Form, Metric, mean, share
from kft.metrics.overlap import chrf, missing, rouge_l
from kft.metrics.slots import items_of, shared_items
from kft.metrics.support import NAME, NUMBER, WORD, Support
from kft.recipe.evaluation import right_by


@dataclass(frozen=True, eq=False)
class Spoken:
    """What a language model makes of one example.

    Attributes:
        losses: ``float[tokens]``: of each token of the right response, in nats, given all before it.
        hits: ``float[tokens]``: 1 where it was the likeliest.
        text: What the model wrote by itself; None where it was not asked to.
        ids: ``int[tokens]``: the tokens of that, without the end; None where they are not known.
        confidence: How sure the model is of that, from 0 to 1; None where it is not known.
        support: What the passages that it was given hold of it; None where it was given none.
    """

    losses: np.ndarray
    hits: np.ndarray
    text: str | None = None
    ids: np.ndarray | None = None
    confidence: float | None = None
    support: Support | None = None


def spoken(texts: Sequence[str]) -> list[Spoken]:
    """Returns texts as answers that metrics of what is written judge; how likely they are is not known."""
    none = np.zeros(1)
    return [Spoken(none, none, str(text)) for text in texts]


Texts = Sequence[str]
Answers = Sequence[Spoken]


def _check(targets: Texts, answers: Answers) -> None:
    if len(targets) != len(answers) or not len(targets) or any(not len(each.losses) for each in answers):
        raise UsageError(
            "responses and answers do not fit",
            received=f"{len(targets)} responses, {len(answers)} answers",
            expected="one answer a response, each with a loss for every token, and at least one",
        )


def _unseen(targets: Texts, answers: Answers, better: bool, rng: np.random.Generator) -> tuple[Any, Any]:
    """The likeliest response, and the right text in few tokens; or the least likely, and one token over again."""
    order = np.argsort([each.losses.mean() for each in answers], kind="stable")
    row = int(order[0 if better else -1])
    text = None if answers[row].text is None else (targets[row] if better else "")
    lengths = [len(each.ids) for each in answers if each.ids is not None]
    ids = None
    if lengths:
        ids = np.arange(min(lengths)) if better else np.zeros(max(lengths), np.int64)
    return [targets[row]], [replace(answers[row], text=text, ids=ids)]


def _right(targets: Texts, answers: Answers) -> np.ndarray:
    both = zip(targets, answers, strict=True)
    return np.array([bool(said.hits.all()) if said.text is None else said.text == text for text, said in both])


TEXTS = Form(_check, _unseen, _right)


def _losses(targets: Texts, answers: Answers) -> np.ndarray:
    return np.array([(each.losses.sum(dtype=np.float64), len(each.losses)) for each in answers])


def _hits(targets: Texts, answers: Answers) -> np.ndarray:
    return np.array([(each.hits.sum(dtype=np.float64), len(each.hits)) for each in answers])


def _of_texts(score: Callable[[str, str], tuple[float, float]]) -> Callable[[Texts, Answers], np.ndarray]:
    def statistics(targets: Texts, answers: Answers) -> np.ndarray:
        return np.array([score(text, said.text or "") for text, said in zip(targets, answers, strict=True)], float)

    return statistics


def token_f1(truth: str, said: str) -> float:
    """Returns the F1 of two texts' words, in small letters and without punctuation, as SQuAD has it.

    Two texts without words are the same or not.

    Example:
        >>> round(token_f1("The red house", "a red, red house!"), 3), token_f1("\U0001f44d", "\U0001f44e")
        (0.571, 0.0)
    """
    right, given = (Counter(re.findall(r"\w+", text.lower())) for text in (truth, said))
    if not right and not given:
        return float(truth.strip() == said.strip())
    both = (right & given).total()
    return 2 * both / (right.total() + given.total())


def as_fields(text: str) -> dict[str, Any] | None:
    """Returns the fields of a text that is one JSON object; None where it is none.

    Example:
        >>> as_fields('{"section": "net"}'), as_fields("net"), as_fields("[1]"), as_fields('{"a": NaN}')
        ({'section': 'net'}, None, None, None)
    """
    try:
        found = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(name: str) -> None:
    """Refuses NaN and Infinity, which Python reads and JSON has not."""
    raise ValueError(name)


def _fields_right(truth: str, said: str) -> tuple[float, float]:
    right, given = as_fields(truth) or {}, as_fields(said) or {}
    return sum(key in given and _same_json(given[key], value) for key, value in right.items()), len(right)


def _same(said: Any, right: Any) -> bool:
    """Whether two values of JSON are the same; Python takes true for 1."""
    return bool(said == right) and isinstance(said, bool) == isinstance(right, bool)


def _slots(truth: str, said: str) -> tuple[float, float]:
    """The items that both have, and the mean of what each has: F1 is their share."""
    both, right, given = shared_items(as_fields(truth), as_fields(said))
    return both, (right + given) / 2


def confidences(answers: Answers) -> np.ndarray:
    """Returns ``float[n]``: how sure a model is of what it wrote; 0 where that is not known."""
    return np.array([each.confidence or 0.0 for each in answers], np.float64)


def right_answers(rule: str, targets: Texts, answers: Answers) -> np.ndarray:
    """Returns ``bool[n]``: which written answers a promise takes for right.

    Args:
        rule: ``evaluate.abstain_at.right``: see ``kft.recipe.evaluation.right_by``.
        targets: The right texts.
        answers: With what was written.

    Example:
        >>> truth = ['{"a": 1, "b": [2]}', "a red house", "a red house"]
        >>> said = spoken(['{"b": [2], "a": 1}', "a red house ", "the red house"])
        >>> right_answers("same", truth, said).tolist()
        [True, True, False]
        >>> right_answers("token_f1 >= 0.6", truth, said).tolist()
        [True, True, True]
    """
    return np.array([_is_right(rule, text, said.text or "") for text, said in zip(targets, answers, strict=True)], bool)


def _is_right(rule: str, truth: str, said: str) -> bool:
    nearness = right_by(rule)
    if truth.strip() == said.strip():
        return True
    if nearness is None:
        right, given = as_fields(truth), as_fields(said)
        return right is not None and given is not None and _same_json(given, right)
    name, least = nearness
    hits, among = _statistics_of(name)(truth, said)
    return bool(among and hits / among >= least)


def _same_json(said: Any, right: Any) -> bool:
    """Whether two values of JSON are the same all the way down."""
    if isinstance(said, dict) and isinstance(right, dict):
        return said.keys() == right.keys() and all(_same_json(said[key], right[key]) for key in right)
    if isinstance(said, list) and isinstance(right, list):
        return len(said) == len(right) and all(map(_same_json, said, right))
    return _same(said, right)


def _statistics_of(name: str) -> Callable[[str, str], tuple[float, float]]:
    """Returns how near an answer comes by a metric: a sum and what it is among."""
    by: dict[str, Callable[[str, str], tuple[float, float]]] = {
        "token_f1": lambda truth, said: (token_f1(truth, said), 1),
        "rouge_l": lambda truth, said: (rouge_l(truth, said), 1),
        "chrf": lambda truth, said: (chrf(truth, said), 1),
        "field_accuracy": _fields_right,
        "slot_f1": _slots,
    }
    return by[name]


def repeated(ids: Sequence[int] | np.ndarray, n: int = 4) -> float:
    """Returns which share of the n-grams of some tokens has stood before among them; of none, 0.

    Example:
        >>> repeated([1, 2, 3, 4, 1, 2, 3, 4]), repeated([7, 7, 7, 7, 7]), repeated([1, 2, 3])
        (0.19999999999999996, 0.5, 0.0)
    """
    grams = [tuple(ids[start : start + n]) for start in range(len(ids) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _of_ids(score: Callable[[list[int]], float]) -> Callable[[Texts, Answers], np.ndarray]:
    def statistics(targets: Texts, answers: Answers) -> np.ndarray:
        return np.array([(score([] if said.ids is None else said.ids.tolist()), 1) for said in answers], float)

    return statistics


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("token_log_loss", False, _losses, mean, TEXTS),
        Metric("perplexity", False, _losses, lambda sums: np.exp(mean(sums)), TEXTS),
        Metric("token_accuracy", True, _hits, share, TEXTS),
    )
}
"""Of the right response: what training looks at."""
WRITTEN: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("exact_match", True, _of_texts(lambda truth, said: (truth.strip() == said.strip(), 1)), share, TEXTS),
        Metric("token_f1", True, _of_texts(_statistics_of("token_f1")), mean, TEXTS),
    )
}
"""Of what was written."""
OF_JSON: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("json_valid", True, _of_texts(lambda truth, said: (as_fields(said) is not None, 1)), share, TEXTS),
        Metric("field_accuracy", True, _of_texts(_fields_right), share, TEXTS),
        Metric("slot_f1", True, _of_texts(_slots), share, TEXTS),
    )
}
"""Likewise, where every right response is a JSON object: an object at all; its fields, each of them right or not; its
items, such as the elements of its lists."""


OF_OVERLAP: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("rouge_l", True, _of_texts(_statistics_of("rouge_l")), mean, TEXTS),
        Metric("chrf", True, _of_texts(_statistics_of("chrf")), mean, TEXTS),
    )
}
"""Likewise, by packages that need not be there; both are of one answer each, and the mean over answers."""
OF_TOKENS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("answer_tokens", False, _of_ids(len), mean, TEXTS, neutral=True),
        Metric("repeated_4_grams", False, _of_ids(repeated), mean, TEXTS),
    )
}
"""Likewise, where the tokens are known: how many, and which share of their runs of 4 the answer had before."""


def _of_support(kind: str) -> Callable[[Texts, Answers], np.ndarray]:
    """Of words of one kind, or all: how many the passages do not hold, and how many there are."""

    def statistics(targets: Texts, answers: Answers) -> np.ndarray:
        both = []
        for said in answers:
            words = [each for each in (said.support.found if said.support else ()) if kind in ("", each.kind)]
            both.append((sum(not each.supported for each in words), len(words)))
        return np.array(both, float).reshape(-1, 2)

    return statistics


OF_CONTEXT: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("unsupported", False, _of_support(""), share, TEXTS),
        Metric("unsupported_numbers", False, _of_support(NUMBER), share, TEXTS),
        Metric("unsupported_names", False, _of_support(NAME), share, TEXTS),
        Metric("unsupported_words", False, _of_support(WORD), share, TEXTS),
    )
}
"""Likewise, where answers are written from passages: which share of what they say stands neither there nor in the
prompt; numbers, names and other words together, and each alone."""
BESIDE_CONSTANT = ("field_accuracy", "slot_f1", "token_f1")
"""By which a model is held against one response for every prompt: empty lists are often right by themselves."""


def decided_by(measured: Iterable[str]) -> Metric:
    """Returns by which metric of what is written two models are told apart.

    Items where responses are JSON that holds any: who leaves every list empty has many fields right. Fields where none
    holds an item, and words where responses are other texts.

    Example:
        >>> decided_by(["exact_match", "token_f1"]).name, decided_by(["field_accuracy", "slot_f1", "token_f1"]).name
        ('token_f1', 'slot_f1')
    """
    both = OF_JSON | WRITTEN
    return both[next(name for name in ("slot_f1", "field_accuracy", "token_f1") if name in set(measured))]


def no_objects(truth: Texts) -> str:
    """Returns which right responses are no JSON object, where most are: for their sake nothing is said of fields.

    Example:
        >>> no_objects(['{"a": 1}', '{"a": 2}', "none"]), no_objects(["a", "b", '{"a": 1}'])
        ("1 of 3 right responses are no JSON object, such as 'none'", '')
    """
    others = [text for text in truth if as_fields(text) is None]
    if not others or 2 * len(others) >= len(truth):
        return ""
    return f"{len(others):,} of {len(truth):,} right responses are no JSON object, such as {others[0]!r:.60}"


def of_texts(truth: Texts, answers: Answers) -> dict[str, Metric]:
    """Returns the metrics of what was written; none where nothing was.

    Example:
        >>> said = Spoken(np.ones(1), np.ones(1), '{"a": 2, "b": 3}')
        >>> found = of_texts(['{"a": 1, "b": 3}'], [said])
        >>> [(name, metric.value(['{"a": 1, "b": 3}'], [said])) for name, metric in found.items()][2:5]
        [('json_valid', 1.0), ('field_accuracy', 0.5), ('slot_f1', 0.5)]
    """
    if any(each.text is None for each in answers):
        return {}
    fields = [as_fields(text) for text in truth]
    found = WRITTEN | (OF_JSON if any(fields) and all(each is not None for each in fields) else {})
    if not any(items_of(each) for each in fields):  # nothing is to be found
        found.pop("slot_f1", None)
    absent = missing()
    found |= {name: metric for name, metric in OF_OVERLAP.items() if name not in absent}
    found |= of_passages(answers)
    return found | (OF_TOKENS if all(each.ids is not None for each in answers) else {})


def of_passages(answers: Answers) -> dict[str, Metric]:
    """Returns the metrics of how much of answers stands in their passages; none where there are no passages."""
    return OF_CONTEXT if all(each.support is not None for each in answers) else {}
