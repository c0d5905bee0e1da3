"""Fast tokenizers: built from what a backbone's folder holds; kft/model/token_rows.py is what they do.

A folder's own tokenizer.json comes first; where there is none, the tokenizer is built from the vocabulary that
the folder has: WordPiece (vocab.txt), byte-level BPE (vocab.json and merges.txt) or a SentencePiece model. What is said
beside either is obeyed, or refused (``token_settings``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kft.errors import ModelError
from kft.model.gguf_gemma import SUFFIX, read_gguf_tokens
from kft.model.panics import tokenizer_errors
from kft.model.sentencepiece import SentencePieceModel, build_sentencepiece, read_sentencepiece
from kft.model.token_rows import TextTokenizer
from kft.model.token_settings import PLAIN, AddedToken, TokenSettings, read_settings, refuse_switches

if TYPE_CHECKING:
    import tokenizers

WORD_PIECE_NAMES = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
SAMPLE = "A fi\u0301rst \ufb01ne, \uff21\u2460  \u00e9\u00c5 \u4e2d\u6587 \u0928\u0940 \U0001f600\u200d x"
"""Letters, marks, ligatures, wide ones, ideographs and an emoji: what normalisation looks up."""
BESIDE = "tokenizers.json"
"""A tokenizer of the `tokenizers` package in a keras-hub preset, whose own file is called tokenizer.json."""
SENTENCEPIECE_FILES = ("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model")


def load_tokenizer(folder: Path, family: str = "bert", report: Callable[[str], None] | None = None) -> TextTokenizer:
    """Builds the tokenizer that a Hugging Face folder describes.

    Args:
        folder: Holds tokenizer.json, or a vocabulary, and may hold tokenizer_config.json, special_tokens_map.json and
            added_tokens.json, which are obeyed or refused by name; or a GGUF file.
        family: The folder's model_type: which special tokens a bare vocabulary gets.
        report: Told what is guessed where nothing is said.

    Raises:
        ModelError: There is no tokenizer that kft can read, or it is set to read texts as kft does not.
    """
    if folder.suffix == SUFFIX and folder.is_file():
        return wrap(sentencepiece_tokenizer(read_gguf_tokens(folder), family), folder)
    whole = (folder / "tokenizer.json").is_file()
    settings = read_settings(folder, with_json=whole)
    spm = next((folder / name for name in SENTENCEPIECE_FILES if (folder / name).is_file()), None)
    if whole:
        return wrap(from_json(folder / "tokenizer.json", settings), folder)
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        built = byte_level_bpe(folder / "vocab.json", folder / "merges.txt", family, settings)
    elif spm is not None:
        built = sentencepiece_tokenizer(read_sentencepiece(spm), family, settings)
    elif (folder / "vocab.txt").is_file():
        built = word_piece(folder / "vocab.txt", settings, report)
    else:
        raise ModelError(
            "the backbone's folder has no tokenizer",
            where=str(folder),
            received="no tokenizer.json, no vocab.txt, no vocab.json with merges.txt, no SentencePiece model",
            expected="one of them",
            next_step="copy the tokenizer's files into the folder (tokenizer.json is best)",
        )
    return wrap(add_tokens(built, settings.added, folder), folder)


def from_json(path: Path, settings: TokenSettings) -> tokenizers.Tokenizer:
    """Reads a tokenizer.json; what tokenizer_config.json states of case, accents and spaces wins, as in Hugging Face's.

    Raises:
        ModelError: It cannot be read.
    """
    import tokenizers

    text = _text_of(path)
    with tokenizer_errors(str(path)):
        values = json.loads(text)
        normalizer, splitter = values.get("normalizer") or {}, values.get("pre_tokenizer") or {}
        changed = False
        for state, kind, key, name in (
            (normalizer, "BertNormalizer", "lowercase", "do_lower_case"),
            (normalizer, "BertNormalizer", "strip_accents", "strip_accents"),
            (normalizer, "BertNormalizer", "handle_chinese_chars", "tokenize_chinese_chars"),
            (splitter, "ByteLevel", "add_prefix_space", "add_prefix_space"),
        ):
            stated = settings.switches.get(name)
            if stated is not None and state.get("type") == kind and state.get(key) != stated:
                state[key], changed = stated, True
        built = tokenizers.Tokenizer.from_str(json.dumps(values) if changed else text)
    missing = tuple(each for each in settings.added if built.token_to_id(each.content) is None)
    return add_tokens(built, missing, path.parent)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from None


def add_tokens(built: tokenizers.Tokenizer, added: Sequence[AddedToken], folder: Path) -> tokenizers.Tokenizer:
    """Adds tokens to a vocabulary, and takes those whole that are in it already.

    Raises:
        ModelError: A token would get another id than the folder says.
    """
    from tokenizers import AddedToken

    for each in added:
        flags = {"normalized": not each.special, **each.flags}
        token = AddedToken(each.content, special=each.special, **flags)
        (built.add_special_tokens if each.special else built.add_tokens)([token])
        number = built.token_to_id(each.content)
        if each.number is not None and number != each.number:
            raise ModelError(
                "an added token has another id than its folder says",
                where=f"{folder}, {each.content!r}",
                received=f"id {number}, in a vocabulary of {built.get_vocab_size():,}",
                expected=f"id {each.number}",
                next_step="fetch the vocabulary and its added tokens again, from one place",
            )
    return built


def wrap(tokenizer: tokenizers.Tokenizer, where: Path) -> TextTokenizer:
    """Takes truncation and padding off a tokenizer: kft cuts and pads, and says how often.

    Args:
        tokenizer: As it was read.
        where: Its folder, for the message.

    Raises:
        ModelError: It fails on texts of all kinds: damaged tables are only looked into where one is read.
    """
    with tokenizer_errors(str(where)):
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_batch([SAMPLE, (SAMPLE, SAMPLE)])
        return TextTokenizer(tokenizer, special_tokens=tokenizer.num_special_tokens_to_add(False))


def word_piece(
    vocabulary: Path, settings: TokenSettings = PLAIN, report: Callable[[str], None] | None = None
) -> tokenizers.Tokenizer:
    """Builds BERT's WordPiece from a vocab.txt.

    Without ``do_lower_case`` a text is lowered, as BERT's own tokenizer does, unless the vocabulary has words with
    capital letters, which lowered text could never reach. Without ``strip_accents`` accents follow the case.
    """
    import tokenizers

    words = _text_of(vocabulary).split("\n")
    lowered = settings.switches.get("do_lower_case")
    if lowered is None:
        capital = next((word for word in words if word != word.lower() and not re.fullmatch(r"\W.*\W", word)), None)
        lowered = capital is None
        if capital is not None and report:
            report(
                f"{vocabulary.parent.name}: case is kept: nothing says do_lower_case, and vocab.txt has words with "
                f"capital letters, such as {capital!r}; state it in tokenizer_config.json to be sure"
            )
    names = {key: name for key, name in settings.names.items() if key in WORD_PIECE_NAMES}
    with tokenizer_errors(str(vocabulary)):
        built = tokenizers.BertWordPieceTokenizer.from_file(
            str(vocabulary),
            lowercase=lowered,
            strip_accents=settings.switches.get("strip_accents"),
            handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
            **names,
        )
    return tokenizers.Tokenizer.from_str(built.to_str())


def byte_level_bpe(
    vocabulary: Path, merges: Path, family: str, settings: TokenSettings = PLAIN
) -> tokenizers.Tokenizer:
    """Builds GPT-2's byte-level BPE, with RoBERTa's special tokens where the family has them.

    Raises:
        ModelError: The files cannot be read, or the settings ask for what byte-level BPE does not do.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    refuse_switches(settings, ("add_prefix_space",), vocabulary.parent, "byte-level BPE")
    spaced = settings.get("add_prefix_space", False)
    with tokenizer_errors(str(vocabulary)):
        built = Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=spaced)
    built.decoder = decoders.ByteLevel()
    if family == "roberta":
        start, end = built.token_to_id("<s>"), built.token_to_id("</s>")
        if start is None or end is None:
            raise _unreadable(vocabulary, "no <s> or no </s>")
        known = [name for name in ("<s>", "<pad>", "</s>", "<unk>") if built.token_to_id(name) is not None]
        built.add_special_tokens([*known, AddedToken("<mask>", lstrip=True)])
        # trim_offsets=True keeps the space that belongs to a token out of its offsets.
        built.post_processor = processors.RobertaProcessing(
            ("</s>", end), ("<s>", start), trim_offsets=True, add_prefix_space=spaced
        )
    else:
        built.post_processor = processors.ByteLevel(trim_offsets=True)
        if built.token_to_id("<|endoftext|>") is not None:
            built.add_special_tokens(["<|endoftext|>"])
    return built


SWITCHES_OF = {"albert": ("do_lower_case", "keep_accents"), "deberta-v2": ("do_lower_case",)}
"""Settings that a family's SentencePiece tokenizer obeys."""
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


def sentencepiece_tokenizer(
    model: SentencePieceModel, family: str, settings: TokenSettings = PLAIN
) -> tokenizers.Tokenizer:
    """Builds a tokenizer from a SentencePiece model, with the special tokens of a family.

    Raises:
        ModelError: kft does not know how the family adds special tokens, or the settings ask for what it does not do.
    """
    from tokenizers import processors

    if family not in TEMPLATES:
        raise _unreadable(Path(model.name), f"the special tokens of a {family} model are not known")
    refuse_switches(settings, SWITCHES_OF.get(family, ()), Path(model.name).parent, f"a {family} model")
    albert = family == "albert"
    with tokenizer_errors(model.name):
        built = build_sentencepiece(
            model,
            fairseq=family == "xlm-roberta",
            lowercase=settings.get("do_lower_case", albert),
            strip_accents=albert and not settings.get("keep_accents", False),
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
