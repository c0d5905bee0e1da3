"""Transformer blocks on real tokens alone: padding takes no part in their products.

A chain of keras-hub's ``TransformerEncoder`` layers (BERT, DistilBERT, RoBERTa, XLM-RoBERTa, ELECTRA, ALBERT) becomes
one layer that reads ``[tokens, width]``, all texts behind one another. Query, key and value are one product, products
and biases are one operation, and the gradients of layer normalisation and GELU are written out. Attention alone needs
the texts beside one another. The weights are those of the layers it stands for, and so are the answers, to rounding:
at padding they are zeros. docs/log.md has what it is worth.

Products treat the last few rows of a matrix by other instructions, and sums along an axis depend on its length. So,
for inference, tokens are filled up to a multiple of eight, texts likewise: the answer for a text is then the same to
the bit, whatever texts are beside it (shown with oneDNN, which TensorFlow uses where it can).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kft.feed.batches import EVEN
from kft.model.families import exact_gelu
from kft.model.graph import call_node, nodes_in_order
from kft.model.lora import A
from kft.replicas import needs_static_shapes

MASK = "padding_mask"
FAR = -1e9
"""What is added to a score of padding: its weight is then exactly 0 in float32."""


def on_real_tokens(model: keras.Model) -> keras.Model:
    """Returns the same model with its chains of transformer blocks on real tokens alone.

    Args:
        model: A functional model; it stays as it is, and the weights are shared.

    Returns:
        A model with the same inputs and outputs; the model itself where it has no such blocks, where they are not in
        float32, and on a TPU, where every shape has to be known beforehand, or a GPU, where it has not been measured.

    Example:
        >>> import kft
        >>> model = kft.build_model(kft.load_backbone("minilm-l6"), classes=5)  # doctest: +SKIP
        >>> [layer.name for layer in on_real_tokens(model).layers][-4:]  # doctest: +SKIP
        ['transformer_layer_0_on_real_tokens', 'head_pool', 'head_dropout', 'head_logits']
    """
    if needs_static_shapes(tf.distribute.get_strategy()) or tf.config.list_logical_devices("GPU"):
        return model
    nodes = nodes_in_order(model)
    chains = {id(chain[0]): chain for chain in _chains(nodes, model.outputs)}
    if not chains:
        return model
    inside = {id(node) for chain in chains.values() for node in chain}
    known = {id(tensor): tensor for tensor in model.inputs}
    for node in nodes:
        if id(node) in chains:
            chain = chains[id(node)]
            x, mask = (known[id(tensor)] for tensor in (chain[0].input_tensors[0], chain[0].arguments.kwargs[MASK]))
            known[id(chain[-1].output_tensors[0])] = RealTokens([each.operation for each in chain])(
                x, padding_mask=mask
            )
        elif id(node) not in inside:
            call_node(node, known)
    outputs = keras.tree.map_structure(lambda tensor: known[id(tensor)], model.output)
    return keras.Model(model.inputs, outputs, name=model.name)


def _chains(nodes: Sequence[Any], outputs: Sequence[Any]) -> list[list[Any]]:
    """Returns the calls of blocks that follow one another directly: nothing else reads what passes between them."""
    readers = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    readers.update(id(tensor) for tensor in outputs)
    chains: list[list[Any]] = []
    for node in (node for node in nodes if _fits(node)):
        last = chains[-1][-1] if chains else None
        follows = (
            last is not None
            and node.input_tensors[0] is last.output_tensors[0]
            and node.arguments.kwargs[MASK] is last.arguments.kwargs[MASK]
            and readers[id(last.output_tensors[0])] == 1
        )
        if follows:
            chains[-1].append(node)
        else:
            chains.append([node])
    return chains


def _fits(node: Any) -> bool:
    """Whether a call is that of a block as keras-hub has it, in float32, with a padding mask and nothing else."""
    from keras_hub.layers import TransformerEncoder

    layer, given = node.operation, node.arguments
    if type(layer) is not TransformerEncoder or len(given.args) != 1:
        return False
    asked = {name for name, value in given.kwargs.items() if value is not None}
    if asked - {"training"} != {MASK}:
        return False
    return all(each.dtype_policy.name == "float32" for each in layer._flatten_layers())


class RealTokens(keras.layers.Layer):
    """A chain of transformer blocks.

    Call arguments:
        x: ``float32[batch, tokens, width]``.
        padding_mask: ``int[batch, tokens]``, 1 for a real token.

    Returns:
        ``float32[batch, tokens, width]``: zeros at padding.
    """

    def __init__(self, blocks: Sequence[keras.layers.Layer]) -> None:
        super().__init__(name=f"{blocks[0].name}_on_real_tokens", dtype="float32")
        self.blocks = list(blocks)
        self.built = True

    def compute_output_shape(self, x_shape: tuple, padding_mask_shape: tuple) -> tuple:
        return x_shape

    def call(self, x: Any, padding_mask: Any, training: bool | None = None) -> Any:
        """Runs the blocks one after the other."""
        multiple = 1 if training else EVEN
        outside, inside = _Layout.of(padding_mask, multiple), _Layout.of(_filled(padding_mask, multiple), multiple)
        found = outside.together(tf.reshape(x, (-1, x.shape[-1])))
        for block in self.blocks:
            found = _block(block, found, inside, bool(training))
        return tf.reshape(outside.apart(found), tf.shape(x))


def _filled(mask: Any, multiple: int) -> Any:
    """Returns a padding mask whose texts have a length that is a multiple of this."""
    return mask if multiple == 1 else tf.pad(mask, ((0, 0), (0, -tf.shape(mask)[1] % multiple)))


@dataclass(frozen=True)
class _Layout:
    """Where the real tokens of a batch stand.

    Attributes:
        shape: ``int32[2]``: texts and tokens of the padded batch.
        far: ``float32[texts, 1, 1, tokens]``: what is added to the scores.
        together: From ``[texts * tokens, n]`` to ``[real, n]``, filled up with copies of the first token.
        apart: From ``[real, n]`` to ``[texts * tokens, n]``, zeros at padding. Each is the gradient of the other.
    """

    shape: Any
    far: Any
    together: Callable[[Any], Any]
    apart: Callable[[Any], Any]

    @staticmethod
    def of(mask: Any, multiple: int = 1) -> _Layout:
        shape = tf.shape(mask)
        real = tf.reshape(mask, [-1]) > 0
        places = tf.cast(tf.where(real)[:, 0], tf.int32)
        size, count, column = tf.size(mask), tf.size(places), places[:, None]
        more = -count % multiple
        first = tf.concat([places, tf.repeat(places[:1], more)], axis=0) if multiple > 1 else places

        def spread(values: Any) -> Any:
            return tf.scatter_nd(column, values[:count], tf.stack([size, tf.shape(values)[1]]))

        def collect(slope: Any) -> Any:
            return tf.pad(tf.gather(slope, places), ((0, more), (0, 0)))

        @tf.custom_gradient
        def together(values: Any) -> Any:
            return tf.gather(values, first), spread

        @tf.custom_gradient
        def apart(values: Any) -> Any:
            return spread(values), collect

        far = (1 - tf.cast(tf.reshape(real, (shape[0], 1, 1, shape[1])), tf.float32)) * FAR
        return _Layout(shape, far, together, apart)


def _block(layer: Any, x: Any, layout: _Layout, training: bool) -> Any:
    """One ``TransformerEncoder``, with the normalisation before or behind, as its own ``call`` has it."""
    first, before = layer._self_attention_layer_norm, layer.normalize_first
    y = _attention(layer._self_attention_layer, _norm(first, x) if before else x, layout, training)
    x = layer._self_attention_dropout(y, training=training) + x
    x = x if before else _norm(first, x)
    second = layer._feedforward_layer_norm
    y = _dense(layer._feedforward_intermediate_dense, _norm(second, x) if before else x)
    y = _dense(layer._feedforward_output_dense, y)
    x = layer._feedforward_dropout(y, training=training) + x
    return x if before else _norm(second, x)


def _attention(layer: Any, x: Any, layout: _Layout, training: bool) -> Any:
    heads, size = layer._num_heads, layer._key_dim
    parts = (layer._query_dense, layer._key_dense, layer._value_dense)
    if any(hasattr(part, A) for part in parts):
        made = tf.concat([tf.reshape(part(x[None])[0], (-1, heads * size)) for part in parts], axis=1)
    else:
        kernel = tf.concat([tf.reshape(part.kernel.value, (-1, heads * size)) for part in parts], axis=1)
        bias = tf.concat([tf.reshape(part.bias.value, [-1]) for part in parts], axis=0)
        made = tf.nn.bias_add(tf.matmul(x, kernel), bias)
    texts, tokens = tf.unstack(layout.shape)
    beside = tf.reshape(layout.apart(made), (texts, tokens, 3, heads, size))
    query, key, value = tf.unstack(tf.transpose(beside, (2, 0, 3, 1, 4)))
    scores = tf.raw_ops.BatchMatMulV2(x=query * size**-0.5, y=key, adj_y=True) + layout.far
    weights = layer._dropout_layer(tf.nn.softmax(scores), training=training)
    mixed = tf.transpose(tf.raw_ops.BatchMatMulV2(x=weights, y=value), (0, 2, 1, 3))
    found = layout.together(tf.reshape(mixed, (texts * tokens, heads * size)))
    output = layer._output_dense
    if hasattr(output, A):
        return output(tf.reshape(found, (1, -1, heads, size)))[0]
    kernel = tf.reshape(output.kernel.value, (heads * size, -1))
    return tf.nn.bias_add(tf.matmul(found, kernel), tf.convert_to_tensor(output.bias.value))


def _dense(layer: Any, x: Any) -> Any:
    if hasattr(layer, A):
        return layer(x)
    made = tf.nn.bias_add(tf.matmul(x, layer.kernel.value), tf.convert_to_tensor(layer.bias.value))
    if layer.activation in (exact_gelu, keras.activations.gelu):
        return _gelu(made)
    return made if layer.activation is None else layer.activation(made)


def _norm(layer: Any, x: Any) -> Any:
    gamma, beta = (tf.convert_to_tensor(each.value) for each in (layer.gamma, layer.beta))
    return _layer_norm(x, gamma, beta, layer.epsilon)


@tf.custom_gradient
def _gelu(x: Any) -> Any:
    """``x * cdf(x)``; its derivative is ``cdf(x) + x * pdf(x)`` (Hendrycks and Gimpel, 2016)."""
    below = 0.5 * (1 + tf.math.erf(x * 0.5**0.5))

    def gradient(slope: Any) -> Any:
        return slope * (below + x * tf.exp(-0.5 * x * x) * 0.3989422804014327)  # 1 / sqrt(2 pi)

    return x * below, gradient


def _layer_norm(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """Layer normalisation (Ba et al., 2016), with the gradient in closed form: it keeps one array instead of five."""

    @tf.custom_gradient
    def normalise(x: Any, gamma: Any, beta: Any) -> Any:
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        scale = tf.math.rsqrt(tf.reduce_mean(centred * centred, axis=-1, keepdims=True) + epsilon)
        unit = centred * scale

        def gradient(slope: Any) -> Any:
            inner, along = slope * gamma, slope * unit
            shared = tf.reduce_mean(along * gamma, axis=-1, keepdims=True)
            back = scale * (inner - tf.reduce_mean(inner, axis=-1, keepdims=True) - unit * shared)
            return back, tf.reduce_sum(along, axis=0), tf.reduce_sum(slope, axis=0)

        return unit * gamma + beta, gradient

    return normalise(x, gamma, beta)
