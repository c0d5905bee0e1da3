"""Functional graphs: their nodes in order, and the same layers called again from other tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def nodes_in_order(model: keras.Model) -> list[Any]:
    """Returns the calls that make up a functional model, from input to output; its inputs are none."""
    depths = sorted(model._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in model._nodes_by_depth[depth] if not node.is_input]


def call_again(nodes: Sequence[Any], known: dict[int, Any], outputs: Any) -> Any:
    """Calls the same layers again, from other tensors; ``keras.Model(tensors, outputs)`` mistakes tied layers.

    Args:
        nodes: From ``nodes_in_order``, or a part of them that needs nothing but ``known``.
        known: New tensors by the id of those they stand for.
        outputs: What is wanted, in any structure of the old tensors.

    Returns:
        The same structure of new tensors.
    """
    import keras

    for node in nodes:
        call_node(node, known)
    return keras.tree.map_structure(lambda tensor: known[id(tensor)], outputs)


def call_node(node: Any, known: dict[int, Any]) -> None:
    """Calls a node's layer again, and adds what it gives to the known tensors; see ``call_again``."""
    import keras

    args, kwargs = node.arguments.fill_in(known)
    made = keras.tree.flatten(node.operation(*args, **kwargs))
    known.update((id(tensor), new) for tensor, new in zip(node.output_tensors, made, strict=True))
