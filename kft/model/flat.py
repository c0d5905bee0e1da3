"""One flat graph for every backbone: freezing and the boundary work on a model's own layers.

A transformer for images that keras-hub wraps into a single layer is taken apart, and the input of an image model is
called ``images``. A model nested as one layer, or one without a graph, is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kft.errors import ModelError

if TYPE_CHECKING:
    import keras

ENCODERS = ("ViTEncoder",)
"""Layers of keras-hub that hold a whole transformer: a dropout, ``encoder_layers`` and a last normalisation.

DeiT's blocks give None beside their output, which a graph cannot hold: it stays one layer, and ``find_blocks``
refuses it.
"""


def flatten(model: keras.Model, where: str) -> tuple[keras.Model, Any]:
    """Returns a flat functional model with the same weights, and its features.

    Args:
        model: A functional or sequential model.
        where: The source, for messages.

    Returns:
        The model, and the tensor that heads take: what is called ``sequence_output``, or the last output.

    Raises:
        ModelError: The model is subclassed, or has another model as a layer.
    """
    import keras

    if isinstance(model, keras.Sequential) and model.built:
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    if not getattr(model, "_nodes_by_depth", None):
        raise _refused(where, f"{type(model).__name__} {model.name}, which has no graph", "a functional keras.Model")
    nested = [layer.name for layer in model.layers if isinstance(layer, keras.Model)]
    if nested:
        raise _refused(where, f"models nested as layers: {', '.join(nested)}", "a flat functional keras.Model")
    if any(type(layer).__name__ in ENCODERS for layer in model.layers):
        model = _take_apart(model)
    if not isinstance(model.input, dict) and len(model.inputs) == 1 and len(model.inputs[0].shape) == 4:
        # Data and heads know an image model's input by this name.
        model.inputs[0].name = "images"
        for layer in model.layers:
            if isinstance(layer, keras.layers.InputLayer):
                layer.name = "images"
    output = model.output
    if isinstance(output, dict):
        return model, output.get("sequence_output", list(output.values())[-1])
    return model, keras.tree.flatten(output)[-1]


def _refused(where: str, received: str, expected: str) -> ModelError:
    return ModelError(
        "this model's layers cannot be frozen one by one",
        where=where,
        received=received,
        expected=expected,
        next_step="build it again from keras.Input and layers: x = layer(x); keras.Model(inputs, x)",
    )


def _take_apart(model: keras.Model) -> keras.Model:
    """Calls the layers inside each wrapped transformer one by one, in the order of its own ``call``."""
    import keras

    from kft.model.graph import nodes_in_order

    known = {id(tensor): tensor for tensor in model.inputs}
    for node in nodes_in_order(model):
        args, kwargs = node.arguments.fill_in(known)
        operation = node.operation
        if type(operation).__name__ in ENCODERS:
            (x,) = args
            for layer in (operation.dropout, *operation.encoder_layers, operation.layer_norm):
                x = layer(x)
            made = [x]
        else:
            made = keras.tree.flatten(operation(*args, **kwargs))
        known.update((id(tensor), new) for tensor, new in zip(node.output_tensors, made, strict=True))
    outputs = keras.tree.map_structure(lambda tensor: known[id(tensor)], model.output)
    return keras.Model(model.input, outputs, name=model.name)
