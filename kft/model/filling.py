"""Building a model whose weights are read or assigned right away: none is drawn at random, or read, for nothing.

Keras draws every weight of a new layer: of MiniLM half a second, of Gemma a gigabyte of random numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_drawn_later: ContextVar[dict[int, tuple[Any, Any]] | None] = ContextVar("drawn_later", default=None)
"""Weights that began as zeros, by their ids, each with what draws it; only where ``filled`` is at work."""
_given: ContextVar[Collection[str]] = ContextVar("given", default=())
_patching = threading.RLock()


@contextmanager
def filled() -> Iterator[None]:
    """Within it, weights that would be drawn at random begin as zeros; it is for a body that builds and fills a model.

    At the end those are drawn after all that nothing was assigned to, from the very numbers that they would have had;
    only those that ``assigned_later`` names stay zeros. Layers that other threads build meanwhile are left alone.
    """
    import keras

    random = keras.initializers
    kinds = (random.RandomNormal, random.TruncatedNormal, random.RandomUniform, random.VarianceScaling)

    def added(layer: Any, *args: Any, initializer: Any = None, **options: Any) -> Any:
        later = _drawn_later.get()
        # A seed that is no number counts its draws: leaving one out would change those that follow.
        if later is None or not isinstance(initializer, kinds) or not isinstance(initializer.seed, int):
            return add_weight(layer, *args, initializer=initializer, **options)
        variable = add_weight(layer, *args, initializer="zeros", **options)
        later[id(variable)] = (variable, initializer)
        return variable

    def assigned(variable: Any, value: Any) -> Any:
        (_drawn_later.get() or {}).pop(id(variable), None)
        return assign(variable, value)

    later: dict[int, tuple[Any, Any]] = {}
    with _patching:
        add_weight, assign = keras.layers.Layer.add_weight, keras.Variable.assign
        own = vars(keras.Variable).get("assign")  # None: it is inherited
        token = _drawn_later.set(later)
        keras.layers.Layer.add_weight, keras.Variable.assign = added, assigned
        try:
            yield
        finally:
            _drawn_later.reset(token)
            keras.layers.Layer.add_weight = add_weight
            if own is None:
                del keras.Variable.assign
            else:
                keras.Variable.assign = own
    for variable, initializer in later.values():
        if not is_assigned_later(variable):
            variable.assign(initializer(variable.shape, dtype=variable.dtype))


@contextmanager
def assigned_later(paths: Collection[str]) -> Iterator[None]:
    """Within it, a backbone is loaded without the weights of these paths: whoever loads it assigns them all."""
    token = _given.set(paths)
    try:
        yield
    finally:
        _given.reset(token)


def is_assigned_later(variable: Any) -> bool:
    """Whether a Keras variable need not be read from the backbone's files."""
    return variable.path in _given.get()
