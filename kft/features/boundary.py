"""Cuts a flat functional model where training begins.

An operation is *fixed* when it and everything it depends on has no trainable variable and draws no random
numbers. The boundary is the set of tensors that pass from fixed operations to the rest: ``front`` computes
them, once per example; ``back`` trains on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import keras

from kft.errors import ModelError


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
        """The front's inputs."""
        return self.front.inputs

    @property
    def outputs(self) -> list[Any]:
        """The back's outputs."""
        return self.back.outputs

    @property
    def losses(self) -> list[Any]:
        """Regularisation terms of the part that trains."""
        return self.back.losses

    def __call__(self, tensors: list[Any], *, training: bool) -> Any:
        """Runs both halves."""
        return self.back(self.front(tensors, training=False), training=training)


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
    fixed: dict[int, Any] = {id(tensor): tensor for tensor in model.inputs}
    names = {id(tensor): tensor.name for tensor in model.inputs}
    crossing: dict[int, Any] = {}
    for node in _nodes_from_input_to_output(model):
        operation = node.operation
        if isinstance(operation, keras.Model):
            raise ModelError(
                "a model nested as one layer hides where training begins",
                where=operation.name,
                expected="a flat functional graph",
                next_step="connect the inner model's own input and output tensors, as kft.build_model does",
            )
        tensors = node.input_tensors
        if all(id(tensor) in fixed for tensor in tensors) and not _moves(operation):
            for position, tensor in enumerate(node.output_tensors):
                fixed[id(tensor)] = tensor
                suffix = f"_{position}" if len(node.output_tensors) > 1 else ""
                names[id(tensor)] = operation.name + suffix
        else:
            crossing.update({id(tensor): tensor for tensor in tensors if id(tensor) in fixed})
    tensors = list(crossing.values())
    return SplitModel(
        front=keras.Model(model.inputs, tensors, name="front"),
        back=keras.Model(tensors, model.outputs[0], name="back"),
        names=tuple(names[id(tensor)] for tensor in tensors),
    )


def _nodes_from_input_to_output(model: keras.Model) -> list[Any]:
    depths = sorted(model._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in model._nodes_by_depth[depth] if not node.is_input]


def _moves(operation: Any) -> bool:
    """Whether training changes what the operation computes: it learns, or it draws random numbers."""
    if not isinstance(operation, keras.layers.Layer):
        return False
    if operation.trainable_variables:
        return True
    # Dropout and random augmentation of a part that trains; in a frozen block they are switched off.
    return operation.trainable and any("seed" in variable.path for variable in operation.variables)
