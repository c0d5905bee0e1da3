"""Turns a freeze rule into what would train, variable by variable, and says so in a table; applying it comes after.

The head always trains; beside it: ``none``, ``all``, ``top-N`` blocks, ``{from: BLOCK}`` and all above it,
``{only: [GLOBS]}`` on blocks and variables, ``bias-only`` (Ben Zaken et al., 2022), ``norms-only``, or the adapters of
``{lora: {...}}``. Keras ignores a change of ``trainable`` after a training step was traced, without a word; the loop
therefore makes a new optimizer and a new trace whenever a plan was applied.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from kft.errors import ModelError
from kft.model.blocks import Block, find_blocks
from kft.recipe.training import RULES, FreezeRule, PhaseSpec, Unfreeze
from kft.records.estimate import percent

if TYPE_CHECKING:
    import keras

BIASES = ("bias", "beta")
ADAPTERS = ("lora_a", "lora_b")
LANGUAGE_MODEL_OUTPUT = "reverse_embeddings"
"""What an untied generative backbone predicts its next token with: frozen under every rule. Heads that classify
give it no gradient, so that weight decay alone would wear it down; causal-lm reads it as it was pretrained."""

RATE = "rate_when_it_trains"
"""Where a frozen layer, whose dropout rate is 0, keeps the rate it had."""


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
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        return sum(row.trainable for row in self.rows)

    def __str__(self) -> str:
        lines = [f"{'block':<10} {'parameters':>12}  trains"]
        for row in self.rows:
            part = "yes" if row.trainable == row.parameters else f"{row.trainable:,}"
            note = f"  ({row.note})" if row.note else ""
            lines.append(f"{row.block:<10} {row.parameters:>12,}  {part if row.trainable else 'no'}{note}")
        share = self.trainable / max(1, self.parameters)
        lines.append(f"{'in all':<10} {self.parameters:>12,}  {self.trainable:,} ({percent(share, 2)})")
        return "\n".join(lines)


@dataclass(frozen=True)
class FreezePlan:
    """What a rule lets train in one model; nothing in the model has changed yet.

    Attributes:
        table: Of it, block by block.
        training: The identities of the variables that train.
        live: The identities of the layers, inner ones included, that act as in training: dropout, moving statistics.
        moving: The weights that training moves: those that train, those that are solved after each epoch, and the
            statistics of BatchNorms that adapt.
    """

    table: FreezeTable
    training: frozenset[int]
    live: frozenset[int]
    moving: tuple[keras.Variable, ...]


def what_trains(
    model: keras.Model,
    rule: str | Mapping[str, Any] | FreezeRule,
    *,
    norm: str = "frozen",
    augment: bool = True,
    solved: bool = False,
) -> FreezePlan:
    """Says what would train in a model under a rule; changes nothing.

    Args:
        model: A flat functional model, such as ``kft.build_model`` returns.
        rule: ``none``, ``all``, ``top-N``, ``bias-only``, ``norms-only``, ``{"from": BLOCK}``, ``{"only": [GLOBS]}``
            or ``{"lora": {}}``: what trains beside the head.
        norm: ``frozen`` keeps every BatchNorm of the backbone as it was pretrained, its scale and offset included;
            ``adapt`` lets those in what trains follow the new data.
        augment: Whether the model's random changes to images are made.
        solved: Whether the head's last layer takes no steps, because it is solved again after each epoch.

    Raises:
        ModelError: The rule is unknown, names what the model does not have, or leaves nothing to train.
    """
    import keras

    blocks = find_blocks(model)
    asked = as_rule(rule, blocks)
    held = _batch_norms(blocks) if norm == "frozen" else []
    kept = {id(variable) for layer in held for variable in layer.weights}
    last = frozenset(id(variable) for variable in _last_layer(blocks).weights) if solved else frozenset()
    chosen = frozenset(_choose(blocks, asked) - kept - last)
    live: set[int] = set()
    for block in blocks:
        block_trains = block.name == "head" or any(id(variable) in chosen for variable in block.variables)
        for layer in block.layers:
            # A layer without weights, such as a dropout of its own, goes with its block.
            trains = any(id(variable) in chosen for variable in layer.weights) if layer.weights else block_trains
            if augment if layer.name.endswith("_augment") else trains:
                live.update(id(inner) for inner in layer._flatten_layers())
    live -= {id(layer) for layer in held}
    counted: set[int] = set()
    rows = [_row(block, chosen, counted) for block in blocks]
    if solved:
        rows[-1] = replace(rows[-1], note="its last layer is solved after each epoch")
    table = FreezeTable(str(asked), tuple(rows))
    _require_something(table, asked, blocks, bool(held))
    norms = (layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization))
    moves = chosen | last | {id(variable) for layer in norms if id(layer) in live for variable in layer.weights}
    moving = tuple(variable for variable in model.weights if id(variable) in moves)
    return FreezePlan(table, chosen, frozenset(live), moving)


def what_trains_in(model: keras.Model, phase: PhaseSpec) -> FreezePlan:
    """Says what would train in a phase; images are changed at random only where they are seen again and again."""
    solved = not phase.trains_head
    return what_trains(model, phase.unfreeze, norm=phase.norm, augment=not phase.solved, solved=solved)


def freeze(model: keras.Model, rule: str | Mapping[str, Any] | FreezeRule, *, norm: str = "frozen") -> FreezeTable:
    """Sets what trains in a model, and returns the table; see ``what_trains`` for what a rule can be.

    What is frozen infers: no dropout there, no statistics that move.

    Raises:
        ModelError: As ``what_trains``; nothing was changed then.

    Example:
        >>> import kft
        >>> model = kft.build_model(kft.load_backbone("minilm-l6"), classes=5)  # doctest: +SKIP
        >>> kft.freeze(model, "top-2").trainable  # doctest: +SKIP
        3550853
    """
    plan = what_trains(model, rule, norm=norm)
    apply(model, plan)
    return plan.table


def apply(model: keras.Model, plan: FreezePlan) -> None:
    """Sets what trains in the model that the plan was made for."""
    _set(model, plan.training, plan.live)


@contextmanager
def as_if(model: keras.Model, plan: FreezePlan) -> Iterator[None]:
    """Lets the model be looked at, cut or traced as if the plan was applied; after the body it is as it was before."""
    training = frozenset(id(variable) for variable in model.trainable_variables)
    live = frozenset(id(layer) for layer in model._flatten_layers() if layer.trainable)
    apply(model, plan)
    try:
        yield
    finally:
        _set(model, training, live)


def _set(model: keras.Model, training: frozenset[int], live: frozenset[int]) -> None:
    for layer in (inner for outer in model.layers for inner in outer._flatten_layers()):
        trains, whole = id(layer) in live, getattr(layer, RATE, None)
        layer.trainable = trains  # Keras hands it on to the inner layers; each of them has its own turn after it
        if trains and whole is not None:
            layer.rate = whole
            setattr(layer, RATE, None)
        elif not trains and whole is None and isinstance(getattr(layer, "rate", None), float):
            setattr(layer, RATE, layer.rate)
            layer.rate = 0.0
    for layer in model._flatten_layers():
        for variable in layer._trainable_variables:
            variable.trainable = id(variable) in training


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
            f"{rule!r} is not a freeze rule",
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


def _choose(blocks: tuple[Block, ...], rule: FreezeRule) -> set[int]:
    """Returns the ids of the variables that a rule lets train; a weight that never trains is not among them."""
    layers = (inner for block in blocks for outer in block.layers for inner in outer._flatten_layers())
    can = {id(variable) for layer in layers for variable in layer._trainable_variables}
    found = {id(variable) for variable in blocks[-1].variables}
    wanted = [(block, each) for block, each, layer in _owned(blocks) if _wants(rule, blocks, block, each, layer)]
    _refuse_rounded(rule, [f"{block.name}/{each.path}" for block, each in wanted if each.dtype == "int8"])
    found |= {id(variable) for _, variable in wanted}
    return found & can


def _refuse_rounded(rule: FreezeRule, names: list[str]) -> None:
    if names:
        raise ModelError(
            f"weights in 8 bits do not train, and {str(rule)!r} asks {len(names):,} of them to",
            where="unfreeze",
            received=", ".join(names[:3]) + (" ..." if len(names) > 3 else ""),
            expected="adapters in float32 beside them: unfreeze: {lora: {rank: 8}}",
            next_step="--set model.quantize=none",
        )


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
    if variable.name == LANGUAGE_MODEL_OUTPUT or block.name == "head":
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


def _last_layer(blocks: tuple[Block, ...]) -> keras.layers.Layer:
    from kft.model.heads import LOGITS

    (found,) = (layer for layer in blocks[-1].layers if layer.name == LOGITS)
    return found


def _batch_norms(blocks: tuple[Block, ...]) -> list[keras.layers.Layer]:
    import keras

    layers = (layer for block in blocks[:-1] for outer in block.layers for layer in outer._flatten_layers())
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


def _require_something(table: FreezeTable, rule: FreezeRule, blocks: tuple[Block, ...], norms_held: bool) -> None:
    unmatched = _unmatched(rule, blocks)
    backbone = sum(row.trainable for row in table.rows if row.block != "head")
    if unmatched or not (backbone or not rule.moves_backbone or rule.start == "head"):
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


def _row(block: Block, chosen: frozenset[int], counted: set[int]) -> BlockRow:
    own = [variable for variable in block.variables if id(variable) not in counted]  # a tied one counts once
    counted.update(id(variable) for variable in own)
    sizes = [(int(variable.shape.num_elements()), id(variable) in chosen) for variable in own]
    return BlockRow(block.name, sum(n for n, _ in sizes), sum(n for n, moves in sizes if moves), block.note)
