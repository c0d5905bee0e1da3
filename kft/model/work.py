"""How much arithmetic an example takes, by sizes alone: no clock plays a part."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from kft.model.blocks import find_blocks
from kft.model.graph import nodes_in_order

if TYPE_CHECKING:
    import keras


def multiply_adds(model: keras.Model, tokens: float) -> float:
    """Returns the multiplications, each with an addition, of one example through the numbered blocks.

    Each weight is used once at every place of what its layer puts out: a token, or a pixel of a feature map (as in
    Kaplan et al., 2020). What attention multiplies beside its weights is left out; it is little among short texts.

    Args:
        model: From ``build_model``, so that images have a size.
        tokens: Of one text.

    Raises:
        ModelError: The layers cannot be sorted into blocks.
    """
    blocks = [block for block in find_blocks(model) if block.name.startswith("block_")]
    inside = {id(layer) for block in blocks for layer in block.layers}
    calls = (node for node in nodes_in_order(model) if id(node.operation) in inside)
    return sum(node.operation.count_params() * _places(node.output_tensors[0], tokens) for node in calls)


def _places(output: Any, tokens: float) -> float:
    """How many vectors a tensor ``[batch, ..., width]`` holds of each example."""
    return math.prod(tokens if size is None else size for size in output.shape[1:-1])


def estimated_minutes(work: float, passes: int) -> float:
    """Returns roughly how long training takes, by size alone: no clock plays a part.

    ``passes * 2`` floating-point operations for each multiplication, at 2e10 a second and CPU core, or 1e13 on an
    accelerator.

    Args:
        work: Of one pass over all that is learned from, by ``multiply_adds``, times epochs.
        passes: 3 where all weights train (forwards; backwards to inputs, and to weights), 2 where few do.
    """
    import tensorflow as tf

    fast = tf.config.list_logical_devices("GPU") + tf.config.list_logical_devices("TPU")
    rate = 1e13 * len(fast) if fast else 2e10 * len(os.sched_getaffinity(0))
    return 2 * passes * work / rate / 60
