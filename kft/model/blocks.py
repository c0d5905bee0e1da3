"""Maps a functional backbone onto ordered blocks: ``stem``, ``block_00`` ... , ``head``.

Freezing, layer-wise rate decay and the table of what trains all read this one mapping. Every layer lies in
exactly one block; a layer that nobody described is an error, never a silent guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kft.errors import ModelError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class BlockPatterns:
    """How a family of backbones names its layers; ``block`` captures the block's number."""

    family: str
    stem: str
    block: str


FAMILIES = (
    BlockPatterns(
        family="BERT",
        stem=r"(token|position|segment)_embedding|embeddings_\w+|token_ids|segment_ids|padding_mask",
        block=r"transformer_layer_(\d+)",
    ),
    # A model of one's own, whose layers are named after the blocks they belong to.
    BlockPatterns(family="numbered", stem=r"stem_\w+|images|token_ids|padding_mask", block=r"block_(\d+)_\w+"),
)


@dataclass(frozen=True)
class Block:
    """An ordered part of a model."""

    name: str
    layers: tuple[keras.layers.Layer, ...]

    @property
    def variables(self) -> list[keras.Variable]:
        """The weights of the block, those that training could move and those it never does."""
        return [variable for layer in self.layers for variable in layer.weights]


def count_blocks(backbone: keras.Model) -> int:
    """Returns how many numbered blocks a backbone has, before a head is attached."""
    matches = (re.fullmatch(family.block, layer.name) for family in FAMILIES for layer in backbone.layers)
    return len({match.group(1) for match in matches if match})


def find_blocks(model: keras.Model) -> tuple[Block, ...]:
    """Returns the blocks of a flat functional model, ordered from input to output.

    The head is every layer that comes after the last block and belongs to no backbone family.

    Raises:
        ModelError: No known family fits, or a layer below the head belongs to no block.

    Example:
        >>> import kft
        >>> model = kft.build_model(kft.load_backbone("minilm-l6"), classes=5)  # doctest: +SKIP
        >>> [block.name for block in find_blocks(model)][:3]  # doctest: +SKIP
        ['stem', 'block_00', 'block_01']
    """
    for family in FAMILIES:
        if any(re.fullmatch(family.block, layer.name) for layer in model.layers):
            return _sort_layers(model, family)
    raise ModelError(
        "the model's layers fit no backbone family that kft knows",
        where=model.name,
        received=", ".join(layer.name for layer in model.layers[:8]),
        expected="a flat functional model (not a backbone nested as one layer) of "
        + ", ".join(family.family for family in FAMILIES),
        next_step="build it with kft.build_model(backbone, head='classification', classes=N)",
    )


def _sort_layers(model: keras.Model, family: BlockPatterns) -> tuple[Block, ...]:
    stem: list[keras.layers.Layer] = []
    blocks: dict[int, list[keras.layers.Layer]] = {}
    head: list[keras.layers.Layer] = []
    # Keras lists the layers of a functional model from the inputs to the outputs.
    for layer in model.layers:
        match = re.fullmatch(family.block, layer.name)
        if match:
            blocks.setdefault(int(match.group(1)), []).append(layer)
        elif re.fullmatch(family.stem, layer.name):
            stem.append(layer)
        else:
            head.append(layer)
    below = _ancestors(blocks[max(blocks)][-1])
    lost = [layer.name for layer in head if layer in below]
    if lost:
        raise ModelError(
            f"layers of this {family.family} model belong to no block",
            where=model.name,
            received=", ".join(lost),
            expected=f"names that match {family.stem} or {family.block}",
            next_step="rename the layers, or build the model with kft.build_model",
        )
    numbered = [Block(f"block_{number:02d}", tuple(blocks[number])) for number in sorted(blocks)]
    return (Block("stem", tuple(stem)), *numbered, Block("head", tuple(head)))


def _ancestors(layer: keras.layers.Layer) -> set[keras.layers.Layer]:
    found: set[keras.layers.Layer] = set()
    waiting = [layer]
    while waiting:
        for node in waiting.pop()._inbound_nodes:
            for parent in node.parent_nodes:
                if parent.operation not in found:
                    found.add(parent.operation)
                    waiting.append(parent.operation)
    return found
