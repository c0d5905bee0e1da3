"""The fast tokenizer that kft builds for a keras-hub preset gives keras-hub's ids."""

import json

import numpy as np
import pytest

from kft.model.presets import preset_tokenizer
from tests.model.texts import CORPUS, TEXTS

MARKS = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
PIECES = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}


def train_sentencepiece(folder, **options):
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_prefix=str(folder / "trained"),
        minloglevel=2,
        hard_vocab_limit=False,
        **{"vocab_size": 90, **options},
    )
    return (folder / "trained.model").read_bytes()  # as a path, keras-hub leaves the file open


def train_byte_level(folder, specials):
    import tokenizers

    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator(CORPUS, vocab_size=320, special_tokens=specials, show_progress=False)
    trained.save_model(str(folder))
    return {"vocabulary": str(folder / "vocab.json"), "merges": str(folder / "merges.txt")}


def make(kind, folder):
    """Returns keras-hub's tokenizer, and what stands before and after a text."""
    import keras_hub

    models = keras_hub.models
    if kind == "roberta":
        files = train_byte_level(folder, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
        return models.RobertaTokenizer(**files), [0], [2]
    if kind == "gpt2":
        return models.GPT2Tokenizer(**train_byte_level(folder, ["<|endoftext|>"])), [], []
    if kind == "deberta":
        proto = train_sentencepiece(folder, **MARKS, **PIECES)
        return models.DebertaV3Tokenizer(proto=proto), [1], [2]
    if kind == "albert":
        proto = train_sentencepiece(
            folder, **MARKS, **{**PIECES, "pad_piece": "<pad>"}, user_defined_symbols=["[MASK]"]
        )
        return models.AlbertTokenizer(proto=proto), [1], [2]
    if kind == "gemma":
        pieces = {"pad_piece": "<pad>", "bos_piece": "<bos>", "eos_piece": "<eos>", "unk_piece": "<unk>"}
        gemma = {**MARKS, "eos_id": 1, "bos_id": 2, "model_type": "bpe", "add_dummy_prefix": False}
        options = {
            "normalization_rule_name": "identity",
            "byte_fallback": True,
            "vocab_size": 340,
            "remove_extra_whitespaces": False,
        }
        named = ["\n\n", "<start_of_turn>", "<end_of_turn>"]
        path = train_sentencepiece(folder, **{**gemma, **options}, **pieces, user_defined_symbols=named)
        return models.GemmaTokenizer(proto=path), [2], []
    proto = train_sentencepiece(folder, unk_id=0, bos_id=1, eos_id=2)
    return models.XLMRobertaTokenizer(proto=proto), [0], [2]


@pytest.mark.parametrize("kind", ["roberta", "gpt2", "deberta", "albert", "gemma", "xlm-roberta"])
def test_a_presets_tokenizer_gives_keras_hubs_ids(kind, tmp_path):
    theirs, before, after = make(kind, tmp_path)
    theirs.save_to_preset(str(tmp_path / "preset"))
    ours = preset_tokenizer(tmp_path / "preset")
    # ALBERT's published model lowers its text; this one, trained without, gets lowered text.
    texts = [text.lower().replace("ä", "a").replace("ü", "u") if kind == "albert" else text for text in TEXTS]
    if kind == "albert":
        texts = [text.replace("ï", "i").replace("é", "e") for text in texts]
    for text in texts:
        expected = [*before, *np.asarray(theirs(text)).tolist(), *after] if text else [*before, *after]
        assert ours.encode([text], 512)[0][0].tolist() == expected, text


def test_a_kind_that_is_not_built_is_refused(tmp_path):
    from kft.errors import ModelError

    (tmp_path / "tokenizer.json").write_text(json.dumps({"class_name": "WhisperTokenizer", "config": {}}))
    with pytest.raises(ModelError, match="tokenizer of this preset") as caught:
        preset_tokenizer(tmp_path)
    assert "WhisperTokenizer" in str(caught.value) and "hf://" in str(caught.value)
