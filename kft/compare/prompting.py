"""Zero-shot prompting: the label's name, as a short description, against the text, by the frozen backbone alone.

Several descriptions a label are averaged (prompt ensembling: Radford et al., 2021). Labelled examples serve only for
the temperature, on valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from kft.compare.setting import Setting
from kft.compare.solution import Solution
from kft.metrics.neighbours import unit_rows
from kft.tasks.decode import softmax

TEMPLATES = ("{}", "{}.", "This is about {}.", "The topic is {}.")
SHARPNESS = 20.0
"""Cosines are multiplied by it before the softmax; the temperature that is fitted on valid corrects it."""


def describe_label(label: str) -> str:
    """Returns a label's name as words.

    Example:
        >>> describe_label("card_arrival"), describe_label("RefundNotShowing"), describe_label("Q&A")
        ('card arrival', 'refund not showing', 'q&a')
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", label)
    return " ".join(re.sub(r"[_\-/.]+", " ", parted).split()).lower()


def unfit(setting: Setting) -> str:
    """Says why names cannot be compared with the inputs; empty when they can."""
    if setting.task.reads.files:
        return "a backbone for images reads no label names"
    if setting.task.reads.pairs:
        return "a label name is not a pair of texts"
    named = [label for label in setting.split.labels if re.search(r"[^\W\d_]{2}", label)]
    if len(named) < setting.classes:
        unnamed = next(label for label in setting.split.labels if label not in named)
        return f"label names such as {unnamed!r} say nothing"
    return ""


def fit(setting: Setting) -> Solution:
    """Embeds the descriptions."""
    names = [describe_label(label) for label in setting.split.labels]
    texts = [template.format(name) for template in TEMPLATES for name in names]
    labels = label_vectors(setting.embed(texts), len(names))
    return Solution(
        answer=answerer(labels),
        trained=0,
        own_bytes=labels.nbytes,
        whole_bytes=setting.backbone_bytes + labels.nbytes,
        on_vectors=True,
        frozen_rows=len(setting.split.valid),
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
