"""The rate table: how much of the peak rate each block has, and so each of its weights."""

from __future__ import annotations

from collections.abc import Sequence

from kft.model.blocks import Block


def block_factors(blocks: Sequence[Block], layer_decay: float) -> dict[str, float]:
    """Returns each block's rate factor under layer-wise decay (Howard and Ruder, 2018).

    The head has 1, the block below it ``layer_decay``, the next ``layer_decay ** 2``, and so on down.
    """
    return {block.name: layer_decay**depth for depth, block in enumerate(reversed(blocks))}


def rate_factors(blocks: Sequence[Block], layer_decay: float) -> dict[str, float]:
    """Returns each variable's rate factor, by its path: its block's."""
    by_block = block_factors(blocks, layer_decay)
    return {variable.path: by_block[block.name] for block in blocks for variable in block.variables}
