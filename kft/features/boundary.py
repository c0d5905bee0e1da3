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
from kft.model.window_layers import IntoWindows, OutOfWindows, WindowVectors

REPEATED = "RelativeEmbedding"
"""DeBERTa's table of relative positions: keras-hub repeats it for each row of a batch, whatever stands in the row."""


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
        ModelError: A model is nested as a layer (its boundary would hide), nothing trains, or texts are in windows and
            what crosses is neither tokens nor vectors of them.

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
    tables, tensors = _apart(tensors)
    passed = _by_example(tensors, nodes, model.inputs)
    names |= {id(each.given): names[id(each.tensor)] for each in passed if id(each.given) not in names}
    given = list({id(each.given): each.given for each in passed}.values())
    return SplitModel(
        front=keras.Model(model.inputs, given, name="front"),
        back=_rebuild(rest, passed, tables, model.output),
        names=tuple(names[id(tensor)] for tensor in given),
    )


def _apart(tensors: list[Any]) -> tuple[list[Any], list[Any]]:
    """Returns the tables that are repeated for each row, and the tensors that hold something of the examples."""
    found: tuple[list[Any], list[Any]] = ([], [])
    for tensor in tensors:
        found[type(tensor._keras_history.operation).__name__ != REPEATED].append(tensor)
    return found


@dataclass(frozen=True)
class _Passed:
    """A tensor that crosses the boundary.

    Attributes:
        tensor: As the graph has it.
        given: As it is handed over: one row an example.
        window: Tokens of a window where each of them is a row of ``tensor``; else 0.
    """

    tensor: Any
    given: Any
    window: int = 0


def _by_example(tensors: list[Any], nodes: list[Any], inputs: list[Any]) -> list[_Passed]:
    """Returns how tensors are handed over: those of windows as the tokens of an example, behind one another."""
    cut: dict[int, Any] = {}  # what windows are cut from
    size_of: dict[int, int] = {}  # tokens of a window, of each tensor whose rows are windows
    for node in nodes:
        size = next((size_of[id(tensor)] for tensor in node.input_tensors if id(tensor) in size_of), 0)
        if isinstance(node.operation, IntoWindows):
            size, cut[id(node.output_tensors[0])] = node.operation.size, node.input_tensors[0]
        if size and not isinstance(node.operation, WindowVectors):
            size_of.update((id(tensor), size) for tensor in node.output_tensors)
    passed = []
    for tensor in tensors:
        size = size_of.get(id(tensor), 0)
        if id(tensor) in cut:
            passed.append(_Passed(tensor, cut[id(tensor)], size))
        elif not size:
            passed.append(_Passed(tensor, tensor))
        elif tensor.shape[1:2] == (size,):
            layer = OutOfWindows(name=f"{tensor._keras_history.operation.name}_by_example", dtype=tensor.dtype)
            passed.append(_Passed(tensor, layer(tensor, inputs[0]), size))
        else:
            raise ModelError(
                "what passes from frozen to trainable blocks of this backbone cannot be told apart by example",
                where="model.long_text: windows",
                received=f"{tensor._keras_history.operation.name} {tensor.shape}",
                expected=f"{size} tokens a window",
                next_step="--set model.long_text=cut, or freeze all of the backbone: unfreeze: none",
            )
    return passed


def frozen_blocks(model: keras.Model, split: SplitModel) -> list[str]:
    """Returns the numbered blocks that lie whole below the boundary, from input to output."""
    below = {layer.name for layer in split.front.layers}
    numbered = [block for block in find_blocks(model) if block.name.startswith("block_")]
    return [block.name for block in numbered if all(layer.name in below for layer in block.layers)]


def _rebuild(nodes: list[Any], passed: list[_Passed], tables: list[Any], outputs: Any) -> keras.Model:
    inputs: dict[int, Any] = {}
    known: dict[int, Any] = {}
    for each in passed:
        given = each.given
        if id(given) not in inputs:
            inputs[id(given)] = keras.Input(batch_shape=given.shape, dtype=given.dtype)
        new = inputs[id(given)]
        known[id(each.tensor)] = IntoWindows(each.window, dtype=given.dtype)(new) if each.window else new
    # A table is the same for each example, so it is repeated here, for as many rows as its blocks are given.
    rows = [known[id(each.tensor)] for each in sorted(passed, key=lambda each: not each.window)]
    known.update((id(tensor), tensor._keras_history.operation(rows[0])) for tensor in tables)
    return keras.Model(list(inputs.values()), call_again(nodes, known, outputs), name="back")


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
