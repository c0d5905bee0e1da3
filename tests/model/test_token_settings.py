"""What stands beside a vocabulary is obeyed, as the `tokenizers` package does it, or refused by name."""

import json

import pytest
import tokenizers
from tokenizers import AddedToken, normalizers

from kft.errors import ModelError
from kft.model.sentencepiece import build_sentencepiece, read_sentencepiece
from kft.model.token_settings import ONLY
from kft.model.tokenizers import load_tokenizer

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIALS, "apple", "Apple", "polish", "Polish", "may", "in", "##s", "elan", "élan", "中", "文", "中文", "the"]
PLAIN = [word for word in WORDS if word == word.lower() or word in SPECIALS]
TEXTS = ["Apple may polish", "Polish Apples in May", "élan the Élan", "中文", "covid19 the [URL] COVID19"]


def folder_of(path, words, config=None, **files):
    path.mkdir(exist_ok=True)
    (path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    for name, content in {"tokenizer_config": config, **files}.items():
        if content is not None:
            (path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return path


def tokens(tokenizer, texts=TEXTS):
    return [tokenizer.encode(text).tokens for text in texts]


@pytest.mark.parametrize("words", [WORDS, PLAIN])
@pytest.mark.parametrize("lowered", [True, False])
@pytest.mark.parametrize("accents", [None, True, False])
@pytest.mark.parametrize("chinese", [True, False])
def test_every_setting_of_word_piece_gives_what_the_package_gives(tmp_path, words, lowered, accents, chinese):
    config = {"do_lower_case": lowered, "strip_accents": accents, "tokenize_chinese_chars": chinese}
    found = load_tokenizer(folder_of(tmp_path / "m", words, config)).tokenizer
    package = tokenizers.BertWordPieceTokenizer.from_file(
        str(tmp_path / "m" / "vocab.txt"), lowercase=lowered, strip_accents=accents, handle_chinese_chars=chinese
    )
    assert tokens(found) == tokens(package)


def test_case_is_kept_where_the_vocabulary_has_it_and_nothing_says_otherwise(tmp_path):
    said = []
    cased = load_tokenizer(folder_of(tmp_path / "cased", WORDS), report=said.append)
    assert tokens(cased.tokenizer)[0] == ["[CLS]", "Apple", "may", "polish", "[SEP]"]
    assert said == [
        "cased: case is kept: nothing says do_lower_case, and vocab.txt has words with capital letters, such as "
        "'Apple'; state it in tokenizer_config.json to be sure"
    ]
    plain = load_tokenizer(folder_of(tmp_path / "plain", PLAIN), report=said.append)
    assert tokens(plain.tokenizer)[0][1] == "apple" and len(said) == 1
    stated = load_tokenizer(folder_of(tmp_path / "stated", WORDS, {"do_lower_case": True}), report=said.append)
    assert tokens(stated.tokenizer)[0][1] == "apple" and len(said) == 1


@pytest.mark.parametrize(
    "files",
    [
        {"added_tokens": {"covid19": len(PLAIN), "[URL]": len(PLAIN) + 1}},
        {
            "config": {
                "added_tokens_decoder": {
                    str(len(PLAIN)): {"content": "covid19", "special": False},
                    str(len(PLAIN) + 1): {"content": "[URL]", "special": True, "normalized": False},
                }
            }
        },
    ],
)
def test_added_tokens_are_taken_whole_with_their_ids(tmp_path, files):
    special = {"additional_special_tokens": ["[URL]"]}
    path = folder_of(tmp_path / "m", PLAIN, files.pop("config", None), special_tokens_map=special, **files)
    found = load_tokenizer(path).tokenizer
    package = tokenizers.BertWordPieceTokenizer.from_file(str(path / "vocab.txt"), lowercase=True)
    package.add_tokens([AddedToken("covid19", normalized=True)])
    package.add_special_tokens([AddedToken("[URL]", normalized=False)])
    assert tokens(found) == tokens(package) and found.get_vocab_size() == len(PLAIN) + 2
    assert found.encode("covid19 the [URL]").ids[1:4:2] == [len(PLAIN), len(PLAIN) + 1]


def test_an_added_token_of_another_id_is_refused(tmp_path):
    for number in (3, len(PLAIN) + 5, -1, "7", True):
        with pytest.raises(ModelError, match=r"another id than its folder says|is set to read texts") as failed:
            load_tokenizer(folder_of(tmp_path / "m", PLAIN, added_tokens={"covid19": number}))
        assert "covid19" in str(failed.value)


@pytest.mark.parametrize("spaced", [True, False, None])
def test_a_space_before_the_text_is_put_where_it_is_asked_for(tmp_path, spaced):
    byte = tokenizers.ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    byte.train_from_iterator(["hello world hello"], vocab_size=300, special_tokens=specials, show_progress=False)
    byte.save_model(str(tmp_path))
    config = {} if spaced is None else {"add_prefix_space": spaced}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    found = tokens(load_tokenizer(tmp_path, "roberta").tokenizer, ["hello world"])[0]
    package = tokenizers.ByteLevelBPETokenizer.from_file(
        str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"), add_prefix_space=bool(spaced)
    )
    assert found[1:-1] == tokens(package, ["hello world"])[0] and found[1].startswith("Ġ") == bool(spaced)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    with pytest.raises(ModelError, match="set to read texts as kft does not"):
        load_tokenizer(tmp_path, "roberta")


def test_accents_and_case_of_albert_are_as_it_says(tmp_path):
    import sentencepiece

    corpus = ["Élan elan यहाँ यह the apple Apple"] * 50
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_prefix=str(tmp_path / "spiece"), vocab_size=44, minloglevel=2,
        hard_vocab_limit=False, control_symbols=["[CLS]", "[SEP]"],
    )  # fmt: skip
    bare = build_sentencepiece(read_sentencepiece(tmp_path / "spiece.model"))
    lower, strip = normalizers.Lowercase(), normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents()])
    for keep, cased in ((False, False), (True, False), (False, True), (True, True)):
        config = {"keep_accents": keep, "do_lower_case": not cased}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        found = load_tokenizer(tmp_path, "albert").tokenizer
        for text in ("Élan", "यहाँ", "the Apple"):
            read = text if keep else strip.normalize_str(text)
            read = read if cased else lower.normalize_str(read)
            assert found.encode(text).ids[1:-1] == bare.encode(read).ids, (config, text)
    (tmp_path / "tokenizer_config.json").unlink()
    assert load_tokenizer(tmp_path, "albert").tokenizer.encode("Élan").ids[1:-1] == bare.encode("elan").ids


@pytest.mark.parametrize("key", ["do_lower_case", "strip_accents", "tokenize_chinese_chars"])
def test_settings_beside_a_tokenizer_json_win(tmp_path, key):
    path = folder_of(tmp_path / "m", WORDS, {"do_lower_case": False})
    load_tokenizer(path).tokenizer.save(str(path / "tokenizer.json"))
    assert tokens(load_tokenizer(path).tokenizer)[0][1] == "Apple"
    stated = {"do_lower_case": False, "strip_accents": None, "tokenize_chinese_chars": True} | {
        key: key != "tokenize_chinese_chars"
    }
    (path / "tokenizer_config.json").write_text(json.dumps(stated))
    package = tokenizers.BertWordPieceTokenizer.from_file(
        str(path / "vocab.txt"), lowercase=stated["do_lower_case"], strip_accents=stated["strip_accents"],
        handle_chinese_chars=stated["tokenize_chinese_chars"],
    )  # fmt: skip
    assert tokens(load_tokenizer(path).tokenizer) == tokens(package)


@pytest.mark.parametrize("key", ONLY)
def test_what_is_not_obeyed_is_refused_by_name(tmp_path, key):
    path = folder_of(tmp_path / "m", PLAIN, {key: ONLY[key][0]})
    load_tokenizer(path)
    folder_of(path, PLAIN, {key: "left" if key == "truncation_side" else ["x"]})
    with pytest.raises(ModelError, match="set to read texts as kft does not") as failed:
        load_tokenizer(path)
    assert f"tokenizer_config.json, {key}" in str(failed.value) and "save_pretrained" in str(failed.value)


@pytest.mark.parametrize("content", ["", "[1, 2]", "{", '{"do_lower_case": "yes"}', '{"added_tokens_decoder": 3}'])
def test_damaged_settings_are_one_message(tmp_path, content):
    path = folder_of(tmp_path / "m", PLAIN)
    (path / "tokenizer_config.json").write_text(content)
    with pytest.raises(ModelError) as failed:
        load_tokenizer(path)
    assert "tokenizer_config.json" in str(failed.value) and failed.value.next_step
