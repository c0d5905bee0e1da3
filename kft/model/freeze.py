"""Turns a freeze rule into what trains, variable by variable, and says so in a table.

The head always trains; beside it: ``none``, ``all``, ``top-N`` blocks, ``{from: BLOCK}`` and all above it,
``{only: [GLOBS]}`` on blocks and variables, ``bias-only`` (Ben Zaken et al., 2022), ``norms-only``, or the adapters of
``{lora: {...}}``. Keras ignores a change of ``trainable`` after a training step was traced, without a word; the loop
therefore makes a new optimizer and a new trace whenever this was called.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pydantic import TypeAdapter, ValidationError

from kft.errors import ModelError
from kft.model.blocks import Block, find_blocks
from kft.recipe.schema import RULES, FreezeRule, PhaseSpec, Unfreeze

if TYPE_CHECKING:
    import keras

BIASES = ("bias", "beta")
ADAPTERS = ("lora_a", "lora_b")
LANGUAGE_MODEL_OUTPUT = "reverse_embeddings"
"""What an untied generative backbone predicts its next token with; no head here takes part in it, so it has no
gradient, and weight decay alone would wear it down."""

_rates: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
"""The dropout rates of layers that are frozen now, to be put back when they train."""


@dataclass(frozen=True)
class BlockRow:
    """One line of the table of what trains."""

    block: str
    parameters: int
    trainable: int
    note: str = ""


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
            part = "yes" if row.trainable == row.parameters else f"{row.trainable:,}"
            note = f"  ({row.note})" if row.note else ""
            lines.append(f"{row.block:<10} {row.parameters:>12,}  {part if row.trainable else 'no'}{note}")
        share = self.trainable / max(1, self.parameters)
        lines.append(f"{'in all':<10} {self.parameters:>12,}  {self.trainable:,} ({share:.2%})")
        return "\n".join(lines)


def freeze(
    model: keras.Model,
    rule: str | Mapping[str, Any] | FreezeRule,
    *,
    norm: str = "frozen",
    augment: bool = True,
) -> FreezeTable:
    """Sets what trains in a model, and returns the table.

    What is frozen infers: no dropout there, no statistics that move.

    Args:
        model: A flat functional model, such as ``kft.build_model`` returns. Changed in place.
        rule: ``none``, ``all``, ``top-N``, ``bias-only``, ``norms-only``, ``{"from": BLOCK}``, ``{"only": [GLOBS]}``
            or ``{"lora": {}}``: what trains beside the head.
        norm: ``frozen`` keeps every BatchNorm of the backbone as it was pretrained, its scale and offset included;
            ``adapt`` lets those in what trains follow the new data.
        augment: Whether the model's random changes to images are made.

    Raises:
        ModelError: The rule is unknown, names what the model does not have, or leaves nothing to train.

    Example:
        >>> import kft
        >>> model = kft.build_model(kft.load_backbone("minilm-l6"), classes=5)  # doctest: +SKIP
        >>> kft.freeze(model, "top-2").trainable  # doctest: +SKIP
        3550853
    """
    blocks = find_blocks(model)
    asked = as_rule(rule, blocks)
    _unfreeze_all(model)
    chosen = _choose(model, blocks, asked)
    held = _batch_norms(blocks) if norm == "frozen" else []
    chosen -= {id(variable) for layer in held for variable in layer.weights}
    for block in blocks:
        trains = block.name == "head" or any(id(variable) in chosen for variable in block.variables)
        for layer in block.layers:
            _set_layer(layer, chosen, block_trains=trains)
    for layer in held:
        layer.trainable = False
    for layer in model.layers:
        if layer.name.endswith("_augment"):
            layer.trainable = augment
    counted: set[int] = set()
    table = FreezeTable(str(asked), tuple(_row(block, counted) for block in blocks))
    _require_something(table, asked, blocks, bool(held))
    return table


def freeze_for(model: keras.Model, phase: PhaseSpec) -> FreezeTable:
    """Sets what trains in a phase; images are changed at random only where they are seen again and again."""
    return freeze(model, phase.unfreeze, norm=phase.norm, augment=phase.solver == "adamw")


def as_rule(rule: str | Mapping[str, Any] | FreezeRule, blocks: tuple[Block, ...] = ()) -> FreezeRule:
    """Returns a rule as the recipe has it.

    Raises:
        ModelError: It is none.

    Example:
        >>> str(as_rule({"from": "block_04"}))
        'from block_04'
    """
    try:
        return TypeAdapter(Unfreeze).validate_python(rule)
    except ValidationError as error:
        where = ".".join(map(str, ("unfreeze", *error.errors()[0]["loc"])))
        raise ModelError(
            f"{rule!r} is no freeze rule",
            where=where,
            received=str(rule),
            expected=RULES + _listed(blocks),
            next_step="unfreeze: top-2",
        ) from None


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


def _unfreeze_all(model: keras.Model) -> None:
    """Takes back what an earlier rule left; a weight that never trains stays as it is.

    Each layer is frozen first: TensorFlow drops an assignment that changes nothing, ``trainable = True`` on a layer
    that trains included, and the variables under it would keep what they had.
    """
    for layer in model.layers:
        layer.trainable = False
        layer.trainable = True


def _choose(model: keras.Model, blocks: tuple[Block, ...], rule: FreezeRule) -> set[int]:
    """Returns the ids of the variables that a rule lets train."""
    trainable = {id(variable) for variable in model.trainable_variables}
    found = {id(variable) for variable in blocks[-1].variables if id(variable) in trainable}
    for block, variable, layer in _owned(blocks):
        if block.name != "head" and id(variable) in trainable and _wants(rule, blocks, block, variable, layer):
            found.add(id(variable))
    return found


def _owned(blocks: tuple[Block, ...]) -> Iterator[tuple[Block, keras.Variable, keras.layers.Layer]]:
    """Yields each variable once, with its block and layer; one that is tied across blocks is the earliest's."""
    seen: set[int] = set()
    for block in blocks:
        for outer in block.layers:
            for layer in outer._flatten_layers():
                for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
                    if id(variable) not in seen:
                        seen.add(id(variable))
                        yield block, variable, layer


def _wants(rule: FreezeRule, blocks: tuple[Block, ...], block: Block, variable: Any, layer: Any) -> bool:
    if variable.name == LANGUAGE_MODEL_OUTPUT:
        return False
    adapter = variable.name in ADAPTERS
    if rule.lora is not None or adapter:
        return rule.lora is not None and adapter
    if rule.only is not None:
        names = (block.name, f"{block.name}/{variable.path}")
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in rule.only for name in names)
    if rule.name == "bias-only":
        return variable.name in BIASES
    if rule.name == "norms-only":
        return "Norm" in type(layer).__name__
    return block.name in _whole_blocks(rule, blocks)


def _whole_blocks(rule: FreezeRule, blocks: tuple[Block, ...]) -> list[str]:
    names = [block.name for block in blocks]
    numbered = [name for name in names if name.startswith("block_")]
    if rule.start is not None:
        return names[names.index(rule.start) :] if rule.start in names else []
    if rule.name is not None and rule.name.startswith("top-"):
        count = int(rule.name.removeprefix("top-"))
        return numbered[-count:] if count <= len(numbered) else []
    return names if rule.name == "all" else []


def _batch_norms(blocks: tuple[Block, ...]) -> list[keras.layers.Layer]:
    import keras

    layers = (layer for block in blocks[:-1] for outer in block.layers for layer in outer._flatten_layers())
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


def _set_layer(layer: keras.layers.Layer, chosen: set[int], *, block_trains: bool) -> None:
    """Freezes a layer whole, dropout included, where nothing in it was chosen; else its other variables alone.

    A layer without weights, such as a dropout of its own, goes with its block.
    """
    trains = any(id(variable) in chosen for variable in layer.weights) if layer.weights else block_trains
    for inner in layer._flatten_layers():
        if isinstance(getattr(inner, "rate", None), float) or inner in _rates:
            if trains and inner in _rates:
                inner.rate = _rates.pop(inner)
            elif not trains and inner not in _rates:
                _rates[inner], inner.rate = inner.rate, 0.0
    layer.trainable = trains
    if trains:
        for variable in layer.trainable_variables:
            variable.trainable = id(variable) in chosen


def _require_something(table: FreezeTable, rule: FreezeRule, blocks: tuple[Block, ...], norms_held: bool) -> None:
    unmatched = _unmatched(rule, blocks)
    backbone = sum(row.trainable for row in table.rows if row.block != "head")
    if unmatched or not (backbone or rule.name == "none" or rule.start == "head"):
        adapt = rule.name == "norms-only" and norms_held
        raise ModelError(
            f"the freeze rule {str(rule)!r} fits no block of this model",
            where="unfreeze",
            received=", ".join(unmatched) or str(rule),
            expected=_expected(rule, blocks) + _listed(blocks),
            next_step="norm: adapt, so that BatchNorm trains" if adapt else f"unfreeze: top-{min(2, len(blocks) - 2)}",
        )
    if table.trainable == 0:
        raise ModelError(
            "nothing is left to train",
            where=f"unfreeze: {rule}",
            received="a model without weights in its head",
            expected="a head or a block with weights",
            next_step="attach a head with kft.build_model",
        )


def _listed(blocks: tuple[Block, ...]) -> str:
    return f"; the blocks are {', '.join(block.name for block in blocks)}" if blocks else ""


def _unmatched(rule: FreezeRule, blocks: tuple[Block, ...]) -> list[str]:
    known = [block.name for block in blocks]
    known += [f"{block.name}/{variable.path}" for block, variable, _ in _owned(blocks)]
    return [pattern for pattern in rule.only or () if not fnmatch.filter(known, pattern)]


def _expected(rule: FreezeRule, blocks: tuple[Block, ...]) -> str:
    if rule.only is not None:
        return "globs on BLOCK or BLOCK/VARIABLE, such as block_*/*bias, that match weights which can train"
    if rule.lora is not None:
        return "a model built with adapters: kft.build_model(..., lora=...)"
    if rule.name in ("bias-only", "norms-only"):
        return f"a backbone with {'biases' if rule.name == 'bias-only' else 'norms'} that may train"
    numbered = sum(block.name.startswith("block_") for block in blocks)
    return f"none, all, or top-1 to top-{numbered}" if rule.start is None else "the name of a block"


def _row(block: Block, counted: set[int]) -> BlockRow:
    trainable = {id(v) for layer in block.layers for v in layer.trainable_variables}
    own = [variable for variable in block.variables if id(variable) not in counted]  # a tied one counts once
    counted.update(id(variable) for variable in own)
    sizes = [(int(variable.shape.num_elements()), id(variable) in trainable) for variable in own]
    return BlockRow(block.name, sum(n for n, _ in sizes), sum(n for n, moves in sizes if moves), block.note)
