"""Loading faithfully: ids against the tokenizers package and keras-hub, outputs against recorded vectors."""

import json
from pathlib import Path

import numpy as np
import pytest

import kft
from kft.errors import ModelError
from kft.packages import PACKAGES
from tests import tiny

REFERENCE = json.loads((Path(__file__).parent / "reference_minilm.json").read_text(encoding="utf-8"))


def feed(ids, mask):
    """The inputs of a BERT backbone for padded ids and their mask, both ``[batch, tokens]``."""
    return {
        "token_ids": ids.astype(np.int32),
        "segment_ids": np.zeros_like(ids, dtype=np.int32),
        "padding_mask": mask.astype(np.int32),
    }


@pytest.fixture(scope="module")
def minilm():
    return kft.load_backbone("minilm-l6")


def encode(backbone, text):
    (ids,), _ = backbone.tokenizer.encode([text], 128)
    return ids


@pytest.mark.parametrize("row", REFERENCE["rows"], ids=lambda row: row["text"][:12])
def test_minilm_ids_and_outputs_are_those_of_the_reference(minilm, row):
    ids = encode(minilm, row["text"])
    assert ids.tolist() == row["ids"]
    output = minilm.model(feed(ids[None], np.ones((1, len(ids)))), training=False)["sequence_output"].numpy()[0]
    np.testing.assert_allclose(output[0, :12], row["first_token"], atol=2e-5)
    np.testing.assert_allclose(output.mean(axis=0)[:24], row["mean"], atol=2e-5)
    assert np.linalg.norm(output.mean(axis=0)) == pytest.approx(row["norm"], abs=1e-4)


def test_minilm_ids_agree_with_keras_hub_and_with_the_vocabulary_alone(minilm):
    import keras_hub
    import tokenizers

    from kft import assets

    folder = assets.fetch(PACKAGES.get("minilm-l6"))
    theirs = keras_hub.models.BertTokenizer.from_preset(str(folder), strip_accents=True)
    alone = tokenizers.BertWordPieceTokenizer.from_file(str(folder / "vocab.txt"), lowercase=True)
    for text in (row["text"] for row in REFERENCE["rows"] if "東" not in row["text"] and "东" not in row["text"]):
        ids = encode(minilm, text).tolist()
        assert ids[1:-1] == np.asarray(theirs(text)).tolist()
        assert ids == alone.encode(text).ids


def test_padding_does_not_change_a_row(minilm):
    model = kft.build_model(minilm, classes=2)
    ids = encode(minilm, "The battery died after two days.")[None]
    alone = model(feed(ids, np.ones_like(ids)), training=False).numpy()
    padded = np.pad(ids, ((0, 0), (0, 9)))
    mask = np.pad(np.ones_like(ids), ((0, 0), (0, 9)))
    np.testing.assert_allclose(model(feed(padded, mask), training=False).numpy(), alone, atol=1e-5)


def test_a_long_text_is_cut_before_the_closing_token(minilm):
    (cut,), lengths = minilm.tokenizer.encode(["word " * 300], 16)
    assert len(cut) == 16 and cut[0] == 101 and cut[-1] == 102
    assert lengths[0] == 302


def test_the_folders_activation_is_honoured(tmp_path):
    exact = kft.load_backbone(str(tiny.write_backbone(tmp_path / "exact", hidden_act="gelu")))
    tanh = kft.load_backbone(str(tiny.write_backbone(tmp_path / "tanh", hidden_act="gelu_new")))
    inputs = feed(np.array([[2, 9, 10, 3]]), np.ones((1, 4)))
    difference = np.abs(
        exact.model(inputs, training=False)["sequence_output"].numpy()
        - tanh.model(inputs, training=False)["sequence_output"].numpy()
    ).max()
    assert 1e-5 < difference < 1e-1


def test_what_cannot_be_loaded_faithfully_is_refused(tmp_path):
    folder = tiny.write_backbone(tmp_path / "relu", hidden_act="relu")
    with pytest.raises(ModelError, match="cannot load such a backbone faithfully") as caught:
        kft.load_backbone(str(folder))
    assert "hidden_act" in str(caught.value)
    (folder / "vocab.txt").unlink()
    with pytest.raises(ModelError, match=r"no vocab\.txt"):
        kft.load_backbone(str(folder))


def test_an_unknown_backbone_gets_a_hint():
    with pytest.raises(ModelError, match="did you mean 'minilm-l6'") as caught:
        kft.load_backbone("minilm-16")
    assert "kft models" in str(caught.value)
