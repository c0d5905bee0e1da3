"""Whether a vocabulary belongs to the weights beside it: told by what every pretrained model knows of plurals."""

import numpy as np
import pytest
import tokenizers

from kft.model.vocabulary import VocabularyFit, reached_words, related_words, whole_words

NOUNS = [f"{first}{last}" for first in ("card", "bank", "loan", "note") for last in "abcdefghijklmnopqrtuvwxyz"]
RNG = np.random.default_rng(0)


def table(words):
    """Vectors as pretraining leaves them: a plural's is near that of its word."""
    vectors = RNG.normal(size=(len(words), 16)).astype(np.float32)
    for word, number in words.items():
        if word.endswith("s") and word[:-1] in words:
            vectors[number] = vectors[words[word[:-1]]] + RNG.normal(size=16) / 2
    return vectors


def vocabulary(words):
    return {word: number for number, word in enumerate(words)}


def test_own_words_lie_near_their_plurals_and_those_of_another_model_do_not():
    own = vocabulary([*NOUNS, *(f"{noun}s" for noun in NOUNS)])
    vectors = table(own)
    assert related_words(vectors, own) > 0.95
    shuffled = dict(zip(own, RNG.permutation(len(own)), strict=True))
    assert 0.3 < related_words(vectors, {word: int(number) for word, number in shuffled.items()}) < 0.7


def test_too_few_words_or_no_table_tell_nothing():
    few = vocabulary(["card", "cards", "bank", "banks"])
    assert related_words(np.ones((4, 2), np.float32), few) is None
    assert related_words(None, vocabulary([*NOUNS, *(f"{noun}s" for noun in NOUNS)])) is None


@pytest.mark.parametrize("lowered", [False, True])
def test_words_that_no_text_reaches_are_counted(lowered):
    words = [*NOUNS, *(noun.title() for noun in NOUNS)]
    model = tokenizers.models.WordPiece(vocabulary([*words, "[UNK]"]), unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if lowered:
        tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    share = reached_words(tokenizer, vocabulary(words))
    fit = VocabularyFit(None, share)
    assert share == (0.5 if lowered else 1.0)
    assert fit.shut == lowered and not fit.foreign


def test_beginnings_of_words_are_known_by_their_mark():
    byte_level = {"\u0120card": 0, "s": 1, "\u0120cards": 2, "ing": 3}
    assert whole_words(byte_level) == {"card": 0, "cards": 2}
    assert whole_words({"\u2581card": 1, "\u2581": 0, "x": 2}) == {"card": 1}


@pytest.mark.slow
def test_real_weights_beside_the_words_of_another_model_are_told(tmp_path):
    """As a folder with BERT's cased vocabulary beside MiniLM's weights, which loads without an error."""
    import kft
    from kft.model.sources import fetch_backbone
    from kft.model.vocabulary import fit_of

    source = fetch_backbone("minilm-l6")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    words = (source / "vocab.txt").read_text(encoding="utf-8").splitlines()
    (tmp_path / "vocab.txt").write_text("\n".join([*words[:1000], *reversed(words[1000:])]) + "\n", encoding="utf-8")
    right, wrong = fit_of(kft.load_backbone("minilm-l6")), fit_of(kft.load_backbone(str(tmp_path)))
    assert right.related > 0.99 and right.reached > 0.99 and not right.foreign and not right.shut
    assert 0.4 < wrong.related < 0.6 and wrong.foreign and not wrong.shut
