"""Loads keras-hub preset folders and a person's own ``.keras`` files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.errors import ModelError
from kft.model.panics import tokenizer_errors
from kft.model.sentencepiece import read_sentencepiece
from kft.model.token_settings import PLAIN, TokenSettings
from kft.model.tokenizers import (
    BESIDE,
    TextTokenizer,
    byte_level_bpe,
    from_json,
    sentencepiece_tokenizer,
    word_piece,
    wrap,
)

if TYPE_CHECKING:
    import keras

WEIGHTS = ("model.weights.h5", "model.weights.json")
DECODERS = ("GPT2", "Llama", "Gemma", "Mistral", "Mixtral", "Qwen", "Phi", "Falcon", "Bloom", "OPT", "SmolLM")
"""Beginnings of the names of keras-hub's causal decoders, whose last token has seen the whole text."""
TOKENIZERS = {
    # keras-hub's class: Hugging Face's model_type, which names the same special tokens
    "RobertaTokenizer": "roberta",
    "GPT2Tokenizer": "gpt2",
    "XLMRobertaTokenizer": "xlm-roberta",
    "DebertaV3Tokenizer": "deberta-v2",
    "AlbertTokenizer": "albert",
    "GemmaTokenizer": "gemma",
    "Gemma3Tokenizer": "gemma",
    "MistralTokenizer": "llama",
}
WORD_PIECE = ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer")


def is_preset(folder: Path, config: dict[str, Any]) -> bool:
    """Whether a folder is a keras-hub preset and not a Hugging Face one."""
    return "registered_name" in config or any((folder / name).is_file() for name in WEIGHTS)


def load_preset(folder: Path, config: dict[str, Any], *, dropout: float, pretrained: bool = True) -> keras.Model:
    """Builds the backbone of a keras-hub preset folder and, where they are wanted, loads its weights.

    Raises:
        ModelError: keras-hub cannot read it.
    """
    import keras
    import keras_hub

    known = config.get("config", {})
    arguments: dict[str, Any] = {name: dropout for name in ("dropout", "dropout_rate") if name in known}
    if str(config.get("class_name", "")).startswith(("EfficientNet", "MobileNet")):
        arguments.clear()  # there it drops whole branches, at the rate that pretraining chose
    policy = keras.config.dtype_policy().name
    if policy != "float32":  # else as its config says
        arguments["dtype"] = policy
    try:
        return keras_hub.models.Backbone.from_preset(str(folder), load_weights=pretrained, **arguments)
    except Exception as error:  # keras-hub, Keras and h5py each raise their own
        raise ModelError(
            "keras-hub cannot load this preset",
            where=str(folder),
            received=(str(error).strip().split("\n") or [""])[0][:300],
            expected="a backbone's preset: config.json, model.weights.h5 and, for text, tokenizer.json with assets/",
            next_step="save it again: backbone.save_to_preset(folder); tokenizer.save_to_preset(folder)",
        ) from error


def preset_tokenizer(folder: Path) -> TextTokenizer:
    """Builds the fast tokenizer that gives a preset's ids.

    Raises:
        ModelError: The preset has none, or one of a kind that kft cannot build.
    """
    if (folder / BESIDE).is_file():
        return wrap(from_json(folder / BESIDE, PLAIN), folder)
    path = folder / "tokenizer.json"
    received = "no tokenizer.json"
    if path.is_file():
        with tokenizer_errors(str(path)):
            description = json.loads(path.read_text(encoding="utf-8"))
            kind = str(description.get("class_name"))
            settings, files = dict(description.get("config", {})), folder / "assets" / "tokenizer"
        if kind in WORD_PIECE:
            # As the checkpoints were trained: keras-hub leaves accents on lowered text, which then is [UNK].
            accents = {"strip_accents": True} if settings.get("strip_accents") else {}
            return wrap(
                word_piece(
                    files / "vocabulary.txt",
                    TokenSettings({"do_lower_case": bool(settings.get("lowercase", False)), **accents}, {}, ()),
                ),
                folder,
            )
        family = TOKENIZERS.get(kind)
        if family and (files / "vocabulary.spm").is_file():
            return wrap(sentencepiece_tokenizer(read_sentencepiece(files / "vocabulary.spm"), family), folder)
        if family and (files / "merges.txt").is_file():
            return wrap(byte_level_bpe(files / "vocabulary.json", files / "merges.txt", family), folder)
        received = kind
    raise ModelError(
        "kft cannot build the tokenizer of this preset",
        where=str(folder),
        received=received,
        expected="one of " + ", ".join((*WORD_PIECE, *TOKENIZERS)),
        next_step="use the same model from Hugging Face: hf://owner/repo",
    )


def load_keras_file(path: Path) -> keras.Model:
    """Loads a person's own ``.keras`` file, in Keras's safe mode.

    Raises:
        ModelError: It is no such file, holds code (a Lambda layer), or a class that nobody registered.
    """
    import keras
    import keras_hub  # noqa: F401  (registers its layers)

    import kft.model.heads  # noqa: F401  (registers kft's own)

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises ValueError, TypeError, zipfile and h5py errors
        raise ModelError(
            "Keras cannot load this file",
            where=str(path),
            received=(str(error).strip().split("\n") or [""])[0][:300],
            expected="a functional model saved by model.save('NAME.keras'), of Keras's own layers and without Lambda",
            next_step="save it again from Keras's own layers (safe mode stays on: a model file must not run code)",
        ) from error
