"""Turns a freeze rule into what trains, and says so in a table.

Rules: ``none`` (the head alone trains), ``top-N`` (head and the N blocks below it), ``all``. The head always
trains. Keras ignores a change of ``trainable`` after a training step was traced, without a word; the loop
therefore makes a new optimizer and a new trace whenever this was called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kft.errors import ModelError
from kft.model.blocks import Block, find_blocks

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class BlockRow:
    """One line of the table of what trains."""

    block: str
    parameters: int
    trainable: int


@dataclass(frozen=True)
class FreezeTable:
    """What trains under a rule, block by block."""

    rule: str
    rows: tuple[BlockRow, ...]

    @property
    def parameters(self) -> int:
        """All parameters of the model."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """The parameters that train."""
        return sum(row.trainable for row in self.rows)

    def __str__(self) -> str:
        lines = [f"{'block':<10} {'parameters':>12}  trains"]
        for row in self.rows:
            lines.append(f"{row.block:<10} {row.parameters:>12,}  {'yes' if row.trainable else 'no'}")
        share = self.trainable / max(1, self.parameters)
        lines.append(f"{'in all':<10} {self.parameters:>12,}  {self.trainable:,} ({share:.2%})")
        return "\n".join(lines)


def freeze(model: keras.Model, rule: str) -> FreezeTable:
    """Sets which blocks of a model train, and returns the table.

    Args:
        model: A flat functional model, such as ``kft.build_model`` returns. Changed in place.
        rule: ``none``, ``top-N`` or ``all``: what trains beside the head.

    Raises:
        ModelError: The rule is unknown, asks for more blocks than there are, or leaves nothing to train.

    Example:
        >>> import kft
        >>> model = kft.build_model(kft.load_backbone("minilm-l6"), classes=5)  # doctest: +SKIP
        >>> kft.freeze(model, "top-2").trainable  # doctest: +SKIP
        3550853
    """
    blocks = find_blocks(model)
    training = trainable_blocks(blocks, rule)
    # From the top down: a variable tied across blocks belongs to the earliest, whose word is then the last.
    for block in reversed(blocks):
        for layer in block.layers:
            layer.trainable = block.name in training
    counted: set[int] = set()
    table = FreezeTable(rule, tuple(_row(block, counted) for block in blocks))
    if table.trainable == 0:
        raise ModelError(
            "nothing is left to train",
            where=f"unfreeze: {rule}",
            received=", ".join(sorted(training)),
            expected="a head or a block with weights",
            next_step="attach a head with kft.build_model",
        )
    return table


def moving_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns the weights that training moves now: those that train, and the statistics of BatchNorms that adapt."""
    import keras

    adapting = {
        id(variable)
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        for variable in layer.non_trainable_variables
    }
    training = {id(variable) for variable in model.trainable_variables}
    return [variable for variable in model.weights if id(variable) in training | adapting]


def trainable_blocks(blocks: tuple[Block, ...], rule: str) -> frozenset[str]:
    """Returns the names of the blocks that train under a rule."""
    names = [block.name for block in blocks]
    numbered = [name for name in names if name.startswith("block_")]
    if rule == "all":
        return frozenset(names)
    if rule == "none":
        return frozenset({"head"})
    check_rule(rule, len(numbered))
    return frozenset({"head", *numbered[-int(rule.removeprefix("top-")) :]})


def check_rule(rule: str, blocks: int) -> None:
    """Refuses a freeze rule that a backbone of so many numbered blocks cannot follow.

    Raises:
        ModelError: It is unknown, or asks for more blocks than there are.
    """
    top = rule.removeprefix("top-")
    if rule in ("all", "none") or (rule.startswith("top-") and top.isdecimal() and 1 <= int(top) <= blocks):
        return
    names = ["stem", *(f"block_{number:02d}" for number in range(blocks)), "head"]
    raise ModelError(
        f"the freeze rule {rule!r} fits no block of this model",
        where="unfreeze",
        received=rule,
        expected=f"none, all, or top-1 to top-{blocks}; the blocks are {', '.join(names)}",
        next_step=f"unfreeze: top-{min(2, blocks)}",
    )


def _row(block: Block, counted: set[int]) -> BlockRow:
    trainable = {id(v) for layer in block.layers for v in layer.trainable_variables}
    own = [variable for variable in block.variables if id(variable) not in counted]  # a tied one counts once
    counted.update(id(variable) for variable in own)
    sizes = [(int(variable.shape.num_elements()), id(variable) in trainable) for variable in own]
    return BlockRow(block.name, sum(n for n, _ in sizes), sum(n for n, moves in sizes if moves))
