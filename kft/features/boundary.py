"""Cuts a flat functional model where training begins.

An operation is *fixed* when it and everything it depends on has no trainable variable and no state that training
moves (random seeds, moving statistics). The boundary is the set of tensors that pass from fixed operations to the
rest: ``front`` computes them, once per example; ``back`` trains on them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

import keras

from kft.errors import ModelError
from kft.model.blocks import find_blocks
from kft.model.graph import call_again, nodes_in_order
from kft.model.real_tokens import on_real_tokens


@dataclass(frozen=True)
class SplitModel:
    """Two models that share the weights of the one they were cut from.

    Attributes:
        front: Inputs to boundary tensors, all of it fixed; call it with ``training=False``.
        back: Boundary tensors to outputs.
        names: One name a boundary tensor, in the order of ``front.outputs``; an input keeps its own name.
    """

    front: keras.Model
    back: keras.Model
    names: tuple[str, ...]


class Forward(Protocol):
    """What training and batched inference need of a model, or of two halves that act as one."""

    @property
    def inputs(self) -> list[Any]:
        """Symbolic inputs, in order."""

    @property
    def outputs(self) -> list[Any]:
        """Symbolic outputs, in order."""

    @property
    def layers(self) -> list[Any]:
        """Its layers, in no order that counts."""

    @property
    def losses(self) -> list[Any]:
        """Regularisation terms of the last call."""

    def __call__(self, tensors: list[Any], *, training: bool) -> Any:
        """Returns the output for the inputs' tensors."""


@dataclass(frozen=True)
class FrozenFront:
    """``back(front(x))`` where nothing is stored; ``front`` never sees ``training=True``.

    A functional model of the two would hand ``training`` on to both: Keras overrides the argument that a node
    was built with.
    """

    front: keras.Model
    back: keras.Model

    @property
    def inputs(self) -> list[Any]:
        return self.front.inputs

    @property
    def outputs(self) -> list[Any]:
        return self.back.outputs

    @property
    def layers(self) -> list[Any]:
        return self.front.layers + self.back.layers

    @property
    def losses(self) -> list[Any]:
        return self.back.losses

    def __call__(self, tensors: list[Any], *, training: bool) -> Any:
        return self.back(self.front(tensors, training=False), training=training)


def forward_of(split: SplitModel, *, stored: bool) -> Forward:
    """Returns what every batch runs through: the back alone where it reads stored features, else both halves."""
    return split.back if stored else FrozenFront(split.front, split.back)


def fast_forward_of(split: SplitModel, *, stored: bool) -> Forward:
    """Returns the same, to rounding, as it is computed: see ``kft.model.real_tokens``."""
    back = on_real_tokens(split.back)
    return back if stored else FrozenFront(on_real_tokens(split.front), back)


def split_at_boundary(model: keras.Model) -> SplitModel:
    """Splits a model at the tensors that pass from fixed to trainable operations.

    Args:
        model: A flat functional model. ``layer.trainable`` decides, so call ``kft.freeze`` first.

    Returns:
        The two halves; ``back(front(x)) == model(x)``, exactly, with ``training=False``.

    Raises:
        ModelError: A model is nested as a layer (its boundary would hide), or nothing trains.

    Example:
        >>> import kft
        >>> model = kft.build_model(kft.load_backbone("minilm-l6"), classes=5)  # doctest: +SKIP
        >>> kft.freeze(model, "none")  # doctest: +SKIP
        >>> kft.split_at_boundary(model).names  # doctest: +SKIP
        ('head_pool',)
    """
    if not model.trainable_variables:
        raise ModelError("nothing in the model trains, so it has no boundary", next_step="kft.freeze(model, 'none')")
    moving = {id(variable) for variable in model.trainable_variables}
    fixed = {id(tensor) for tensor in model.inputs}
    names = {id(tensor): tensor.name for tensor in model.inputs}
    crossing: dict[int, Any] = {}
    rest = []
    nodes = nodes_in_order(model)
    calls = Counter(node.operation.name for node in nodes)
    seen: Counter[str] = Counter()
    for node in nodes:
        operation = node.operation
        if isinstance(operation, keras.Model):
            raise ModelError(
                "a model nested as one layer hides where training begins",
                where=operation.name,
                expected="a flat functional graph",
                next_step="connect the inner model's own input and output tensors, as kft.build_model does",
            )
        # A Keras mask is an argument like any other here, so it crosses the boundary as a tensor of its own.
        tensors = node.input_tensors
        if all(id(tensor) in fixed for tensor in tensors) and not _moves(operation, moving):
            fixed.update(id(tensor) for tensor in node.output_tensors)
            # A layer that is called twice, or gives several tensors, needs more than its name.
            call = f"_call_{seen[operation.name]}" if calls[operation.name] > 1 else ""
            several = len(node.output_tensors) > 1
            for position, tensor in enumerate(node.output_tensors):
                names[id(tensor)] = operation.name + call + (f"_{position}" if several else "")
        else:
            rest.append(node)
            crossing.update({id(tensor): tensor for tensor in tensors if id(tensor) in fixed})
        seen[operation.name] += 1
    crossing.update({id(tensor): tensor for tensor in model.outputs if id(tensor) in fixed})
    tensors = list(crossing.values())
    return SplitModel(
        front=keras.Model(model.inputs, tensors, name="front"),
        back=_rebuild(rest, tensors, model.output),
        names=tuple(names[id(tensor)] for tensor in tensors),
    )


def frozen_blocks(model: keras.Model, split: SplitModel) -> list[str]:
    """Returns the numbered blocks that lie whole below the boundary, from input to output."""
    below = {layer.name for layer in split.front.layers}
    numbered = [block for block in find_blocks(model) if block.name.startswith("block_")]
    return [block.name for block in numbered if all(layer.name in below for layer in block.layers)]


def _rebuild(nodes: list[Any], tensors: list[Any], outputs: Any) -> keras.Model:
    inputs = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in tensors]
    known = {id(tensor): new for tensor, new in zip(tensors, inputs, strict=True)}
    return keras.Model(inputs, call_again(nodes, known, outputs), name="back")


def _moves(operation: Any, moving: set[int]) -> bool:
    """Whether training changes what the operation computes: it learns, or it keeps a state that runs on.

    Variables are compared by identity, because a tied one may belong to a layer that is itself frozen. A state
    (moving statistics, a random seed) stands still in a frozen layer alone.
    """
    if not isinstance(operation, keras.layers.Layer):
        return False
    if any(id(variable) in moving for variable in operation.variables):
        return True
    return operation.trainable and bool(operation.non_trainable_variables)
