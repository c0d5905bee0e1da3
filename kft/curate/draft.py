"""Drafts a commented recipe from a first look at the data: what it says is what runs."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kft.characters import shorten
from kft.curate.look import Look
from kft.curate.written import (
    about_responses,
    column_lines,
    lengths_of_both,
    model_lines,
    room_of_both,
    train_lines,
)
from kft.data.soft_columns import SAID
from kft.recipe.schema import ModelSpec
from kft.recipe.sources import TFDS, absolute_source, is_named
from kft.recipe.training import PAIRED, PhaseSpec, default_phases
from kft.tasks.task import Task

SIZES = (128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192)
"""What ``model.max_tokens`` is drafted as: the first that holds nearly all texts, and that the backbone takes."""
NEARLY_ALL = 0.99
SHARE = "15%"
TERMS = " --accept-terms gemma"
"""The weights of the language model that a draft names have terms, which somebody accepts once."""
LEARNT_FROM = 0.7
"""Share of the rows that is left to train on where valid and test are shares of them."""
MORE_OR_LESS = (0.9, 1.1)
"""So much more or less of them may groups leave."""


@dataclass(frozen=True)
class DraftedBackbone:
    """What is known of the backbone that a draft names, without loading it.

    Attributes:
        name: As a recipe says it.
        blocks: Numbered blocks.
    """

    name: str
    blocks: int


@dataclass(frozen=True)
class Lengths:
    """How long texts are before any is cut, in tokens.

    Attributes:
        tokens: ``int[n]`` of a sample of them.
        exact: Whether they were counted with the backbone's tokenizer; otherwise they are reckoned from words.
        limit: How many the backbone takes.
    """

    tokens: np.ndarray
    exact: bool
    limit: int

    @property
    def drafted(self) -> int:
        """What ``model.max_tokens`` should be.

        Example:
            >>> Lengths(np.array([40, 300]), True, 512).drafted
            384
        """
        wanted = float(np.quantile(self.tokens, NEARLY_ALL))
        return min(next((size for size in SIZES if size >= wanted), SIZES[-1]), self.limit)

    @property
    def cut(self) -> float:
        """The share of texts that are cut there."""
        return float((self.tokens > self.drafted).mean())

    def described(self) -> str:
        """Returns the lengths, and what of them is cut, for people.

        Example:
            >>> said = Lengths(np.array([40, 300]), True, 256).described()
            >>> said.split("; ")[1]
            '50 % of the texts are cut at 256, the most that the backbone takes: 13 % of all text is lost'
        """
        median, most = np.quantile(self.tokens, (0.5, NEARLY_ALL))
        about = "" if self.exact else "about "
        said = f"median {about}{median:,.0f}, 99 % up to {about}{most:,.0f} tokens"
        if self.cut <= 1 - NEARLY_ALL:
            return said
        why = ", the most that the backbone takes" if self.drafted == self.limit else ""
        lost = float(np.maximum(self.tokens - self.drafted, 0).sum() / self.tokens.sum())
        share = f": {about}{100 * lost:.0f} % of all text is lost"
        return f"{said}; {about}{100 * self.cut:.0f} % of the texts are cut at {self.drafted}{why}{share}"


@dataclass(frozen=True)
class TokenLengths:
    """How long prompts and responses are, in tokens that are reckoned from words.

    Attributes:
        prompts: One a row of a sample.
        responses: Likewise.
    """

    prompts: tuple[int, ...]
    responses: tuple[int, ...]

    @property
    def drafted(self) -> int:
        """What ``model.max_tokens`` should be."""
        return room_of_both(self.prompts, self.responses)[0]

    def described(self) -> str:
        """Returns the lengths, for people."""
        return lengths_of_both(self.prompts, self.responses)


def draft_recipe(
    look: Look, target: Path, backbone: DraftedBackbone, lengths: Lengths | TokenLengths | None = None
) -> str:
    """Returns a commented recipe; its paths are relative to the recipe's own folder.

    Args:
        look: At the data.
        target: Where the recipe goes.
        backbone: The one it names.
        lengths: Of the texts; None for images.
    """
    reads, metric = look.task.reads, look.task.kind.judging.main
    valid = _written(look.beside.valid, target) if look.beside.valid else SHARE
    test = _written(look.test, target) if look.test else SHARE
    gate = ">= 0.85" if metric.higher_is_better else "<= 0.5"
    rows, noun = f"{look.rows:,} {'images' if reads.files else 'rows'}", reads.one
    labels = "numbers" if look.numbers else f"{len(look.counts)} labels"
    purpose, terms = f"{shorten(look.columns.label, 30)} of {noun}, from {rows} and {labels}", ""
    if look.task.kind.writes:
        purpose, terms = f"answers to prompts, from {rows}: {about_responses(look.responses)}", TERMS
    return f"""# purpose: {purpose}
# command: kft train {target}{terms}
# result:  not trained yet

task: {look.task.name}

data:
  train: {_written(_source(look), target)}
{_dialect(look)}{_columns(look)}  valid: {valid:<15}  # choices (epochs, strengths) look at this share only
  test: {test:<15}   # sealed until the end; a share, a file or a folder
{_unusable(look)}{_together(look)}{_other_columns(look)}
model:
  backbone: {backbone.name:<20}  # kft models{" --modality image" if reads.files else ""} lists them
{_model(look, lengths)}
{_train(look, backbone)}
# evaluate:
#   gates: {{{metric.name}: "{gate}"}}   # kft evaluate exits 1 when a gate fails
"""


def _columns(look: Look) -> str:
    if look.folders:
        return ""
    if look.task.kind.writes:
        return column_lines(look.chats, look.columns.text, look.columns.label)
    named = dict(zip((*look.task.reads.columns, "label"), map(_name, look.columns.named), strict=True))
    if look.labels:
        named["label"] = f"[{', '.join(map(_name, look.labels))}]   # {SAID[look.columns.holds]}"
        if look.columns.holds != "marks":
            named["label_columns_hold"] = look.columns.holds
    return "".join(f"  {key}: {name}\n" for key, name in named.items())


def _unusable(look: Look) -> str:
    if look.unusable:
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in look.unusable)
        return f"  unusable_rows: skip    # {reasons}: left out, and listed in findings.json; error stops instead\n"
    if look.unopened:
        return f"  unusable_rows: skip    # {look.unopened:,} images were not opened yet; error stops at bad ones\n"
    return "  unusable_rows: error   # or skip: rows without input or label are listed and left out\n"


def _together(look: Look) -> str:
    """Photos come in series: of one shelf, one walk, one patient."""
    if not look.task.reads.files or (look.test and look.beside.valid):
        return ""
    return (
        "  keep_together: similar # photos that look alike to the backbone stay on one side of a split: series would\n"
        "                         # flatter the figures; copies keeps only copies together\n"
    )


def _other_columns(look: Look) -> str:
    """Proposals for columns; in force where they can do no harm, as a comment where a person has to decide."""
    if look.folders:
        return ""
    found, apart = look.proposals, bool(look.test or look.beside.valid)
    seen = dict(found.said)
    lines = []
    if found.group:
        lines.append(
            f"  {'# ' if apart else ''}group: {_name(found.group)}    # {_seen(seen['group'])}: rows of one value "
            f"never cross a split{'; where no value stands in two of the files' if apart else ''}"
        )
    else:
        lines.append("  # group: COLUMN        # rows of one customer, review or document never cross a split")
    if found.id:
        lines.append(
            f"  {'# ' if apart else ''}id: {_name(found.id)}    # {_seen(seen['id'])}; without it, file and row number"
        )
    else:
        lines.append("  # id: COLUMN           # a unique name for each row; default: file and row number")
    if found.time:
        lines.append(
            f"  # time: {_name(found.time)}    # {_seen(seen['time'])}: the oldest rows would be train, the newest test"
        )
    if found.slices:
        named = ", ".join(map(_name, found.slices))
        lines.append(f"  # slices: [{named}]    # not read by the model; figures by the values of each")
    return "\n".join(lines) + "\n"


def _seen(said: str) -> str:
    return " ".join(said.partition("', ")[2].split())


def _name(column: str) -> str:
    return json.dumps(column, ensure_ascii=False)


def _model(look: Look, lengths: Lengths | TokenLengths | None) -> str:
    if isinstance(lengths, TokenLengths):
        return model_lines(lengths.prompts, lengths.responses, chats=look.chats is not None)
    if lengths is None:
        return "  image: {fit: crop}             # the middle of each image; pad and stretch keep all of it\n"
    # The default stays one: a backbone that knows fewer positions may take its place.
    mark = "# " if lengths.drafted == ModelSpec().max_tokens else ""
    said = f"  {mark}max_tokens: {lengths.drafted:<18}  # {lengths.described()}\n"
    if "model.long_text" not in set(look.task.keys) - set(look.task.refuses) or lengths.cut <= 1 - NEARLY_ALL:
        return said
    return (
        said
        + "  # long_text: windows            # reads all of a long text, in windows of max_tokens; 128 suits them\n"
    )


def _train(look: Look, backbone: DraftedBackbone) -> str:
    if look.task.kind.writes:
        return train_lines()
    keys = _augment(look.task) + _phases(look, backbone)
    in_force = any(not line.startswith("  #") for line in keys.splitlines())
    return f"{'' if in_force else '# '}train:\n{keys}"


def _augment(task: Task) -> str:
    if not task.reads.files:
        return ""
    return "  augment: {flip: horizontal, crop: 0.6, color: 0.2}   # training images alone, anew in each epoch\n"


def _phases(look: Look, backbone: DraftedBackbone) -> str:
    """The phases that kft will choose for so many rows a class.

    As a comment, so that they still fit when somebody names another backbone; in force where a few rows more or less
    in the split would lead to others.
    """
    apart = (look.test is None) + (look.beside.valid is None)
    rows = look.usable * (1 - apart * (1 - LEARNT_FROM) / 2) / max(1, len(look.counts))
    chosen, *others = (
        PAIRED
        if look.task.kind.embeds
        else default_phases(rows_per_class=rows * by, blocks=backbone.blocks, blends=True)
        for by in (1, *MORE_OR_LESS)
    )
    sure = all(other == chosen for other in others)
    mark, when = ("# ", "left out, these run") if sure else ("", "these run")
    title = f"{when} with {backbone.name}; valid chooses among them, and none runs after a perfect one"
    lines = [f"phases:   # {title}", *(f"  - {_phase(phase)}" for phase in chosen)]
    return "".join(f"  {mark}{line}\n" for line in lines)


def _phase(phase: PhaseSpec) -> str:
    written = [f"name: {phase.name}", f"unfreeze: {phase.unfreeze}"]
    if phase.solved:
        written.append(f"solver: {phase.solver}")
    else:
        written += [f"epochs: {phase.epochs}", f"lr: {phase.lr:g}"]
    if phase.start is not None:
        written.append(f"start: {phase.start}")
    return "{" + ", ".join(written) + "}"


def _dialect(look: Look) -> str:
    written = f"  encoding: {look.dialect.encoding}\n" if look.dialect.encoding else ""
    if look.dialect.separator:
        written += f"  separator: {json.dumps(look.dialect.separator)}    # what parts the columns of the table\n"
    if look.dialect.columns:
        named = ", ".join(map(_name, look.dialect.columns))
        written += f"  columns: [{named}]    # of a file whose first line is a row\n"
    return written


def _source(look: Look) -> Path | str:
    return look.source if is_named(look.source) or look.path is None else look.path


def _written(source: Path | str, target: Path) -> str:
    """Returns a source, seen from the recipe's folder, as YAML."""
    folder = target.resolve().parent
    text = absolute_source(str(source), Path.cwd())
    opening, path = (TFDS, text.removeprefix(TFDS)) if text.startswith(TFDS) else ("", text)
    if path.startswith("/"):
        path = os.path.relpath(path, folder)
        text = opening + ("./" if opening and not path.startswith(".") else "") + path
    plain = re.fullmatch(r"[\w./-]+|[a-z]+:[\w./:?=%\[\]+-]+", text) and not text.startswith("-")
    return text if plain else json.dumps(text, ensure_ascii=False)  # JSON is YAML
