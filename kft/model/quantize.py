"""A backbone whose matrices are held in 8 bits, by Keras's own ``quantize``: a quarter of the memory, and frozen.

Weights alone are rounded, one scale an output; what is multiplied stays float. Keras's default rounds activations as
well, and then gives hidden states no gradient through the output matrix (docs/log.md).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from kft.errors import ModelError

if TYPE_CHECKING:
    from kft.model.backbones import Backbone

INT8 = "int8"
KINDS = (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding)


def in_int8(backbone: Backbone) -> Backbone:
    """Rounds the matrices of a backbone to 8 bits, in place, and returns it; what is no matrix stays as it is.

    Args:
        backbone: Of texts, in float32 or bfloat16, with no adapters yet.

    Raises:
        ModelError: It has no matrices that Keras rounds.
    """
    config = keras.quantizers.Int8QuantizationConfig(activation_quantizer=None)
    found = [layer for layer in backbone.model._flatten_layers() if isinstance(layer, KINDS) and layer.built]
    with _garbage_left():
        for layer in found:
            # Its check of the type would leave out the embeddings that keras-hub derives from Keras's own.
            layer.quantize(INT8, type_check=False, config=config)
    if not any(is_rounded(layer) for layer in found):
        raise ModelError(
            "nothing in this backbone can be held in int8",
            where="model.quantize",
            received=backbone.name,
            expected="a decoder whose blocks are Dense or EinsumDense layers",
            next_step="--set model.quantize=none",
        )
    return backbone


@contextmanager
def _garbage_left() -> Iterator[None]:
    """Within it what was there before is not looked through for garbage, and at its end once.

    Keras looks, for a second or two, whenever a weight of a layer is deleted.
    """
    frozen = gc.get_freeze_count() > 0
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.collect()
        if frozen:  # in a process of kft's own; see kft.runtime
            gc.freeze()


def is_rounded(layer: Any) -> bool:
    """Whether a layer's matrix is held in 8 bits."""
    return getattr(layer, "quantization_mode", None) == INT8


def float_kernel(layer: Any) -> Any:
    """Returns the kernel of a Dense or EinsumDense layer as products take it, whichever way it is held."""
    if not is_rounded(layer):
        return layer.kernel
    scale = layer.kernel_scale
    if isinstance(layer, keras.layers.EinsumDense):
        scale = layer._adjust_scale_for_dequant(scale)
    return ops.cast(layer.kernel, layer.compute_dtype) / ops.cast(scale, layer.compute_dtype)


def to_float(layer: Any, more: Any = 0.0) -> None:
    """Holds a rounded layer's matrix as float again, with something added: what it computed stays, to rounding."""
    policy = keras.dtype_policies.get(layer.dtype_policy.name.removeprefix(f"{INT8}_from_"))
    if isinstance(layer, keras.layers.Embedding):
        names = ["embeddings"] + ["reverse_embeddings"] * (not getattr(layer, "tie_weights", True))
        floats = {"embeddings": layer._embeddings / ops.expand_dims(layer.embeddings_scale, -1)}
        if len(names) > 1:
            floats["reverse_embeddings"] = layer.reverse_embeddings / layer.reverse_embeddings_scale
        held = {"embeddings": "_embeddings"}
    else:
        floats, held = {"kernel": ops.cast(float_kernel(layer), "float32") + more}, {"kernel": "_kernel"}
    with adding_weights(layer):
        for name in floats:
            for attribute in (held.get(name, name), f"{name}_scale"):
                layer._untrack_variable(getattr(layer, attribute))
                object.__delattr__(layer, attribute)  # Keras's own looks for garbage each time
        layer._is_quantized, layer.quantization_config, layer.dtype_policy = False, None, policy
        for name, value in floats.items():
            weight = layer.add_weight(name=name, shape=value.shape, initializer="zeros")
            weight.assign(value)
            setattr(layer, held.get(name, name), weight)


@contextmanager
def adding_weights(layer: Any) -> Iterator[None]:
    """Within it, a built layer takes weights, by the names that those it has begin with.

    Keras would name them after the layer alone, the same in every block.
    """
    *scopes, _own, _ = layer.weights[0].path.split("/")
    layer._tracker.unlock()
    with ExitStack() as stack:
        for scope in scopes:
            stack.enter_context(keras.name_scope(scope))
        yield
    layer._tracker.lock()
