"""Answers of a graph with their names, as tensors: what kft/deploy/runner/answers.py says as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from kft.tasks.decode import FOREIGN, UNSURE

Tensors = Mapping[str, tf.Tensor]


def name_class(given: Tensors, labels: Sequence[str]) -> dict[str, tf.Tensor]:
    """Returns ``label``, ``confidence``, ``abstain``, ``why`` (empty where it answers), and all probabilities."""
    return {
        "label": tf.gather(tf.constant(labels), given["label"]),
        "confidence": given["confidence"],
        **_withheld(given),
        **_each(given, labels),
    }


def name_labels(given: Tensors, labels: Sequence[str]) -> dict[str, tf.Tensor]:
    """Returns ``labels`` (those that hold first, then empty ones), ``confidence``, and each label's probability.

    Where answers can be withheld, also ``abstain`` and ``why``.
    """
    holds = given["said"] if "said" in given else given["probabilities"] >= 0.5
    chosen = tf.ragged.boolean_mask(_every(given, labels), holds)
    said = {"labels": chosen.to_tensor(""), "confidence": given["confidence"]}
    return {**said, **_withheld(given), **_each(given, labels)}


def name_number(given: Tensors, labels: Sequence[str]) -> dict[str, tf.Tensor]:
    """Returns ``value``, with an interval ``low high``, and where answers can be withheld ``abstain why``."""
    ends = {name: given[name] for name in ("low", "high") if name in given}
    return {"value": given["value"], **ends, **_withheld(given)}


def name_vector(given: Tensors, labels: Sequence[str]) -> dict[str, tf.Tensor]:
    """Returns ``vector``."""
    return {"vector": given["embedding"]}


def _withheld(given: Tensors) -> dict[str, tf.Tensor]:
    if "abstain" not in given:
        return {}
    why = tf.where(given["foreign"], FOREIGN, UNSURE)
    return {"abstain": given["abstain"], "why": tf.where(given["abstain"], why, "")}


def _every(given: Tensors, labels: Sequence[str]) -> tf.Tensor:
    """Returns all names for each row: who asks by rows gets them beside the probabilities."""
    return tf.repeat(tf.constant([list(labels)]), tf.shape(given["probabilities"])[0], axis=0)


def _each(given: Tensors, labels: Sequence[str]) -> dict[str, tf.Tensor]:
    return {"probabilities": given["probabilities"], "classes": _every(given, labels)}


NAMERS: dict[str, Callable[[Tensors, Sequence[str]], dict[str, tf.Tensor]]] = {
    "class": name_class,
    "set": name_labels,
    "number": name_number,
    "documents": name_vector,
}
"""By the form of the labels; spans stand in a text, which a graph does not see."""
