"""Zero-shot, by names: the label's name, as a short description, against the text, by the frozen backbone alone.

Several descriptions a label are averaged (prompt ensembling: Radford et al., 2021). Labelled examples serve only for
the temperature.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kft.compare.setting import Setting
from kft.compare.solution import Solution
from kft.metrics.neighbours import unit_rows
from kft.tasks.decode import softmax
from kft.tasks.label_names import describe_label, why_no_names

TEMPLATES = ("{}", "{}.", "This is about {}.", "The topic is {}.")
SHARPNESS = 20.0
"""Cosines are multiplied by it before the softmax; the temperature corrects it."""


def unfit(setting: Setting) -> str:
    """Says why names cannot be compared with the inputs; empty when they can."""
    if setting.per_token:
        return "names are held against whole texts, not against their words"
    if not setting.task.kind.one_class:
        return "names are held against one another, which says nothing of each label by itself, or of numbers"
    return why_no_names(setting.task, setting.split.labels)


def fit(setting: Setting) -> Solution:
    """Embeds the descriptions."""
    names = [describe_label(label) for label in setting.split.labels]
    texts = [template.format(name) for template in TEMPLATES for name in names]
    labels = label_vectors(setting.embed(texts), len(names))
    answer = answerer(labels)
    return Solution(
        answer=lambda seen: answer(seen.vectors),
        trained=0,
        own_bytes=labels.nbytes,
        out_of_fold=answer(setting.lesson.seen.vectors[setting.judged.rows]),  # no label was seen
        on_vectors=True,
        chosen={"descriptions": len(TEMPLATES)},
    )


def label_vectors(vectors: np.ndarray, labels: int) -> np.ndarray:
    """Returns ``float32[labels, width]`` of length 1: the mean over the templates.

    Args:
        vectors: ``float32[templates * labels, width]``, template by template.
        labels: How many.
    """
    return unit_rows(unit_rows(vectors).reshape(-1, labels, vectors.shape[1]).mean(axis=0))


def answerer(labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Returns what turns vectors into probabilities by their cosine to each label's."""
    return lambda vectors: softmax(SHARPNESS * (unit_rows(vectors) @ labels.T))
