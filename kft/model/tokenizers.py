"""Fast tokenizers: texts to integer ids, in parallel, in Rust, and cut as the `tokenizers` package cuts.

A folder's own tokenizer.json comes first; where there is none, the tokenizer is built from the vocabulary that
the folder has: WordPiece (vocab.txt), byte-level BPE (vocab.json and merges.txt) or a SentencePiece model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.errors import ModelError
from kft.model.sentencepiece import SentencePieceModel, build_sentencepiece, read_sentencepiece

if TYPE_CHECKING:
    import tokenizers

SENTENCEPIECE_FILES = ("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model")


@dataclass(frozen=True)
class TextTokenizer:
    """A fast tokenizer: texts in, integer ids out, in parallel, in Rust.

    Attributes:
        tokenizer: The `tokenizers` object, without truncation or padding.
        special_tokens: How many ids it adds to each text ([CLS] and [SEP]).
    """

    tokenizer: tokenizers.Tokenizer
    special_tokens: int

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[list[np.ndarray], np.ndarray]:
        """Returns one int32 array of ids a text, at most ``max_tokens`` long, and the lengths before the cut."""
        encodings = self.tokenizer.encode_batch_fast(list(texts))
        rows = [np.array(each.ids, np.int32)[_kept(each, max_tokens)] for each in encodings]
        return rows, _lengths(encodings)

    def encode_pairs(
        self, firsts: Sequence[str], seconds: Sequence[str], max_tokens: int
    ) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Tokenizes pairs of texts as one row each, the longer text of a pair cut first.

        Args:
            firsts: The first texts.
            seconds: As many second texts.
            max_tokens: How long a row may be, special tokens counted.

        Returns:
            One int32 array of ids and one of type ids a pair, and the lengths before the cut.
        """
        pairs = list(zip(firsts, seconds, strict=True))
        encodings = self.tokenizer.encode_batch_fast(pairs)
        keep = [_kept(each, max_tokens) for each in encodings]
        ids = [np.array(each.ids, np.int32)[kept] for each, kept in zip(encodings, keep, strict=True)]
        types = [np.array(each.type_ids, np.int32)[kept] for each, kept in zip(encodings, keep, strict=True)]
        return ids, types, _lengths(encodings)

    def encode_with_offsets(
        self, texts: Sequence[str], max_tokens: int
    ) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Tokenizes, and says where in its text each token stands, for labels that belong to spans.

        Args:
            texts: The texts.
            max_tokens: How long a row may be, special tokens counted.

        Returns:
            One int32 array of ids a text; one ``int32[tokens, 2]`` of character offsets, first and past the last,
            without the space that some tokenizers count to the word behind it, and (0, 0) for special tokens; the
            lengths before the cut.
        """
        encodings = self.tokenizer.encode_batch(list(texts))
        ids, offsets = [], []
        for text, encoding in zip(texts, encodings, strict=True):
            kept = _kept(encoding, max_tokens)
            ids.append(np.array(encoding.ids, np.int32)[kept])
            spans = np.array([_without_space(text, *span) for span in encoding.offsets], np.int32).reshape(-1, 2)
            spans[[sequence is None for sequence in encoding.sequence_ids]] = 0
            offsets.append(spans[kept])
        return ids, offsets, _lengths(encodings)


def _lengths(encodings: Sequence[Any]) -> np.ndarray:
    return np.array([len(encoding) for encoding in encodings], dtype=np.int64)


def _kept(encoding: Any, max_tokens: int) -> Any:
    """Which tokens stay: all special ones, and the first ones of each text, as in the package's longest-first.

    Done here and not by ``enable_truncation``, which changes the tokenizer for whoever else uses it.
    """
    if len(encoding) <= max_tokens:
        return slice(None)
    sequences = np.array([-1 if sequence is None else sequence for sequence in encoding.sequence_ids])
    room = max(0, max_tokens - int((sequences < 0).sum()))
    counts = [int((sequences == number).sum()) for number in (0, 1)]
    short, long = sorted(counts)
    if short + max(short, room - short) > room:  # both must give way
        short, long = room // 2, room - room // 2
    else:
        long = room - short
    allowed = (long, short) if counts[0] > counts[1] else (short, long)
    keep = sequences < 0
    for number in (0, 1):
        keep[np.flatnonzero(sequences == number)[: allowed[number]]] = True
    return keep


def _without_space(text: str, start: int, stop: int) -> tuple[int, int]:
    while start < stop and text[start].isspace():
        start += 1
    while stop > start and text[stop - 1].isspace():
        stop -= 1
    return start, stop


def load_tokenizer(folder: Path, family: str = "bert") -> TextTokenizer:
    """Builds the tokenizer that a Hugging Face folder describes.

    Args:
        folder: Holds tokenizer.json, or a vocabulary, and may hold tokenizer_config.json.
        family: The folder's model_type: which special tokens a bare vocabulary gets.

    Raises:
        ModelError: There is no tokenizer that kft can read.
    """
    import tokenizers

    settings: dict[str, Any] = {}
    if (folder / "tokenizer_config.json").is_file():
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    spm = next((folder / name for name in SENTENCEPIECE_FILES if (folder / name).is_file()), None)
    if (folder / "tokenizer.json").is_file():
        try:
            built = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the package raises bare Exception
            raise _unreadable(folder / "tokenizer.json", str(error)) from None
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        built = byte_level_bpe(folder / "vocab.json", folder / "merges.txt", family)
    elif spm is not None:
        built = sentencepiece_tokenizer(read_sentencepiece(spm), family)
    elif (folder / "vocab.txt").is_file():
        built = word_piece(
            folder / "vocab.txt",
            lowercase=bool(settings.get("do_lower_case", True)),
            strip_accents=settings.get("strip_accents"),
            chinese=bool(settings.get("tokenize_chinese_chars", True)),
        )
    else:
        raise ModelError(
            "the backbone's folder has no tokenizer",
            where=str(folder),
            received="no tokenizer.json, no vocab.txt, no vocab.json with merges.txt, no SentencePiece model",
            expected="one of them",
            next_step="copy the tokenizer's files into the folder (tokenizer.json is best)",
        )
    return wrap(built)


def wrap(tokenizer: tokenizers.Tokenizer) -> TextTokenizer:
    """Takes truncation and padding off a tokenizer: kft cuts and pads, and says how often."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return TextTokenizer(tokenizer, special_tokens=tokenizer.num_special_tokens_to_add(False))


def word_piece(
    vocabulary: Path, *, lowercase: bool, strip_accents: bool | None = None, chinese: bool = True
) -> tokenizers.Tokenizer:
    """Builds BERT's WordPiece from a vocab.txt; ``strip_accents=None`` follows ``lowercase``, as BERT did."""
    import tokenizers

    built = tokenizers.BertWordPieceTokenizer(
        str(vocabulary), lowercase=lowercase, strip_accents=strip_accents, handle_chinese_chars=chinese
    )
    return tokenizers.Tokenizer.from_str(built.to_str())


def byte_level_bpe(vocabulary: Path, merges: Path, family: str) -> tokenizers.Tokenizer:
    """Builds GPT-2's byte-level BPE, with RoBERTa's special tokens where the family has them."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    built = Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    if family == "roberta":
        start, end = built.token_to_id("<s>"), built.token_to_id("</s>")
        if start is None or end is None:
            raise _unreadable(vocabulary, "no <s> or no </s>")
        known = [name for name in ("<s>", "<pad>", "</s>", "<unk>") if built.token_to_id(name) is not None]
        built.add_special_tokens([*known, AddedToken("<mask>", lstrip=True)])
        # trim_offsets=True keeps the space that belongs to a token out of its offsets.
        built.post_processor = processors.RobertaProcessing(
            ("</s>", end), ("<s>", start), trim_offsets=True, add_prefix_space=False
        )
    else:
        built.post_processor = processors.ByteLevel(trim_offsets=True)
        if built.token_to_id("<|endoftext|>") is not None:
            built.add_special_tokens(["<|endoftext|>"])
    return built


TEMPLATES = {
    # family: (single, pair, special tokens), as the `tokenizers` package writes them
    "xlm-roberta": ("<s> $A </s>", "<s> $A </s> </s> $B </s>", ("<s>", "</s>")),
    "deberta-v2": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ("[CLS]", "[SEP]")),
    "albert": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ("[CLS]", "[SEP]")),
    "gemma": ("<bos> $A", "<bos> $A <bos>:1 $B:1", ("<bos>",)),
    "llama": ("<s> $A", "<s> $A <s>:1 $B:1", ("<s>",)),
}
for _name, _like in (("gemma2", "gemma"), ("gemma3_text", "gemma"), ("mistral", "llama")):
    TEMPLATES[_name] = TEMPLATES[_like]


def sentencepiece_tokenizer(model: SentencePieceModel, family: str) -> tokenizers.Tokenizer:
    """Builds a tokenizer from a SentencePiece model, with the special tokens of a family.

    Raises:
        ModelError: kft does not know how the family adds special tokens.
    """
    from tokenizers import processors

    if family not in TEMPLATES:
        raise _unreadable(Path(model.name), f"the special tokens of a {family} model are not known")
    built = build_sentencepiece(
        model,
        fairseq=family == "xlm-roberta",
        lowercase=family == "albert",
        mask="[MASK]" if family == "deberta-v2" else None,
    )
    single, pair, names = TEMPLATES[family]
    missing = [name for name in names if built.token_to_id(name) is None]
    if missing:
        raise _unreadable(Path(model.name), "no " + ", no ".join(missing))
    built.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(name, built.token_to_id(name)) for name in names]
    )
    return built


def _unreadable(path: Path, received: str) -> ModelError:
    return ModelError(
        "this tokenizer cannot be read",
        where=str(path),
        received=received,
        expected="a tokenizer of the `tokenizers` package (tokenizer.json), or the family's own vocabulary",
        next_step="save it once with transformers: AutoTokenizer.from_pretrained(...).save_pretrained(folder)",
    )
