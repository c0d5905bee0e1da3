"""`kft init`: a first look at the data, and a recipe drafted from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kft import assets
from kft.curate.draft import DraftedBackbone, Lengths, TokenLengths, draft_recipe
from kft.curate.look import Look, look_at
from kft.data.dialects import PLAIN, Dialect
from kft.data.examples import NamedColumns
from kft.errors import KftError
from kft.model.catalog import CATALOG
from kft.model.hugging_face import read_config
from kft.model.limits import known_limit
from kft.model.sources import fetch_backbone, on_disk
from kft.model.tokenizers import load_tokenizer
from kft.tasks.registry import TASKS
from kft.tasks.task import require_command

if TYPE_CHECKING:
    from collections.abc import Sequence

BACKBONES = {"text": "minilm-l6", "image": "efficientnet-lite0"}
"""What a draft names, by what the backbone reads."""
WRITES = "gemma3-270m"
"""Likewise, where responses are written."""
TOKENS_A_WORD = 1.4
CHARACTERS_A_TOKEN = 6
"""Of words that are longer than that, and of texts without spaces, each so many characters count as a token."""
CHARACTERS_OF_CODE = 3
ONE_A_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Characters that tokenizers take one by one: Chinese, Japanese, Korean."""


def draft(
    source: str,
    target: Path,
    *,
    task: str | None = None,
    named: NamedColumns | None = None,
    dialect: Dialect = PLAIN,
) -> tuple[Look, Lengths | TokenLengths | None, str]:
    """Looks at data, and returns what was seen, how long its texts are, and a recipe for it.

    Args:
        source: As a recipe names data; relative paths start at the current folder.
        target: Where the recipe will go.
        task: What is to be learnt; guessed when left out.
        named: Columns that are known.
        dialect: What is known of how files are written.

    Raises:
        DataError: It cannot be read, or nothing can be learnt from it.
    """
    if task is not None:
        require_command(TASKS.get(task), "init")
    look = look_at(
        source, base=Path.cwd(), locate=assets.locate, task=task, named=named or NamedColumns(), dialect=dialect
    )
    name = WRITES if look.task.kind.writes else BACKBONES[look.task.reads.medium]
    backbone = DraftedBackbone(name, CATALOG.get(name).blocks)
    lengths: Lengths | TokenLengths | None = None
    if look.task.kind.writes:
        asked, said = (tuple(_reckon_marks(text) for text in texts) for texts in (look.sample, look.responses))
        lengths = TokenLengths(asked, said)
    elif not look.task.reads.files:
        lengths = _measure(look.sample, name)
    return look, lengths, draft_recipe(look, target, backbone, lengths)


def _measure(texts: Sequence[str], name: str) -> Lengths:
    """Counts tokens with the backbone's tokenizer where it is on this disk, and reckons them from words elsewhere."""
    limit = known_limit(name) or CATALOG.get(name).max_tokens
    if on_disk(CATALOG.get(name).source):
        try:
            folder = fetch_backbone(name)
            tokenizer = load_tokenizer(folder, str(read_config(folder).get("model_type", "bert")))
            return Lengths(np.asarray(tokenizer.encode(texts, limit)[1]), True, limit)
        except KftError:
            pass  # whoever loads it says what is wrong with it
    return Lengths(np.array([_reckon(text) for text in texts]), False, limit)


def _reckon_marks(text: str) -> int:
    """About how many tokens a text has that may be JSON or code, whose marks are tokens of their own.

    Example:
        >>> _reckon_marks('{"item": "lamps", "n": 3}')
        9
    """
    return max(_reckon(text), -(-len(text) // CHARACTERS_OF_CODE))


def _reckon(text: str) -> int:
    """About how many tokens a text has.

    Example:
        >>> _reckon("My card has not arrived"), _reckon("我的卡还没有到")
        (9, 9)
    """
    single = len(ONE_A_TOKEN.findall(text))
    words = ONE_A_TOKEN.sub(" ", text).split()
    return round(2 + single + sum(max(TOKENS_A_WORD, len(word) / CHARACTERS_A_TOKEN) for word in words))
