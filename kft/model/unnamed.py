"""Blocks of a model that nobody described, from its graph.

First the names: layers that hold others, of one class and with rising numbers, are the blocks of a transformer.
Else the points that every path from the weights nearest the input passes: what lies between two of them is a block,
such as a convolution or a residual unit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kft.model.graph import nodes_in_order

if TYPE_CHECKING:
    import keras

HEAD = r"head_\w+"
"""What the layers are called that ``kft.build_model`` attaches to a backbone."""


def number_by_graph(model: keras.Model) -> dict[int, int]:
    """Maps the identity of layers to block numbers; empty where the graph shows no two blocks in a row.

    Layers of the stem and the head have none.
    """
    return _by_rising_names(model) or _by_narrow_points(model)


def _by_rising_names(model: keras.Model) -> dict[int, int]:
    groups: dict[tuple[type, str], dict[int, int]] = {}
    for layer in model.layers:
        match = re.fullmatch(r"(.*?)(\d+)(\D*)", layer.name)
        if match and layer.weights and len(layer._flatten_layers()) > 1:
            key = type(layer), f"{match.group(1)}#{match.group(3)}"
            groups.setdefault(key, {})[id(layer)] = int(match.group(2))
    groups = {key: group for key, group in groups.items() if _consecutive(list(group.values()))}
    return max(groups.values(), key=len, default={})


def _consecutive(numbers: list[int]) -> bool:
    return len(numbers) > 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _by_narrow_points(model: keras.Model) -> dict[int, int]:
    nodes = nodes_in_order(model)
    place = {id(tensor): at for at, node in enumerate(nodes) for tensor in node.output_tensors}
    # Masks and such come from the inputs alone, without weights; they may feed every block.
    bare: set[int] = set()
    for node in nodes:
        if not getattr(node.operation, "weights", None) and all(
            id(tensor) in bare or id(tensor) not in place for tensor in node.input_tensors
        ):
            bare.update(id(tensor) for tensor in node.output_tensors)
    reach = list(range(len(nodes)))  # the last node that takes what this one gives
    for at, node in enumerate(nodes):
        for tensor in node.input_tensors:
            if id(tensor) in place and id(tensor) not in bare:
                reach[place[id(tensor)]] = max(reach[place[id(tensor)]], at)
    return _cut(nodes, reach)


def _cut(nodes: list[Any], reach: list[int]) -> dict[int, int]:
    """Numbers the segments between narrow points; the first one with weights is the stem."""
    numbers: dict[int, int] = {}
    segment = furthest = 0
    weighted = ended = forks = False
    for at, node in enumerate(nodes):
        operation = node.operation
        if re.fullmatch(HEAD, operation.name):
            break
        weights = bool(getattr(operation, "weights", None))
        # A normalisation belongs to the layer it follows, unless a path around both begins where that one ended.
        if ended and weights and (forks or "Normalization" not in type(operation).__name__):
            segment, weighted, ended = segment + 1, False, False
        weighted = weighted or weights
        if segment and hasattr(operation, "weights"):
            numbers[id(operation)] = segment - 1
        if furthest <= at and weighted:  # nothing before reaches beyond this node
            ended, forks = True, reach[at] > at + 1
        furthest = max(furthest, reach[at])
    return numbers if len(set(numbers.values())) > 1 else {}
