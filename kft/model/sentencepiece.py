"""Reads a SentencePiece model file and builds a tokenizer of the `tokenizers` package that gives the same ids.

The file is a protocol buffer; what is needed of it is read here in some forty lines, so that neither the
sentencepiece package nor generated code is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.errors import ModelError

if TYPE_CHECKING:
    import tokenizers

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
UNIGRAM, BPE = 1, 2
SPACE = "\u2581"
"""What SentencePiece writes for a space."""


@dataclass(frozen=True)
class SentencePieceModel:
    """What a SentencePiece file says.

    Attributes:
        name: Where it was read.
        pieces: Text, score and kind of each piece, by id.
        kind: ``UNIGRAM`` or ``BPE``.
        charsmap: The compiled normalisation rules; empty where the text is taken as it is.
        dummy_prefix: Whether a space is put before the text.
        collapse_spaces: Whether runs of spaces count as one, and those at the ends as none.
    """

    name: str
    pieces: tuple[tuple[str, float, int], ...]
    kind: int
    charsmap: bytes
    dummy_prefix: bool
    collapse_spaces: bool


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Reads a SentencePiece model.

    Raises:
        ModelError: It is none.
    """
    pieces: list[tuple[str, float, int]] = []
    trainer: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    try:
        for field, value in _fields(path.read_bytes()):
            if field == 1:
                piece = dict(_fields(value))
                score = struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0
                pieces.append((piece[1].decode("utf-8"), score, piece.get(3, NORMAL)))
            elif field == 2:
                trainer = dict(_fields(value))
            elif field == 3:
                normalizer = dict(_fields(value))
    except (ValueError, IndexError, KeyError, struct.error, TypeError, AttributeError) as error:
        raise _damaged(path, str(error)) from None
    kind = trainer.get(3, UNIGRAM)
    if not pieces or kind not in (UNIGRAM, BPE):
        raise _damaged(path, f"{len(pieces)} pieces, model type {kind}")
    return SentencePieceModel(
        name=str(path),
        pieces=tuple(pieces),
        kind=kind,
        charsmap=normalizer.get(2, b""),
        dummy_prefix=bool(normalizer.get(3, 1)),
        collapse_spaces=bool(normalizer.get(4, 1)),
    )


def _damaged(path: Path, received: str) -> ModelError:
    return ModelError(
        "this is not a SentencePiece model that kft can read",
        where=str(path),
        received=received,
        expected="a unigram or BPE model of the sentencepiece package",
        next_step="fetch the file again, or use the model's tokenizer.json",
    )


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yields number and value of each field of a protocol buffer message; the last one of a number counts."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield field, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(data):
            raise ValueError("the file ends too early")
        yield field, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def build_sentencepiece(
    model: SentencePieceModel,
    *,
    fairseq: bool = False,
    lowercase: bool = False,
    strip_accents: bool = False,
    mask: str | None = None,
) -> tokenizers.Tokenizer:
    """Builds the tokenizer, without special tokens around a text.

    Args:
        model: From ``read_sentencepiece``.
        fairseq: Whether ids are counted as XLM-R does: <s>, <pad>, </s>, <unk>, the pieces from the fourth
            on, <mask>.
        lowercase: Whether the text is lowered first, as ALBERT's is.
        strip_accents: Whether accents go before that, likewise.
        mask: A mask token that is put behind the pieces.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    pieces = list(model.pieces)
    if fairseq:
        specials = [(name, 0.0, CONTROL) for name in ("<s>", "<pad>", "</s>")]
        pieces = [*specials, ("<unk>", 0.0, UNKNOWN), *pieces[3:], ("<mask>", 0.0, USER_DEFINED)]
    if mask and all(text != mask for text, _, _ in pieces):
        pieces.append((mask, 0.0, USER_DEFINED))
    unknown = next((number for number, (_, _, kind) in enumerate(pieces) if kind == UNKNOWN), None)
    falls_back = any(kind == BYTE for _, _, kind in pieces)
    if model.kind == UNIGRAM:
        scores = [(text, score) for text, score, _ in pieces]
        built = Tokenizer(models.Unigram(scores, unk_id=unknown, byte_fallback=falls_back))
    else:
        vocabulary = {text: number for number, (text, _, _) in enumerate(pieces)}
        unk = None if unknown is None else pieces[unknown][0]
        built = Tokenizer(
            models.BPE(vocabulary, _merges(pieces), unk_token=unk, fuse_unk=True, byte_fallback=falls_back)
        )
    steps: list[Any] = []
    if strip_accents:
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if lowercase:
        steps.append(normalizers.Lowercase())
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
    if model.collapse_spaces:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    if model.kind == UNIGRAM:
        built.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, "always" if model.dummy_prefix else "never")
    else:
        # Merges may reach over words here, so the text stays in one piece.
        steps += [normalizers.Prepend(SPACE)] if model.dummy_prefix else []
        steps.append(normalizers.Replace(" ", SPACE))
    if steps:
        built.normalizer = normalizers.Sequence(steps)
    spaces = decoders.Metaspace(SPACE, "always" if model.dummy_prefix else "never")
    built.decoder = decoders.Sequence([spaces, decoders.ByteFallback(), decoders.Fuse()]) if falls_back else spaces
    # Pieces that the model's maker named (markers, runs of line breaks) are taken whole before anything is split.
    # A prefix would be put before each of them as well, were they looked for in the normalised text.
    in_text = not (model.dummy_prefix and model.kind == BPE)
    named = [text for text, _, kind in pieces if kind == USER_DEFINED and text not in ("<mask>", "[MASK]")]
    built.add_tokens([AddedToken(text, normalized=in_text, special=False) for text in named])
    built.add_special_tokens(
        [
            AddedToken(text, normalized=False, special=True, lstrip=text == "<mask>")
            for text, _, kind in pieces
            if kind == CONTROL or text in ("<mask>", "[MASK]")
        ]
    )
    return built


def _merges(pieces: list[tuple[str, float, int]]) -> list[tuple[str, str]]:
    """The pairs that BPE joins, the best score first: each way to halve a piece into two others."""
    ids = {text: number for number, (text, _, kind) in enumerate(pieces) if kind == NORMAL}
    found: list[tuple[float, int, int, tuple[str, str]]] = []
    for text in ids:
        for at in range(1, len(text)):
            left, right = text[:at], text[at:]
            if left in ids and right in ids:
                found.append((-pieces[ids[text]][1], ids[left], ids[right], (left, right)))
    return [pair for _, _, _, pair in sorted(found)]
