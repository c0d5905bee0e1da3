"""choose.json: what each backbone came to on one set of data, and which is recommended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kft.records.estimate import Estimate


@dataclass(frozen=True)
class TokenFacts:
    """How a backbone's tokenizer reads these texts.

    Attributes:
        window: Tokens of one text that are read: what the recipe asks for, or the backbone's own limit where it is
            less.
        limit: How many tokens the backbone takes.
        per_text: Tokens of a text before the cut, on average; those that mark its ends count.
        lost: The share of all tokens that lie beyond the cut.
        cut: The share of texts that are cut.
        unknown: The share of tokens read that stand for something the vocabulary lacks; None where it has no such
            token.
        pieces: Tokens a word; numbers, marks and ideographs are words too.
        related: Of words of the vocabulary, the share whose vector is like that of their plural; about one half where
            the vocabulary is that of other weights, None where it cannot be told.
        reached: The share of the vocabulary's words that a text can give; None where it cannot be told.
    """

    window: int
    limit: int
    per_text: float
    lost: float
    cut: float
    unknown: float | None
    pieces: float
    related: float | None
    reached: float | None


@dataclass(frozen=True)
class BackboneCost:
    """What a backbone takes.

    Attributes:
        seconds: Wall seconds of this call: loading, reading, the frozen pass, all folds.
        cpu_seconds: Likewise of the process, all threads.
        stored: Examples whose features were stored before.
        kept: Whether the answers are those of an earlier call: same files, rows, settings, versions and code.
        frozen_seconds: Wall seconds of the frozen pass over all examples where none is stored; None where none was
            ever timed.
        frozen_cpu_seconds: Likewise of the process.
        multiply_adds: Of one example through the blocks, by size: what "cheap" means here.
        parameters: Of the backbone.
        memory_bytes: What its weights take in memory.
        disk_bytes: What its files of weights take on disk.
    """

    seconds: float
    cpu_seconds: float
    stored: int
    kept: bool
    frozen_seconds: float | None
    frozen_cpu_seconds: float | None
    multiply_adds: float
    parameters: int
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True)
class BackboneResult:
    """What one backbone came to.

    Attributes:
        name: As it was asked for.
        weights: ``pretrained`` or ``random``.
        metrics: By approach (``probe``, ``blend``) and metric, out of fold, with intervals; None where it was not
            measured.
        paired: By approach, the difference to the best one (this less the best) in the deciding metric; the intervals
            of all backbones hold together.
        chosen: What was chosen out of fold, by approach.
        cost: What it takes.
        tokens: How it reads the texts; None for images.
        languages: What it reads, by the catalog or the folder's README.md; empty where neither says.
        licence: Of the weights, likewise.
        weights_hash: sha256 of what was loaded; empty where nothing was.
        flags: What is wrong with it on these data, one sentence each.
        skipped: Why it was not measured; None where it was.
    """

    name: str
    weights: str
    metrics: Mapping[str, Mapping[str, Estimate]] | None = None
    paired: Mapping[str, Estimate] | None = None
    chosen: Mapping[str, Any] | None = None
    cost: BackboneCost | None = None
    tokens: TokenFacts | None = None
    languages: str = ""
    licence: str = ""
    weights_hash: str = ""
    flags: tuple[str, ...] = ()
    skipped: str | None = None


@dataclass(frozen=True)
class Recommendation:
    """Which backbone.

    Attributes:
        backbone: Its name; None where none is better than the constant answer.
        why: In words, with the figures it rests on.
        best: The one with the best value.
    """

    backbone: str | None
    why: str
    best: str


@dataclass(frozen=True)
class Choice:
    """A whole choice among backbones.

    Attributes:
        split_hash: As in the receipt of a run.
        data_hash: Likewise.
        seed: Of folds and random weights.
        versions: Of what computed it.
        n: Examples of train and valid, which all is measured on.
        of: How many there are; more than ``n`` where a draw is enough.
        metric: What decides.
        approach: By which answers it is decided.
        backbones: The best first; then random weights; then those that could not be measured.
        verdict: What is recommended.
    """

    split_hash: str
    data_hash: str
    seed: int
    versions: Mapping[str, str]
    n: int
    of: int
    metric: str
    approach: str
    backbones: tuple[BackboneResult, ...]
    verdict: Recommendation
