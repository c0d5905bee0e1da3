"""Maps a functional backbone onto ordered blocks: ``stem``, ``block_00`` ... , ``head``.

Freezing, layer-wise rate decay and the table of what trains all read this one mapping. Every layer lies in
exactly one block; a layer that nobody described is an error, never a silent guess.

Numbered layers come from the names that a family gives them, or, where nobody described the model, from its graph
(unnamed.py). The stem is what no numbered layer feeds. The head is what ``kft.build_model`` attached, whose layers
are called ``head_...``; what else follows the last block (a final normalisation, a top convolution) belongs to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kft.errors import ModelError
from kft.model.graph import nodes_in_order
from kft.model.unnamed import HEAD, number_by_graph

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class BlockPatterns:
    """How families of backbones name their layers.

    Attributes:
        family: For messages.
        block: Matches a layer of a block and captures the block's number, which need not start at 0.
    """

    family: str
    block: str


FAMILIES: list[BlockPatterns] = [
    # BERT, DistilBERT, RoBERTa, XLM-R, ELECTRA, GPT-2, Llama, Qwen
    BlockPatterns("transformer", r"transformer_layer_(\d+)"),
    BlockPatterns("DeBERTa-v3", r"disentangled_attention_encoder_layer_(\d+)"),
    BlockPatterns("Gemma", r"decoder_block_(\d+)"),
    BlockPatterns("ALBERT", r"group_(\d+)_inner_layer_\d+"),
    BlockPatterns("ViT", r"transformer_block_(\d+)"),
    # Images: a block is a stage, all of one resolution.
    BlockPatterns("EfficientNet", r"block(\d+)[a-z]+_\w*"),
    BlockPatterns("ResNet and DenseNet", r"(?:stack|transition)(\d+)_\w+"),
    # MobileNet's stages, and a model of one's own, whose layers are named after the blocks they belong to.
    BlockPatterns("numbered", r"block_(\d+)_\w+"),
]
"""One line a family; the first that fits any layer is taken. A line of your own goes in front."""
NAMING = "layers named stem_..., block_00_..., block_01_... and head_..., from input to output"


@dataclass(frozen=True)
class Block:
    """An ordered part of a model.

    Attributes:
        name: ``stem``, ``block_00`` ... or ``head``.
        layers: From input to output.
        calls: How often the block runs in one pass; more than once where a model shares it, as ALBERT does.
    """

    name: str
    layers: tuple[keras.layers.Layer, ...]
    calls: int = 1

    @property
    def variables(self) -> list[keras.Variable]:
        """The weights of the block, those that training could move and those it never does."""
        return [variable for layer in self.layers for variable in layer.weights]

    @property
    def note(self) -> str:
        """What a table should say beside the name; empty where there is nothing to say."""
        return f"runs {self.calls} times, with the same weights" if self.calls > 1 else ""


def count_blocks(backbone: keras.Model) -> int:
    """Returns how many numbered blocks a backbone has, before a head is attached.

    Raises:
        ModelError: Its layers cannot be sorted into blocks.
    """
    return len(set(_number_layers(backbone).values()))


def find_blocks(model: keras.Model) -> tuple[Block, ...]:
    """Returns the blocks of a flat functional model, ordered from input to output.

    The head is every layer called ``head_...``; in a model without such layers, those that come after the last
    numbered one.

    Raises:
        ModelError: The layers cannot be sorted into blocks, or one with weights below the head belongs to none.

    Example:
        >>> import kft
        >>> model = kft.build_model(kft.load_backbone("minilm-l6"), classes=5)  # doctest: +SKIP
        >>> [block.name for block in find_blocks(model)][:3]  # doctest: +SKIP
        ['stem', 'block_00', 'block_01']
    """
    numbers = _number_layers(model)
    names = {old: new for new, old in enumerate(sorted(set(numbers.values())))}
    parents = _parents(model)
    attached = any(re.fullmatch(HEAD, layer.name) for layer in model.layers)
    last = max(numbers.values())
    below = _ancestors([layer for layer in model.layers if numbers.get(id(layer)) == last], parents)
    parts: dict[str, list[keras.layers.Layer]] = {"stem": []}
    parts.update({f"block_{number:02d}": [] for number in names.values()})
    parts["head"] = []
    lost = []
    # Keras lists the layers of a functional model from the inputs to the outputs.
    for layer in model.layers:
        if id(layer) in numbers:
            parts[f"block_{names[numbers[id(layer)]]:02d}"].append(layer)
            continue
        under = [numbers[key] for key in _ancestors([layer], parents) if key in numbers]
        if re.fullmatch(HEAD, layer.name):
            parts["head"].append(layer)
        elif not under:
            parts["stem"].append(layer)
        elif id(layer) not in below:
            parts[f"block_{names[last]:02d}" if attached else "head"].append(layer)
        elif layer.weights:
            lost.append(layer.name)
        else:  # an addition, a pooling, an activation between two blocks
            parts[f"block_{names[max(under)]:02d}"].append(layer)
    if lost:
        raise ModelError(
            "layers of this model belong to no block",
            where=model.name,
            received=", ".join(lost),
            expected=NAMING,
            next_step="rename the layers, or build the model with kft.build_model",
        )
    calls = _calls(model)
    return tuple(
        Block(name, tuple(layers), max((calls[id(layer)] for layer in layers), default=1) if name[:5] == "block" else 1)
        for name, layers in parts.items()
    )


def _number_layers(model: keras.Model) -> dict[int, int]:
    """Maps the identity of each layer that lies in a numbered block to the block's number."""
    for family in FAMILIES:
        matches = [(layer, re.fullmatch(family.block, layer.name)) for layer in model.layers]
        found = {id(layer): int(match.group(1)) for layer, match in matches if match}
        if found:
            return found
    found = number_by_graph(model)
    if found:
        return found
    raise ModelError(
        "the model's layers fit no backbone family that kft knows, and its graph has no blocks that follow each other",
        where=model.name,
        received=", ".join(layer.name for layer in model.layers[:8]),
        expected="a flat functional model (not a backbone nested as one layer) of "
        + ", ".join(family.family for family in FAMILIES)
        + f"; or {NAMING}",
        next_step="build it with kft.build_model(backbone, head='classification', classes=N), or rename its layers",
    )


def _calls(model: keras.Model) -> dict[int, int]:
    calls = {id(layer): 0 for layer in model.layers}
    for node in nodes_in_order(model):
        calls[id(node.operation)] = calls.get(id(node.operation), 0) + 1
    return calls


def _parents(model: keras.Model) -> dict[int, set[int]]:
    """Maps each operation to those whose outputs it takes in this model; a layer may serve in others as well."""
    parents: dict[int, set[int]] = {}
    for node in nodes_in_order(model):
        feeding = parents.setdefault(id(node.operation), set())
        feeding.update(id(parent.operation) for parent in node.parent_nodes)
    return parents


def _ancestors(layers: list[keras.layers.Layer], parents: dict[int, set[int]]) -> set[int]:
    found: set[int] = set()
    waiting = [id(layer) for layer in layers]
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found
