"""Drafts a commented recipe from a first look at the data."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from kft.curate.look import Look, shorten
from kft.recipe.sources import TFDS, absolute_source, is_named

MODELS = {
    "text": """model:
  backbone: minilm-l6    # kft models lists them
  max_tokens: 128        # longer texts are cut, and the share is printed
""",
    "image": """model:
  backbone: efficientnet-lite0   # kft models --modality image lists them
  image: {fit: crop}             # the middle of each image; pad and stretch keep all of it
""",
}
TRAINING = {
    "text": """# train: left out, kft solves a linear probe, then fine-tunes the top blocks from there.
# train:
#   phases:
#     - {name: probe, unfreeze: none, solver: lbfgs}
#     - {name: top, unfreeze: top-2, epochs: 4, lr: 5e-5}
""",
    "image": """train:
  augment: {flip: horizontal, crop: 0.6, color: 0.2}   # training images alone, anew in each epoch
# phases: left out, kft solves a linear probe, then fine-tunes the top blocks from there.
# phases:
#   - {name: probe, unfreeze: none, solver: lbfgs}
#   - {name: top, unfreeze: top-4, epochs: 4, lr: 1e-4}
""",
}
"""What a drafted recipe holds, by what the backbone reads."""


def draft_recipe(look: Look, target: Path) -> str:
    """Returns a commented recipe; its paths are relative to the recipe's own folder."""
    reads, metric = look.task.reads, look.task.kind.judging.main
    test = _written(look.test, target) if look.test else "15%"
    valid = _written(look.valid, target) if look.valid else "15%"
    gate = ">= 0.85" if metric.higher_is_better else "<= 0.5"
    rows, noun = f"{look.rows:,} {'images' if reads.files else 'rows'}", reads.one
    labels = "numbers" if look.numbers else f"{len(look.counts)} labels"
    return f"""# purpose: {shorten(look.columns.label, 30)} of {noun}, from {rows} and {labels}
# command: kft train {target}
# result:  not trained yet

task: {look.task.name}

data:
  train: {_written(_source(look), target)}
{_encoding(look)}{_columns(look)}  valid: {valid:<15} # choices (epochs, strengths) look at this share only
  test: {test:<15}  # sealed until the end; a share, a file or a folder
  unusable_rows: error   # or skip: rows without input or label are listed and left out
{_ids(look)}
{MODELS[reads.medium]}
{TRAINING[reads.medium]}
# evaluate:
#   gates: {{{metric.name}: "{gate}"}}   # kft evaluate exits 1 when a gate fails
"""


def _columns(look: Look) -> str:
    if look.folders:
        return ""
    named = zip((*look.task.reads.columns, "label"), look.columns.named, strict=True)
    lines = (f"  {key}: {json.dumps(name, ensure_ascii=False)}\n" for key, name in named)
    return "".join(lines)


def _ids(look: Look) -> str:
    if look.folders:
        return ""
    return """  # group: COLUMN        # rows of one customer, review or document never cross a split
  # id: COLUMN           # a unique name for each row; default: file and row number
"""


def _encoding(look: Look) -> str:
    return f"  encoding: {look.encoding}\n" if look.encoding else ""


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
