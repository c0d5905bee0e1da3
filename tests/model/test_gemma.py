"""Gemma 3 from GGUF files: what transformers and sentencepiece make of the same weights and tokens, or a refusal."""

import json
from pathlib import Path

import numpy as np
import pytest

import kft
from kft.errors import KftError, ModelError
from kft.model.gguf_gemma import read_gguf_config
from kft.model.hub_tokenizer import hub_tokenizer
from kft.model.limits import known_limit
from kft.model.sources import fetch_backbone, resolve_backbone
from kft.model.tokenizers import load_tokenizer
from tests import tiny
from tests.model.gemma import PIECES, REFERENCE, WITH_BYTES, reference_arrays, write_gguf
from tests.model.make_gemma_reference import FEATURES_OF, TEXTS, pieces_of

RECORDED = json.loads((Path(__file__).parent / "reference_gemma.json").read_text(encoding="utf-8"))


WORDS = (
    "caf\u00e9 na\u00efve \u00fcber \u0141\u00f3d\u017a \u00f1and\u00fa e\u0301clair \u1ec7 \u00c5ngstr\u00f6m",
    "\U0001f600\U0001f680 \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1f3\U0001f1f4 "
    "\u2764\ufe0f \U0001f44d\U0001f3fd",
    "def f(x):\n\treturn {'a': x ** 2}  # 1e-3\n\n\n    if x != 0: pass;; /* y */ => &&",
    "<start_of_turn>user\n<end_of_turn>\n<start_of_turn>model <unused7> <0x0A> [INST] </s> <|im_end|> [PAD]",
    "  a\tb \r\n c\u00a0d\u2003e \u3000 f\x0bg \u200b h     ",
    "\u6771\u4eac\u90fd\u306b\u4f4f\u3080\u3002 \u4f60\u597d\uff0c\u4e16\u754c\uff01 "
    "\ud55c\uad6d\uc5b4 \u0e44\u0e17\u0e22",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u0928\u092e\u0938\u094d\u0924\u0947 "
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u0393\u03b5\u03b9\u03ac",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" + "0123456789" * 6 + "!!!!!!!!!!!!!!!!????" + "=" * 70,
    "https://example.org/a?b=c&d=%20#e mail@example.org $1,234.56 10\u207b\u00b3 \u00bd \u2260 \u221e",
    "It's \u201cquoted\u201d \u2014 isn't it? I'd've DON'T iPhone McDonald snake_case camelCase",
)


def _strings() -> list[str]:
    """Each line, pieces of it, and two lines cut into each other: accents, emoji, code, turns, spaces, CJK.

    <bos>, <eos> and <pad> are left out: the `tokenizers` package reads them as control, sentencepiece as letters.
    """
    rng, found = np.random.default_rng(0), list(WORDS)
    while len(found) < 200:
        one, other = (WORDS[place] for place in rng.integers(0, len(WORDS), 2))
        start, stop = sorted(rng.integers(0, len(one) + 1, 2))
        found.append(one[start:stop] + other[: int(rng.integers(0, len(other)))] * (len(found) % 2))
    return found


STRINGS = _strings()
"""200 strings."""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gemma") / "tiny.gguf")


@pytest.fixture(scope="module")
def backbone(path):
    return kft.load_backbone(str(path))


def features(backbone, ids, mask):
    arrays = {"token_ids": np.array(ids, np.int32), "padding_mask": np.array(mask, np.int32)}
    return np.asarray(backbone.model(arrays, training=False))


def test_the_outputs_are_those_of_transformers_on_the_weights_it_was_made_from(backbone):
    given = REFERENCE["inputs"]
    output = features(backbone, given["token_ids"], given["padding_mask"])
    real = np.array(given["padding_mask"], bool)
    np.testing.assert_allclose(output[real], np.array(REFERENCE["output"])[real], atol=5e-5, rtol=0)


def test_what_keras_hub_writes_of_it_is_read_again(backbone, tmp_path):
    backbone.model.save_to_preset(str(tmp_path))  # its config.json leaves sizes empty that this model has not
    backbone.tokenizer.tokenizer.save(str(tmp_path / "tokenizers.json"))
    again = kft.load_backbone(str(tmp_path))
    ids = [[2, 5, 9, 7]]
    np.testing.assert_array_equal(features(again, ids, [[1] * 4]), features(backbone, ids, [[1] * 4]))


def test_it_is_a_backbone_like_others(backbone, path):
    assert (backbone.modality, backbone.pooling, backbone.max_tokens) == ("text", "last", 64)
    assert {tensor.name for tensor in backbone.model.inputs} == {"token_ids", "padding_mask"}
    assert backbone.features.shape == (None, None, 16) and backbone.image is None
    assert list(backbone.files.hashes) == [path.name] and len(backbone.weights_hash) == 64
    assert resolve_backbone("tiny.gguf", path.parent) == str(path) and known_limit(str(path)) == 64
    model = kft.build_model(backbone, classes=3)
    assert kft.freeze(model, "none").trainable == 16 * 3 + 3
    table = kft.freeze(model, "top-2")
    assert [row.block for row in table.rows] == ["stem", *(f"block_{n:02d}" for n in range(7)), "head"]


def test_padding_on_the_right_changes_nothing_and_the_last_real_token_is_pooled(backbone):
    import keras

    short, long = [[2, 11, 12, 13]], [[2, 11, 12, 13, 0, 0, 0]]
    model = kft.build_model(backbone, classes=3)
    pooled = keras.Model(model.inputs, model.get_layer("head_pool").output)
    outputs = []
    for ids in (short, long):
        mask = (np.array(ids) > 0).astype(np.int32)
        outputs.append(np.asarray(pooled({"token_ids": np.array(ids, np.int32), "padding_mask": mask}, training=False)))
        np.testing.assert_allclose(outputs[-1][0], features(backbone, ids, mask)[0, 3], atol=1e-6)
    np.testing.assert_allclose(*outputs, atol=2e-5)


def test_random_weights_have_the_same_shape_and_other_values(backbone, path):
    other = kft.load_backbone(str(path), weights="random", seed=1)
    assert other.model.count_params() == backbone.model.count_params()
    mask = [[1, 1, 1]]
    assert np.abs(features(other, [[2, 9, 9]], mask) - features(backbone, [[2, 9, 9]], mask)).max() > 0.1


def test_its_tokens_are_those_of_sentencepiece(tmp_path):
    import sentencepiece

    path = write_gguf(tmp_path / "tokens.gguf", pieces=WITH_BYTES, arrays={})
    tokenizer = load_tokenizer(path, "gemma3_text")
    theirs = sentencepiece.SentencePieceProcessor(model_proto=pieces_of(path))
    texts = ["good", " good bad", "a  bad  go.", "    ", "\u00e9t\u00e9", "<turn>good", "", "xyz ba go good", "  good"]
    for text in texts + STRINGS:
        (found,), _ = tokenizer.encode([text], 2000)
        assert found.tolist() == [2, *theirs.encode(text)], text
        assert tokenizer.tokenizer.decode(found.tolist()) == theirs.decode(theirs.encode(text)), text  # bytes as well


def test_keras_hub_s_own_tokenizer_can_be_given_them_and_reads_alike(tmp_path):
    import keras_hub

    arrays = {**reference_arrays(), "token_embd.weight": np.ones((len(WITH_BYTES), 16), np.float32)}
    backbone = kft.load_backbone(str(write_gguf(tmp_path / "tokens.gguf", pieces=WITH_BYTES, arrays=arrays)))
    theirs = hub_tokenizer(keras_hub.tokenizers.Gemma3Tokenizer, backbone)
    for text in ("good bad", "a  bad  go.", "\u00e9t\u00e9"):
        (found,), _ = backbone.tokenizer.encode([text], 100)
        assert found.tolist() == [2, *np.asarray(theirs(text)).tolist()], text


@pytest.mark.parametrize(
    ("values", "where", "received"),
    [
        ({"general.architecture": "llama"}, "general.architecture", "llama"),
        ({"split.count": 3}, "split.count", "3"),
        ({"gemma3.rope.freq_base": 1e4}, "gemma3.rope.freq_base", "10000.0"),
        ({"gemma3.rope.scaling.type": "linear"}, "gemma3.rope.scaling.type", "linear"),
        ({"gemma3.rope.scaling.factor": 8.0}, "gemma3.rope.scaling.factor", "8.0"),
        ({"gemma3.attention.causal": False}, "gemma3.attention.causal", "False"),
        ({"gemma3.attn_logit_softcapping": 50.0}, "gemma3.attn_logit_softcapping", "50.0"),
        ({"gemma3.attention.value_length": 4}, "gemma3.attention.value_length", "4"),
        ({"gemma3.block_count": None}, "gemma3.block_count", "no block_count"),
        ({"gemma3.block_count": 0}, "num_hidden_layers", "0"),
        ({"gemma3.embedding_length": 1 << 30}, "hidden_size", "1073741824"),
        ({"gemma3.attention.layer_norm_rms_epsilon": float("nan")}, "rms_norm_eps", "nan"),
        ({"tokenizer.ggml.model": "gpt2"}, "tokenizer.ggml.model", "gpt2"),
        ({"tokenizer.ggml.model": None}, "tokenizer.ggml.model", "none"),
        ({"tokenizer.ggml.add_space_prefix": True}, "tokenizer.ggml.add_space_prefix", "True"),
        ({"tokenizer.ggml.precompiled_charsmap": "x"}, "tokenizer.ggml.precompiled_charsmap", "x"),
        ({"tokenizer.ggml.scores": [0.0]}, "tokenizer.ggml.scores", "1"),
        ({"tokenizer.ggml.token_type": None}, "tokenizer.ggml.token_type", "none"),
        ({"tokenizer.ggml.tokens": ["a"] * len(PIECES)}, "tokenizer.ggml.tokens", "the same token twice: 'a'"),
        (  # the fifth is found in a text as it is written, and so with the mark of a space
            {
                "tokenizer.ggml.tokens": [
                    text if number != 4 else "\u2581\u2581" for number, (text, *_) in enumerate(PIECES)
                ]
            },
            "tokenizer.ggml.tokens",
            "the same token twice: '\u2581\u2581'",
        ),
    ],
)
def test_what_is_not_computed_is_refused_by_its_key(values, where, received, tmp_path):
    path = write_gguf(tmp_path / "x.gguf", values=values)
    with pytest.raises(ModelError) as caught:
        kft.load_backbone(str(path))
    message = str(caught.value)
    assert f"{path}, {where}" in message and f"received: {received}" in message and "next:" in message


def test_sizes_and_tensors_that_do_not_fit_are_refused(tmp_path):
    arrays = reference_arrays()
    cases = {
        "gone": (
            {name: array for name, array in arrays.items() if name != "blk.3.ffn_up.weight"},
            "mlp.up_proj.weight",
        ),
        "more": ({**arrays, "rope_freqs.weight": np.ones(4, np.float32)}, "nothing reads: rope_freqs.weight"),
        "shape": ({**arrays, "blk.3.ffn_up.weight": np.ones((32, 16), np.float32)}, "32"),
        "rows": ({**arrays, "token_embd.weight": np.ones((39, 16), np.float32)}, "39"),
    }
    for name, (given, received) in cases.items():
        with pytest.raises(ModelError, match="do not fit each other") as caught:
            kft.load_backbone(str(write_gguf(tmp_path / f"{name}.gguf", arrays=given)))
        assert received in str(caught.value), name


def test_an_output_layer_of_its_own_is_left_out(tmp_path):
    arrays = {**reference_arrays(), "output.weight": np.ones((40, 16), np.float32)}
    assert kft.load_backbone(str(write_gguf(tmp_path / "x.gguf", arrays=arrays))).model.count_params() > 0


def test_the_epsilon_that_was_written_in_32_bits_is_the_one_that_was_meant(path):
    assert read_gguf_config(path)["rms_norm_eps"] == 1e-6


def test_a_git_lfs_pointer_is_named_as_one(tmp_path):
    path = tmp_path / "x.gguf"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 253113024\n")
    with pytest.raises(ModelError, match="this is a Git LFS pointer"):
        kft.load_backbone(str(path))


def test_pairs_and_words_are_read_as_by_other_decoders(tmp_path):
    tokenizer = load_tokenizer(write_gguf(tmp_path / "tokens.gguf", pieces=WITH_BYTES, arrays={}), "gemma3_text")
    (ids,), (types,), _ = tokenizer.encode_pairs(["good"], ["bad go"], 100)
    good, bad, space_go = (tokenizer.tokenizer.token_to_id(piece) for piece in ("good", "bad", "\u2581go"))
    assert ids.tolist() == [2, good, 2, bad, space_go] and types.tolist() == [0, 0, 1, 1, 1]
    text = "good  b\u00e9 go"
    (ids,), (offsets,), _ = tokenizer.encode_with_offsets([text], 100)
    found = [
        (tokenizer.tokenizer.id_to_token(number), text[start:stop])
        for number, (start, stop) in zip(ids, offsets, strict=True)
    ]
    assert found == [
        ("<bos>", ""),
        ("good", "good"),
        ("\u2581\u2581", ""),
        ("b", "b"),
        ("<0xC3>", "\u00e9"),
        ("<0xA9>", "\u00e9"),
        ("\u2581go", "go"),
    ]


@pytest.mark.slow
def test_a_run_trains_on_stored_features_and_answers_and_holds_the_file_to_its_hash(tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    longer = {"gemma3.context_length": 128}
    own = write_gguf(tmp_path / "own.gguf", values=longer)
    recipe = tiny.recipe(tmp_path, own, rows=60, phases=[tiny.PROBE, {**tiny.TOP, "epochs": 1}])
    done = kft.train(recipe, run=tmp_path / "run", quiet=True)
    receipt = json.loads((tmp_path / "run" / "receipt.json").read_text())
    assert list(receipt["backbone_files"]) == ["own.gguf"]
    assert list((tmp_path / "cache" / "features").iterdir()) and done.evaluation.n > 0
    (answer,) = kft.predict(tmp_path / "run", ["good"])
    assert answer.label in answer.probabilities
    write_gguf(own, values={**longer, "general.name": "another"})
    with pytest.raises(KftError, match=r"own\.gguf was changed"):
        kft.predict(tmp_path / "run", ["good"])


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The catalog's, with the terms accepted for this test alone."""
    patch = pytest.MonkeyPatch()
    patch.setenv("KFT_ACCEPT_TERMS", "gemma")
    yield kft.load_backbone("gemma3-270m")
    patch.undo()


@pytest.mark.slow
def test_the_ids_of_the_real_tokenizer_are_those_of_sentencepiece(real):
    recorded = dict(RECORDED["ids"])
    assert set(TEXTS) <= set(recorded)
    for text, ids in recorded.items():
        (found,), _ = real.tokenizer.encode([text], 1000)
        assert found.tolist() == ids, text


@pytest.mark.slow
def test_200_strings_are_read_as_sentencepiece_reads_them(real):
    import sentencepiece

    assert len(STRINGS) == 200 and sum(map(len, STRINGS)) > 5000
    path = fetch_backbone(real.name)
    theirs = sentencepiece.SentencePieceProcessor(model_proto=pieces_of(path))
    for text in STRINGS:
        (found,), _ = real.tokenizer.encode([text], 5000)
        assert found.tolist() == [2, *theirs.encode(text)], text


@pytest.mark.slow
def test_the_features_of_the_real_weights_are_those_of_transformers(real):
    ids = dict(RECORDED["ids"])
    assert [row["text"] for row in RECORDED["features"]] == list(FEATURES_OF)
    length = max(len(ids[text]) for text in FEATURES_OF)
    given = np.array([ids[text] + [0] * (length - len(ids[text])) for text in FEATURES_OF])
    output = features(real, given, given > 0)
    for found, row in zip(output, RECORDED["features"], strict=True):
        count = len(ids[row["text"]])
        size = len(row["last"])
        np.testing.assert_allclose(found[count - 1, :size], row["last"], atol=1e-3)
        np.testing.assert_allclose(found[:count].mean(axis=0)[:size], row["mean"], atol=1e-3)


@pytest.mark.slow
def test_the_real_weights_go_on_with_a_text_as_transformers_does(real):
    table = real.model.get_layer("token_embedding").embeddings.numpy()
    ids = dict(RECORDED["ids"])[RECORDED["next"]["text"]]
    for number, expected in enumerate(RECORDED["continued"]):
        logits = features(real, [ids], [[1] * len(ids)])[0, -1] @ table.T
        if number == 0:
            best = RECORDED["next"]
            assert np.argsort(-logits)[: len(best["ids"])].tolist() == best["ids"]
            np.testing.assert_allclose(logits[best["ids"]], best["logits"], atol=1e-3)
        assert int(logits.argmax()) == expected
        ids = [*ids, expected]


@pytest.mark.slow
def test_the_real_backbone_is_what_the_catalog_says(real):
    from kft.model.blocks import count_blocks

    entry = real.entry
    assert (real.model.count_params(), count_blocks(real.model)) == (entry.parameters, entry.blocks)
    assert (real.features.shape[-1], real.max_tokens) == (entry.hidden_size, entry.max_tokens)


@pytest.mark.slow
def test_a_text_is_the_same_before_and_after_adapters_are_saved_loaded_and_merged(tmp_path):
    from safetensors.numpy import load_file, save_file

    from kft.model.language import next_token_logits
    from kft.model.lora import add_lora, merge_lora
    from kft.recipe.training import LoraSpec
    from kft.train.checkpoint import restore, snapshot

    def written(model):
        ids = dict(RECORDED["ids"])[RECORDED["next"]["text"]]
        for _ in range(8):
            row = np.array([ids], np.int32)
            hidden = model({"token_ids": row, "padding_mask": np.ones_like(row)}, training=False)
            ids = [*ids, int(np.asarray(next_token_logits(model, hidden[:, -1:])).argmax())]
        return ids[-8:]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KFT_ACCEPT_TERMS", "gemma")
        backbone = kft.load_backbone("gemma3-270m")
    model = kft.build_model(backbone, head="language", classes=0)
    assert written(backbone.model) == RECORDED["continued"][:8]
    add_lora(model, LoraSpec(rank=4))
    kft.freeze(model, {"lora": {}})
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.1, variable.shape))
    tuned = written(backbone.model)
    assert tuned != RECORDED["continued"][:8]
    save_file(
        {name: np.ascontiguousarray(each) for name, each in snapshot(model.trainable_variables).items()}, tmp_path / "a"
    )
    for variable in model.trainable_variables:
        variable.assign(np.zeros(variable.shape))
    assert written(backbone.model) == RECORDED["continued"][:8]
    restore(model.trainable_variables, load_file(tmp_path / "a"))
    assert written(backbone.model) == tuned
    assert merge_lora(model) == 36
    assert written(backbone.model) == tuned
