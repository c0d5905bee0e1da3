"""In which type a backbone computes: ``train.precision``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kft.errors import ModelError

if TYPE_CHECKING:
    import keras

POLICIES = {"bfloat16": "mixed_bfloat16"}
"""Keras's name of what is not float32. Weights stay float32 under it, and layer normalisation computes in float32."""


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers that are made in the body compute in this type; their weights are float32 in any case."""
    if precision == "float32":
        yield
        return
    from kft import runtime

    runtime.start()
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def require_precision(model: keras.Model, precision: str, name: str) -> None:
    """Refuses a backbone whose layers with weights compute in another type than was asked for.

    Raises:
        ModelError: One does: a ``.keras`` file brings its own types.
    """
    other = [layer.name for layer in model.layers if layer.weights and layer.compute_dtype != precision]
    if other and precision != "float32":
        raise ModelError(
            f"this backbone does not compute in {precision}",
            where="train.precision",
            received=f"{name}: {', '.join(other[:3])} in another type",
            expected="a backbone that kft builds, or a file whose layers have Keras's policy " + POLICIES[precision],
            next_step="--set train.precision=float32",
        )
