"""Ids, pairs, cuts and offsets are those of the `tokenizers` package and of SentencePiece, for each kind."""

import json
from pathlib import Path

import numpy as np
import pytest

from kft.errors import ModelError
from kft.model.sentencepiece import read_sentencepiece
from kft.model.tokenizers import load_tokenizer, sentencepiece_tokenizer
from tests.model.texts import CORPUS, TEXTS


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Trains a tiny tokenizer of each kind, and writes what a Hugging Face folder has of it."""
    import sentencepiece
    import tokenizers

    root = tmp_path_factory.mktemp("tokenizers")
    made = {name: root / name for name in ("word-piece", "byte-level", "roberta", "unigram", "json", "bpe-spm")}
    for folder in made.values():
        folder.mkdir()
    word = tokenizers.BertWordPieceTokenizer(lowercase=True)
    word.train_from_iterator(CORPUS, vocab_size=120, show_progress=False)
    word.save_model(str(made["word-piece"]))
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    byte = tokenizers.ByteLevelBPETokenizer()
    byte.train_from_iterator(CORPUS, vocab_size=320, special_tokens=specials, show_progress=False)
    byte.save_model(str(made["byte-level"]))
    byte.save_model(str(made["roberta"]))
    for name, kind, options in (
        ("unigram", "unigram", {}),
        (
            "bpe-spm",
            "bpe",
            {
                "byte_fallback": True,
                "add_dummy_prefix": False,
                "normalization_rule_name": "identity",
                "user_defined_symbols": ["<tag>", "\n\n", "\u2581\u2581"],
            },
        ),
    ):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS),
            model_prefix=str(made[name] / "spiece"),
            vocab_size=90 if kind == "unigram" else 330,
            model_type=kind,
            minloglevel=2,
            hard_vocab_limit=False,
            remove_extra_whitespaces=kind == "unigram",
            **options,
        )
    single = load_tokenizer(made["word-piece"]).tokenizer
    single.enable_truncation(5)  # as many a published tokenizer.json has it
    single.enable_padding(length=8)
    single.save(str(made["json"] / "tokenizer.json"))
    return made


KINDS = [
    ("word-piece", "bert"),
    ("byte-level", "gpt2"),
    ("roberta", "roberta"),
    ("json", "bert"),
    ("unigram", "albert"),
]


def load(folders, kind, family):
    if kind != "unigram":
        return load_tokenizer(folders[kind], family)
    # ALBERT's markers are pieces of the model; this one has others.
    from kft.model import tokenizers as ours
    from kft.model.sentencepiece import build_sentencepiece

    built = build_sentencepiece(read_sentencepiece(folders[kind] / "spiece.model"))
    from tokenizers import processors

    built.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return ours.wrap(built, Path("made"))


@pytest.mark.parametrize(("kind", "family"), KINDS)
@pytest.mark.parametrize("cut", [4, 5, 7, 512])
def test_texts_and_pairs_are_cut_as_the_package_cuts(folders, kind, family, cut):
    tokenizer = load(folders, kind, family)
    package = type(tokenizer.tokenizer).from_str(tokenizer.tokenizer.to_str())
    full = [len(each) for each in package.encode_batch(TEXTS)]
    package.enable_truncation(cut)
    ids, lengths = tokenizer.encode(TEXTS, cut)
    assert [row.tolist() for row in ids] == [each.ids for each in package.encode_batch(TEXTS)]
    assert lengths.tolist() == full
    firsts, seconds = [text for text in TEXTS for _ in TEXTS], TEXTS * len(TEXTS)
    ids, types, lengths = tokenizer.encode_pairs(firsts, seconds, cut)
    expected = package.encode_batch(list(zip(firsts, seconds, strict=True)))
    assert [row.tolist() for row in ids] == [each.ids for each in expected]
    assert [row.tolist() for row in types] == [each.type_ids for each in expected]
    assert lengths.max() > 7
    assert all(row.dtype == np.int32 for row in (*ids, *types))


@pytest.mark.parametrize(("kind", "family"), KINDS)
def test_offsets_point_at_the_characters_of_each_token(folders, kind, family):
    tokenizer = load(folders, kind, family)
    ids, offsets, lengths = tokenizer.encode_with_offsets(TEXTS, 512)
    assert [row.tolist() for row in ids] == [row.tolist() for row in tokenizer.encode(TEXTS, 512)[0]]
    for text, row, spans, length in zip(TEXTS, ids, offsets, lengths, strict=True):
        assert spans.shape == (len(row), 2) and spans.dtype == np.int32 and length == len(row)
        assert all(text[start:stop] == text[start:stop].strip() for start, stop in spans)
        covered = {at for start, stop in spans for at in range(start, stop)}
        assert {at for at, character in enumerate(text) if not character.isspace()} <= covered
    if family != "gpt2":
        assert all(spans[0].tolist() == [0, 0] == spans[-1].tolist() for spans in offsets)
    cut_ids, cut, _ = tokenizer.encode_with_offsets(TEXTS, 5)
    assert [len(row) for row in cut_ids] == [len(row) for row in cut] == [min(5, len(row)) for row in ids]


def test_word_piece_follows_the_folders_settings(folders, tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "arger", "Ärger", "ärger"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    expected = {(True, None): 5, (True, False): 7, (False, None): 6, (True, True): 5}
    for (lower, accents), number in expected.items():
        settings = {"do_lower_case": lower, "strip_accents": accents}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
        assert load_tokenizer(tmp_path).encode(["Ärger"], 9)[0][0].tolist() == [2, number, 3]


def test_roberta_puts_its_markers_around_pairs(folders):
    tokenizer = load_tokenizer(folders["roberta"], "roberta")
    (ids,), (types,), _ = tokenizer.encode_pairs(["days"], ["days"], 64)
    word = ids[1:-1].tolist()
    half = (len(word) - 2) // 2
    assert ids[0] == 0 and ids[-1] == 2 and word[half : half + 2] == [2, 2] and not types.any()
    assert tokenizer.special_tokens == 2
    assert load_tokenizer(folders["byte-level"], "gpt2").special_tokens == 0


@pytest.mark.parametrize("name", ["unigram", "bpe-spm"])
def test_a_sentencepiece_model_gives_the_ids_of_sentencepiece(folders, name):
    import sentencepiece

    from kft.model.sentencepiece import build_sentencepiece

    path = folders[name] / "spiece.model"
    reference = sentencepiece.SentencePieceProcessor(model_file=str(path))
    built = build_sentencepiece(read_sentencepiece(path))
    for text in [
        *TEXTS,
        "the battery<tag>is\n\n\ngood",
        "good  two   days    after",
        "<tag>days",
        "a <tag> b",
        "days ",
    ]:
        assert built.encode(text).ids == reference.encode(text), text


def test_xlm_roberta_counts_its_pieces_as_fairseq_does(folders):
    import sentencepiece

    path = folders["unigram"] / "spiece.model"
    tokenizer = sentencepiece_tokenizer(read_sentencepiece(path), "xlm-roberta")
    reference = sentencepiece.SentencePieceProcessor(model_file=str(path))
    for text in TEXTS:
        pieces = [3 if piece == reference.unk_id() else piece + 1 for piece in reference.encode(text)]
        assert tokenizer.encode(text).ids == [0, *pieces, 2]
    assert tokenizer.token_to_id("<mask>") == reference.get_piece_size() + 1


def test_what_is_no_tokenizer_is_refused(folders, tmp_path):
    with pytest.raises(ModelError, match="has no tokenizer") as caught:
        load_tokenizer(tmp_path)
    assert "tokenizer.json" in str(caught.value)
    (tmp_path / "spiece.model").write_bytes(b"no protocol buffer at all")
    with pytest.raises(ModelError, match="not a SentencePiece model"):
        load_tokenizer(tmp_path, "albert")
    with pytest.raises(ModelError, match="cannot be read") as caught:
        sentencepiece_tokenizer(read_sentencepiece(folders["unigram"] / "spiece.model"), "albert")
    assert "no [CLS]" in str(caught.value)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be read"):
        load_tokenizer(tmp_path)
