"""How long texts are, and what of them and of their labels no model will see: told before training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.data.examples import Examples
from kft.errors import ModelError
from kft.model.backbones import Backbone
from kft.model.encode import Encoded
from kft.model.prompts import PromptReader
from kft.recipe.schema import NO_TURN, RecipeSpec
from kft.split.data_split import Selection, labels_of
from kft.train.job import Labelled
from kft.train.progress import Progress


def show_lengths(train: Encoded, valid: Encoded, spec: RecipeSpec, backbone: Backbone, progress: Progress) -> None:
    """Says how long texts are, and what of them is cut or left out.

    Raises:
        ModelError: One is longer, after the cut, than what the backbone has positions for.
    """
    pieces = np.concatenate([train.source.pieces, valid.source.pieces])
    require_positions(pieces, backbone)
    if not spec.model.in_windows:
        said = f"median {int(np.median(pieces))}, longest {pieces.max()} a text"
        at = spec.model.max_tokens
    else:
        counts = np.concatenate([train.source.lengths, valid.source.lengths]) // spec.model.max_tokens
        said = f"{counts.sum():,} windows of {spec.model.max_tokens}, median {int(np.median(counts))} a text"
        at = spec.model.windows.most
    cut = train.responses_cut + valid.responses_cut
    if cut and spec.model.turns == NO_TURN:
        progress.note(
            f"warning    {cut:,} of {len(pieces):,} texts cut at {spec.model.max_tokens} tokens: the rest is not "
            "learned; --set model.max_tokens=N keeps more"
        )
    elif cut:
        progress.note(
            f"warning    {cut:,} of {len(pieces):,} responses cut at {spec.model.room} tokens: the model does not "
            "learn how they end; --set model.response_tokens=N keeps more"
        )
    if left_out := train.left_out + valid.left_out:
        progress.note(
            f"warning    {left_out:,} passages left out whole: no room before their prompts; "
            "--set model.max_tokens=N, or a smaller model.response_tokens"
        )
    unit, what = "windows" if spec.model.in_windows else "tokens", "texts"
    if train.lost is not None:
        at, what = spec.model.max_tokens - spec.model.room, "prompts"
    progress.note(f"tokens     {said}; {train.cut + valid.cut:,} of {len(pieces):,} {what} cut at {at} {unit}")


def show_rewritten(reader: PromptReader | None, split: Selection, progress: Progress) -> None:
    """Says how many responses no answer can ever match, because the vocabulary lacks what they are written in."""
    if reader is None:
        return
    responses = [str(label) for part in (split.train, split.valid) for label in labels_of(part)]
    if found := reader.rewritten(responses):
        text, back = found[0]
        progress.note(
            f"warning    {len(found):,} of {len(responses):,} responses cannot be written to the letter with this "
            f"vocabulary, such as {text!r:.60}, which becomes {back!r:.60}: the model learns what they become"
        )


def show_lost(parts: Sequence[tuple[Examples, Labelled]], split: Selection, progress: Progress) -> None:
    """Says how many labels no answer can ever match, where a label belongs to a part of a text."""
    lost, total = [], 0
    for examples, labelled in parts:
        labels = list(labels_of(examples))
        total += sum(map(len, labels)) if labelled.offsets is not None else 0
        for place, label in split.kind.learning.lost(labels, split.space, labelled.offsets):
            lost.append(f"{examples.inputs[place][label.start : label.end]!r} in {examples.ids[place]}")
    if lost:
        progress.note(
            f"spans      {len(lost):,} of {total:,} can never be answered, such as {lost[0]}: they begin or end "
            "inside a word, or beyond the cut; kft check lists them"
        )


def require_positions(lengths: np.ndarray, backbone: Backbone) -> None:
    """Refuses texts that are longer, after the cut, than what the backbone has positions for.

    Raises:
        ModelError: One is.
    """
    if lengths.max(initial=0) > backbone.max_tokens:
        raise ModelError(
            "the backbone cannot take texts that long",
            where="model.max_tokens",
            received=f"{lengths.max()} tokens",
            expected=f"at most {backbone.max_tokens}, the positions that {backbone.name} knows",
            next_step=f"--set model.max_tokens={backbone.max_tokens} cuts longer texts, and says how many",
        )
