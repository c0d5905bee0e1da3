"""A backbone's first blocks alone: a student that runs in a fraction of the time, with the weights it would have there.

The blocks are those that tables and freeze rules name (blocks.py). What a backbone has after its last block, such as a
normalisation, was trained on what the last one gives and means nothing after another: such a backbone is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kft.errors import ModelError
from kft.model.blocks import Block, find_blocks
from kft.model.graph import nodes_in_order

if TYPE_CHECKING:
    from kft.model.backbones import Backbone


def first_blocks(backbone: Backbone, count: int) -> Backbone:
    """Returns a backbone of the stem and the first ``count`` blocks, on the same weights.

    Args:
        backbone: From ``load_backbone``; left as it is.
        count: How many numbered blocks stay; all of them give the backbone itself.

    Raises:
        ModelError: It has fewer blocks, runs one block several times, or something with weights follows its last one.

    Example:
        >>> import kft
        >>> first_blocks(kft.load_backbone("minilm-l6"), 2).model.count_params()  # doctest: +SKIP
        15615360
    """
    import keras

    numbered = [block for block in find_blocks(backbone.model) if block.name.startswith("block_")]
    if count == len(numbered):
        return backbone
    repeated = next((block for block in numbered if block.calls > 1), None)
    if repeated is not None:
        raise _refused(backbone, count, f"{repeated.name}, which runs {repeated.calls} times", "blocks that run once")
    if count > len(numbered):
        raise _refused(backbone, count, f"{len(numbered)} blocks", f"at most {len(numbered)}")
    made_by = backbone.features._keras_history.operation
    if id(made_by) not in {id(layer) for layer in numbered[-1].layers}:
        received = f"{made_by.name}, which follows {numbered[-1].name}"
        raise _refused(backbone, count, received, "a backbone whose last block gives the features, as BERT's")
    features = _output(backbone, count, numbered)
    model = keras.Model(backbone.model.input, features, name=backbone.model.name)
    return replace(backbone, model=model, features=features)


def _output(backbone: Backbone, count: int, numbered: list[Block]) -> Any:
    """Returns the one tensor that the first blocks hand on to the others."""
    below = {id(layer) for block in numbered[:count] for layer in block.layers}
    above = {id(layer) for block in numbered[count:] for layer in block.layers}
    passed = {}
    for node in nodes_in_order(backbone.model):
        if id(node.operation) in above:
            for tensor in node.input_tensors:
                if id(tensor._keras_history.operation) in below:
                    passed[id(tensor)] = tensor
    if len(passed) != 1:
        received = f"{len(passed)} tensors between {numbered[count - 1].name} and {numbered[count].name}"
        raise _refused(backbone, count, received, "blocks that hand on one tensor")
    return next(iter(passed.values()))


def _refused(backbone: Backbone, count: int, received: str, expected: str) -> ModelError:
    return ModelError(
        f"{backbone.name} has no first {count} block{'s' * (count > 1)} that could stand alone",
        where="model.blocks",
        received=received,
        expected=expected,
        next_step="leave model.blocks out, or name a text encoder such as minilm-l6 (kft models)",
    )
