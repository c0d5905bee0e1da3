"""From raw inputs to what a model takes: token ids, pairs of texts, pixels; the same in training and in answering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kft.errors import UsageError
from kft.feed.batches import Ragged
from kft.feed.source import Source, image_source, text_source, windows_source
from kft.recipe.pairs import PromptsSpec
from kft.recipe.schema import ModelSpec
from kft.tasks.task import Task
from kft.tasks.windows import Windows
from kft.tasks.word_shapes import FEATURES, WORD_FEATURES, word_features
from kft.tasks.words import mark_words

if TYPE_CHECKING:
    from kft.data.images import ImageSizing
    from kft.model.backbones import Backbone, TextTokenizer
    from kft.model.masking import Masker
    from kft.model.prompts import PromptReader

Tick = Callable[[int], None]
NO_PROMPTS = PromptsSpec()


@dataclass(frozen=True)
class Encoded:
    """Inputs as a model takes them.

    Attributes:
        source: Batches of them, by the names of the model's inputs; for tagging with the features of words.
        cut: How many texts were longer than ``max_tokens``.
        offsets: Where each token stands in its text, and whether it begins a word; only for tagging.
        lengths: ``int64[n]``: the tokens of each text before the cut; None for images.
        spans: Where the windows of each text stand in it, in characters: ``int32[windows, 2]`` each; None elsewhere.
        lost: ``int64[n, 2]``: how many tokens of each prompt, and of its response, were cut; of a language model alone.
        left_out: How many passages of its prompts had no room.
    """

    source: Source
    cut: int = 0
    offsets: list[np.ndarray] | None = None
    lengths: np.ndarray | None = None
    spans: list[np.ndarray] | None = None
    lost: np.ndarray | None = None
    left_out: int = 0

    @property
    def responses_cut(self) -> int:
        """How many responses of a language model lost their end."""
        return 0 if self.lost is None else int((self.lost[:, 1] > 0).sum())


def beside(rows: np.ndarray, task: Task) -> np.ndarray:
    """Returns one row an input, ``[n, ...]``: of what is read apart, first and second side beside each other.

    Args:
        rows: ``[rows, width]``, as a reader gives them: of first sides, and then of second ones, where it reads apart.
        task: Which of both it is.
    """
    return np.concatenate(np.split(rows, 2), axis=1) if task.reads.apart else rows


@dataclass(frozen=True)
class Reader:
    """Reads inputs for one model.

    Attributes:
        task: What they are.
        tokenizer: Of a text backbone.
        max_tokens: Longer texts are cut.
        sizing: How images come to one size.
        prompts: What stands before texts, by what they are: ``query`` or ``document``.
        side: Which of them it reads.
        tail: Whether a text that is cut keeps its end as well.
        windows: How texts are read in windows; None where they are not.
        masker: What hides tokens of texts where hidden ones are found again.
        writing: How prompts are read where answers are written; an input may then be a pair of prompt and response.
    """

    task: Task
    tokenizer: TextTokenizer | None
    max_tokens: int
    sizing: ImageSizing | None
    prompts: PromptsSpec = NO_PROMPTS
    side: Literal["query", "document"] = "query"
    tail: bool = False
    windows: Windows | None = None
    writing: PromptReader | None = None
    masker: Masker | None = None

    @property
    def reach(self) -> int:
        """Tokens of a text that are read at most."""
        if self.windows is None or self.tokenizer is None:
            return self.max_tokens
        return self.windows.reach(self.tokenizer.special_tokens)

    def of_documents(self) -> Reader:
        """Returns what reads documents, where texts are queries otherwise."""
        return replace(self, side="document")

    def read(
        self,
        inputs: Sequence[Any],
        *,
        keep: bool = False,
        tick: Tick | None = None,
        report: Callable[[str], None] | None = None,
    ) -> Encoded:
        """Returns the inputs as the model takes them.

        Args:
            inputs: Texts, pairs of texts or paths of images.
            keep: Whether decoded images are kept on disk, for the next epoch and the next run.
            tick: Called with the number of images that are done.
            report: Called with a line where images are decoded for the store, or another process does it.

        Raises:
            DataError: An image cannot be decoded.
            StorageError: The disk is full or cannot be written.
        """
        if self.task.reads.files:
            return Encoded(self._images([Path(given) for given in inputs], keep, tick, report))
        assert self.tokenizer is not None
        if self.windows is not None:
            return self._in_windows(inputs, self.tokenizer, self.windows)
        if self.writing is not None:
            taken = self.writing.source(inputs)
            lost = np.stack([taken.prompts_cut, taken.responses_cut], axis=1)
            short = int((lost[:, 0] > 0).sum())
            return Encoded(taken.source, short, lengths=taken.lengths, lost=lost, left_out=taken.left_out)
        if self.masker is not None:
            rows, lengths = self.tokenizer.encode(inputs, self.max_tokens)
            return Encoded(self.masker.source(rows, inputs), int((lengths > self.max_tokens).sum()), lengths=lengths)
        if self.task.reads.apart:
            return self._sides(inputs, self.tokenizer)
        segments = offsets = None
        if self.task.reads.pairs:
            firsts, seconds = [given[0] for given in inputs], [given[1] for given in inputs]
            rows, kinds, lengths = self.tokenizer.encode_pairs(firsts, seconds, self.max_tokens)
            segments = Ragged.from_rows(kinds)
        elif self.task.kind.learning.per_token:
            rows, places, lengths = self.tokenizer.encode_with_offsets(inputs, self.max_tokens)
            offsets = [mark_words(place, text) for place, text in zip(places, inputs, strict=True)]
        else:
            prompt = getattr(self.prompts, self.side)
            texts = [prompt + text for text in inputs] if prompt else inputs
            rows, lengths = self.tokenizer.encode(texts, self.max_tokens, tail=self.tail)
        tokens = Ragged.from_rows(rows)
        source = text_source(tokens, segments)
        if offsets is not None:
            source = source.with_columns({**source.columns, WORD_FEATURES: _Shapes(inputs, offsets)})
        return Encoded(source, int((lengths > self.max_tokens).sum()), offsets, lengths)

    def _sides(self, inputs: Sequence[Any], tokenizer: TextTokenizer) -> Encoded:
        """Reads the first sides, as queries are read, and then the second ones, as documents are."""
        befores = (self.prompts.query, self.prompts.document)
        texts = [before + given[side] for side, before in enumerate(befores) for given in inputs]
        rows, lengths = tokenizer.encode(texts, self.max_tokens, tail=self.tail)
        return Encoded(text_source(Ragged.from_rows(rows)), int((lengths > self.max_tokens).sum()), None, lengths)

    def _in_windows(self, texts: Sequence[str], tokenizer: TextTokenizer, windows: Windows) -> Encoded:
        found, lengths = tokenizer.encode_windows(texts, windows)
        ids, real, whole = ([getattr(each, name) for each in found] for name in ("ids", "real", "document"))
        source = windows_source(ids, real, whole, windows.size)
        return Encoded(source, int((lengths > self.reach).sum()), lengths=lengths, spans=[each.spans for each in found])

    def _images(self, paths: list[Path], keep: bool, tick: Tick | None, report: Callable[[str], None] | None) -> Source:
        from kft.feed.image_store import decode_images, images_root

        assert self.sizing is not None
        if not keep:
            return image_source(_Images(paths, self.sizing), len(paths))
        stored = decode_images(paths, self.sizing, images_root(), tick=tick, report=report)
        return image_source(stored, len(paths))


def make_reader(task: Task, backbone: Backbone, spec: ModelSpec) -> Reader:
    """Returns the reader for a recipe's model."""
    sizing = None
    if task.reads.files and backbone.image is not None:
        from kft.data.images import ImageSizing

        size = spec.image.size
        height, width = (size, size) if size else (backbone.image.height, backbone.image.width)
        sizing = ImageSizing(height, width, spec.image.fit)
    tail = spec.long_text == "head-and-tail"
    windows = None
    if spec.in_windows and backbone.tokenizer is not None:
        windows = Windows(spec.max_tokens, spec.overlap, spec.windows.most)
        special = backbone.tokenizer.special_tokens
        least = special + spec.overlap + 1
        if spec.max_tokens < least:
            raise UsageError(
                "a window holds no token that its neighbour does not hold",
                where="model.max_tokens",
                received=f"{spec.max_tokens}, with {special} special tokens and an overlap of {spec.overlap}",
                expected=f"at least {least}",
                next_step=f"--set model.max_tokens={max(least, 32)}",
            )
    reader = Reader(task, backbone.tokenizer, spec.max_tokens, sizing, spec.prompts, tail=tail, windows=windows)
    if task.kind.masks and backbone.tokenizer is not None:
        from kft.model.masking import find_masker

        return replace(reader, masker=find_masker(backbone.tokenizer))
    if not task.kind.writes or backbone.tokenizer is None:
        return reader
    from kft.model.prompts import prompt_reader

    return replace(reader, writing=prompt_reader(backbone.tokenizer, spec, backbone.chat))


@dataclass(frozen=True)
class _Shapes:
    """Features of words, found when they are asked for: there are fifty a token, and most who train ask for none."""

    texts: Sequence[str]
    offsets: Sequence[np.ndarray]

    def row(self, index: int) -> np.ndarray:
        return self.take(np.array([index]), len(self.offsets[index]))[0]

    def take(self, rows: np.ndarray, edge: int) -> np.ndarray:
        """Returns ``int32[batch, edge, FEATURES]``; row -1 and what no word begins at is zeros."""
        taken = np.zeros((len(rows), edge, FEATURES), np.int32)
        (real,) = np.nonzero(rows >= 0)
        found = word_features([self.texts[row] for row in rows[real]], [self.offsets[row] for row in rows[real]])
        for place, values in zip(real, found, strict=True):
            taken[place, : len(values)] = values
        return taken


@dataclass(frozen=True)
class _Images:
    """Images that are decoded when they are asked for, and not kept: each is seen once."""

    paths: list[Path]
    sizing: ImageSizing

    def row(self, index: int) -> np.ndarray:
        from kft.data.images import decode_image

        return decode_image(self.paths[index], self.sizing)

    def take(self, rows: np.ndarray, edge: int) -> np.ndarray:
        """Decodes ``uint8[batch, height, width, 3]``; row -1 is black."""
        from concurrent.futures import ThreadPoolExecutor

        from kft.data.images import workers

        taken = np.zeros((len(rows), *self.sizing.shape), np.uint8)
        (real,) = np.nonzero(rows >= 0)
        with ThreadPoolExecutor(workers(), thread_name_prefix="kft-images") as pool:
            for place, pixels in zip(real, pool.map(self.row, rows[real].tolist()), strict=True):
                taken[place] = pixels
        return taken
