"""Low-rank adapters (Hu et al., 2022): ``y = x W + alpha / rank * dropout(x) A B``, of which A and B train.

For a Dense or EinsumDense layer of any backbone, addressed by name. Keras's own ``enable_lora`` has no dropout, gives
an attention kernel one A for each head, and its file leaves the head out; here an adapter is two weights like any
other, kept in the run's checkpoints with the head.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
from keras import ops

from kft.errors import ModelError
from kft.model.blocks import find_blocks
from kft.model.quantize import adding_weights, float_kernel, is_rounded, to_float
from kft.recipe.training import LoraSpec

A, B = "lora_a", "lora_b"
SHOWN = 12
CALLS = ("call", "quantized_call")
"""What Keras calls of a layer, the second where its kernel is in 8 bits."""


def add_lora(model: keras.Model, spec: LoraSpec) -> list[str]:
    """Adds adapters to the layers that the targets match; B starts at zero, so nothing changes yet.

    Args:
        model: From ``kft.build_model``; changed in place, its head left alone.
        spec: Rank, alpha, targets: globs on ``BLOCK/LAYER``.

    Returns:
        The names of the adapted layers.

    Raises:
        ModelError: A target matches no layer, or a layer has adapters already.
    """
    layers = dict(_dense_layers(model))
    found = [name for name in layers if any(fnmatch.fnmatchcase(name, target) for target in spec.targets)]
    for target in spec.targets:
        if not fnmatch.filter(found, target):
            shown = ", ".join(list(layers)[:SHOWN]) + (" ..." if len(layers) > SHOWN else "")
            raise ModelError(
                f"the LoRA target {target!r} matches no layer",
                where="unfreeze.lora.targets",
                received=target,
                expected=f"a glob on one of: {shown}" if layers else "a backbone with Dense or EinsumDense layers",
                next_step="kft plan RECIPE lists the blocks",
            )
    for name in found:
        _adapt(layers[name], spec)
    return found


def merge_lora(model: keras.Model) -> int:
    """Adds every adapter's product to its kernel and takes the adapters away; returns how many there were.

    The model computes the same as before, to rounding, with plain Keras layers that any Keras file can hold. What was
    held in 8 bits is float again, of the same values: a Keras file would forget that activations were not rounded.

    Example:
        >>> import kft
        >>> kft.merge_lora(kft.build_model(kft.load_backbone("minilm-l6"), classes=2))  # doctest: +SKIP
        0
    """
    merged = 0
    for layer in model._flatten_layers():
        if hasattr(layer, A):
            first, last, scale = getattr(layer, A), getattr(layer, B), layer.lora_scale
            more = scale * ops.transpose(ops.tensordot(first, last, 1), layer.lora_order)
            if is_rounded(layer):
                to_float(layer, more)
            else:
                layer.kernel.assign(layer.kernel + more)
            layer._tracker.unlock()
            for variable in (first, last):
                layer._untrack_variable(variable)
            layer._tracker.lock()
            for name in (*CALLS, "save_own_variables"):
                object.__delattr__(layer, name)
            for name in (A, B, "lora_scale", "lora_order"):
                object.__delattr__(layer, name)
            merged += 1
    for layer in model._flatten_layers():
        if is_rounded(layer):
            to_float(layer)
    return merged


def _dense_layers(model: keras.Model) -> Iterator[tuple[str, keras.layers.Layer]]:
    for block in find_blocks(model):
        if block.name == "head":
            continue
        for layer in block.layers:
            for inner in layer._flatten_layers():
                if isinstance(inner, keras.layers.Dense | keras.layers.EinsumDense) and inner.built:
                    yield f"{block.name}/{inner.kernel.path.rpartition('/')[0]}", inner


def _adapt(layer: keras.layers.Layer, spec: LoraSpec) -> None:
    if hasattr(layer, A):
        raise ModelError("the layer has adapters already", where=layer.path, next_step="build the model again")
    inside, outside = _axes(layer)
    shape = layer.kernel.shape
    dtype = "float32" if is_rounded(layer) else None
    seed = None
    with adding_weights(layer):
        first = layer.add_weight(
            name=A,
            shape=(*(shape[axis] for axis in inside), spec.rank),
            initializer=keras.initializers.HeUniform(),
            dtype=dtype,
        )
        last = layer.add_weight(
            name=B, shape=(spec.rank, *(shape[axis] for axis in outside)), initializer="zeros", dtype=dtype
        )
        object.__setattr__(layer, A, first)
        object.__setattr__(layer, B, last)
        if spec.dropout:
            layer.lora_seed = seed = keras.random.SeedGenerator()
    order = [0] * len(shape)
    for place, axis in enumerate((*inside, *outside)):
        order[axis] = place
    object.__setattr__(layer, "lora_order", tuple(order))
    object.__setattr__(layer, "lora_scale", (spec.alpha or 2 * spec.rank) / spec.rank)
    for name in CALLS:
        call = partial(_call, layer, _equations(layer, inside, outside), spec.dropout, seed)
        object.__setattr__(layer, name, call)
    object.__setattr__(layer, "save_own_variables", partial(_refuse_to_save, layer))


def _call(
    layer: Any, equations: tuple[str, str, str], dropout: float, seed: Any, inputs: Any, training: bool | None = None
) -> Any:
    """What Dense and EinsumDense compute, with the adapter's part before bias and activation."""
    whole, down, up = equations
    first, last = getattr(layer, A), getattr(layer, B)
    given = inputs
    if dropout and training and first.trainable:
        given = keras.random.dropout(inputs, dropout, seed=seed)
    x = ops.einsum(whole, inputs, float_kernel(layer))
    x = x + ops.einsum(up, ops.einsum(down, given, first), last) * ops.cast(layer.lora_scale, x.dtype)
    if layer.bias is not None:
        x = x + layer.bias
    return x if layer.activation is None else layer.activation(x)


def _equation(layer: Any) -> str:
    return "...x,xy->...y" if isinstance(layer, keras.layers.Dense) else layer.equation


def _axes(layer: Any) -> tuple[list[int], list[int]]:
    """Returns the kernel's axes that meet the input, and those that make the output."""
    given, rest = _equation(layer).split(",")
    kernel, made = rest.split("->")
    inside = [axis for axis, letter in enumerate(kernel) if letter in given]
    outside = [axis for axis, letter in enumerate(kernel) if letter not in given]
    if any(kernel[axis] in made for axis in inside) or not inside or not outside:
        raise ModelError(
            "this layer's kernel is not a matrix between input and output",
            where=layer.path,
            received=f"einsum {_equation(layer)}",
            expected="axes that are either summed over or new",
            next_step="leave it out of unfreeze.lora.targets",
        )
    return inside, outside


def _equations(layer: Any, inside: list[int], outside: list[int]) -> tuple[str, str, str]:
    """Returns the einsums of the layer, into the adapter's rank, and out of it."""
    equation = _equation(layer)
    given, rest = equation.split(",")
    kernel, made = rest.split("->")
    rank = next(letter for letter in "rstuvwzRSTUVWZ" if letter not in equation)
    summed, new = "".join(kernel[axis] for axis in inside), "".join(kernel[axis] for axis in outside)
    middle = "".join(letter for letter in given if letter not in summed) + rank
    return equation, f"{given},{summed}{rank}->{middle}", f"{middle},{rank}{new}->{made}"


def _refuse_to_save(layer: Any, store: Any) -> None:
    raise ModelError(
        "a Keras file would hold the layer without its adapter",
        where=layer.path,
        expected="a model whose adapters are part of its kernels",
        next_step="kft.merge_lora(model), then save it; the run's checkpoints hold the adapters themselves",
    )
