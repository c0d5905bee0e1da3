"""Answers out of fold that were computed before: of the same backbone, on the same rows, by the same code.

They lie in the cache as a store of their own, beside features and images, so that ``kft cache`` lists, verifies and
prunes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import kft
from kft.assets import cache_dir
from kft.errors import StorageError
from kft.feed.shards import ABOUT, ELSEWHERE, ShardIndex, locked, write_shard
from kft.feed.source import KEY_BYTES
from kft.records.choose import BackboneCost, TokenFacts
from kft.records.document import plain
from kft.records.files import write_json


def answers_root() -> Path:
    """Returns the folder of all answers that are kept."""
    return cache_dir() / "answers"


@dataclass(frozen=True)
class Kept:
    """What was measured of one backbone.

    Attributes:
        answers: By approach, ``float[n, ...]``.
        chosen: What was chosen for them.
        cost: What it took then.
        tokens: How it reads the texts; None for images.
        weights_hash: sha256 of what was loaded.
    """

    answers: Mapping[str, np.ndarray]
    chosen: Mapping[str, Any]
    cost: BackboneCost
    tokens: TokenFacts | None
    weights_hash: str


def identity_of(**parts: Any) -> str:
    """Returns a hash of all that decides answers: what is given, and every line of kft's own code.

    Args:
        parts: Plain values by name.
    """
    text = json.dumps({**parts, "code": _code()}, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


@cache
def _code() -> str:
    digest = hashlib.sha256()
    root = Path(kft.__file__).parent
    for path in sorted(root.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def read_kept(identity: str, ids: Sequence[str]) -> Kept | None:
    """Returns what an earlier call kept; None where there is nothing whole.

    Args:
        identity: From ``identity_of``.
        ids: Of the rows, in order.
    """
    folder = answers_root() / identity
    try:
        facts = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["facts"]
        keys, kinds = _keys(ids), {name: (np.dtype(kind), False) for name, kind in facts["answers"].items()}
        columns = ShardIndex(folder).columns(keys, kinds)
        with suppress(OSError):  # when it was last used
            (folder / ABOUT).touch()
        return Kept(
            answers={name: column.take(np.arange(len(ids)), 1) for name, column in columns.items()},
            chosen=facts["chosen"],
            cost=BackboneCost(**facts["cost"]),
            tokens=None if facts["tokens"] is None else TokenFacts(**facts["tokens"]),
            weights_hash=str(facts["weights_hash"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, StorageError):
        return None


def keep(identity: str, ids: Sequence[str], name: str, found: Kept) -> None:
    """Keeps what was measured of a backbone.

    Args:
        identity: From ``identity_of``.
        ids: Of the rows, in order.
        name: Of the backbone, for ``kft cache list``.
        found: What was measured.

    Raises:
        StorageError: The disk is full or cannot be written.
    """
    folder = answers_root() / identity
    kinds = {name: str(answers.dtype) for name, answers in found.answers.items()}
    facts = plain({"chosen": found.chosen, "cost": found.cost, "tokens": found.tokens, "answers": kinds})
    facts["weights_hash"] = found.weights_hash
    with locked(folder, None, ELSEWHERE):
        write_shard(folder, _keys(ids), found.answers, ELSEWHERE)
        # Last: without it nothing is read.
        write_json(folder / ABOUT, {"model": name, "facts": facts}, elsewhere=ELSEWHERE)


def _keys(ids: Sequence[str]) -> np.ndarray:
    digests = [hashlib.blake2b(str(each).encode(), digest_size=KEY_BYTES).digest() for each in ids]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, KEY_BYTES).copy()
