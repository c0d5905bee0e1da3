"""Documents cut into passages: at most so many tokens, where paragraphs, sentences or at least words end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kft.errors import UsageError
from kft.model.panics import tokenizer_errors
from kft.records.index import Cutting

if TYPE_CHECKING:
    import tokenizers

USUAL_TOKENS = 200
"""Of a passage, where the model reads as many: some 150 words are one subject, and a vector holds one."""
OVERLAP = 1 / 8
SPARE = 2
"""A passage that is tokenized alone may have so many tokens more, where it begins inside a word."""
PARAGRAPH, SENTENCE, LINE, WORD = 4, 3, 2, 1
BORDERS = (
    (re.compile(r"\s(?=\S)"), WORD),
    (re.compile(r"\n[^\S\n]*(?=\S)"), LINE),
    (re.compile(r"(?:[.!?\u2026][\"'\u201d\u2019)\]]*\s+|[\u3002\uff01\uff1f]\s*)(?=\S)"), SENTENCE),
    (re.compile(r"\n[^\S\n]*\n\s*(?=\S)"), PARAGRAPH),
)
"""What ends where, the strongest last."""
USED = "the artifact's tokenizer, on these documents"


def plan_cutting(most: int, passage_tokens: int | None = None, overlap_tokens: int | None = None) -> Cutting:
    """Returns how documents are cut.

    Args:
        most: Tokens of a text that the model reads, without those that it adds.
        passage_tokens: As asked for; default: 200, or what the model reads.
        overlap_tokens: As asked for; default: an eighth of a passage.

    Raises:
        UsageError: A passage would be longer than the model reads, or overlap by half or more.

    Example:
        >>> plan_cutting(126), plan_cutting(510, 300, 0)
        (Cutting(passage_tokens=124, overlap_tokens=15), Cutting(passage_tokens=300, overlap_tokens=0))
    """
    most = max(most - SPARE, 1)
    size = min(USUAL_TOKENS, most) if passage_tokens is None else passage_tokens
    overlap = int(size * OVERLAP) if overlap_tokens is None else overlap_tokens
    if not 1 <= size <= most:
        raise UsageError(
            "passages of this length cannot be used",
            where="--passage-tokens",
            received=str(size),
            expected=f"from 1 to {most}: what the model reads of a text",
        )
    if not 0 <= overlap < max(size / 2, 1):
        raise UsageError(
            "passages cannot overlap by so much",
            where="--overlap-tokens",
            received=str(overlap),
            expected=f"less than half a passage of {size}",
        )
    return Cutting(size, overlap)


def cut_documents(
    texts: Sequence[str], tokenizer: tokenizers.Tokenizer, cutting: Cutting
) -> list[list[tuple[int, int]]]:
    """Returns the passages of each document: where each begins and ends in its text, in characters."""
    with tokenizer_errors(USED):
        encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return [
        cut(text, np.array(each.offsets, np.int64).reshape(-1, 2), cutting)
        for text, each in zip(texts, encodings, strict=True)
    ]


def cut(text: str, offsets: np.ndarray, cutting: Cutting) -> list[tuple[int, int]]:
    r"""Returns the passages of a text; together they hold all of it but the space around them.

    A passage ends at the strongest border in its second half, and the next one begins at the first sentence within the
    overlap, or the first word where none begins there.

    Args:
        text: Any text that is not empty.
        offsets: ``int[tokens, 2]``: where each token stands.
        cutting: How long a passage is.

    Example:
        >>> text = "One two. Three four five. Six seven."
        >>> words = np.array([match.span() for match in re.finditer(r"\w+", text)])
        >>> [text[start:stop] for start, stop in cut(text, words, Cutting(4, 0))]
        ['One two.', 'Three four five.', 'Six seven.']
    """
    starts, size = offsets[:, 0], cutting.passage_tokens
    strength = _strengths(text, starts)
    passages: list[tuple[int, int]] = []
    first = 0
    while len(starts) - first > size:
        half = first + max(size // 2, 1)
        ahead = strength[half : first + size + 1]
        end = half + len(ahead) - 1 - int(ahead[::-1].argmax()) if ahead.max() else first + size
        passages.append((int(starts[first]) if passages else 0, int(starts[end])))
        again = max(end - cutting.overlap_tokens, first + 1)
        behind = strength[again:end]
        begins = np.flatnonzero(behind >= SENTENCE) if (behind >= SENTENCE).any() else np.flatnonzero(behind)
        first = again + int(begins[0]) if len(begins) else end
    passages.append((int(starts[first]) if passages else 0, len(text)))
    return [_without_space(text, start, stop) for start, stop in passages if text[start:stop].strip()]


def _strengths(text: str, starts: np.ndarray) -> np.ndarray:
    """Returns ``int[tokens + 1]``: how strong the border is before each token; 0 inside a word."""
    found = np.zeros(len(starts) + 1, np.int8)
    for pattern, strength in BORDERS:
        places = np.array([match.end() for match in pattern.finditer(text)], np.int64)
        found[np.searchsorted(starts, places)] = strength
    return found


def _without_space(text: str, start: int, stop: int) -> tuple[int, int]:
    part = text[start:stop]
    return start + len(part) - len(part.lstrip()), stop - len(part) + len(part.rstrip())
