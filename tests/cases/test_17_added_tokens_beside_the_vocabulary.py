"""Tokens that were added to a vocabulary: one id each, or, where the model has no row for them, refused by name."""

import json

import pytest
from safetensors.numpy import load_file, save_file

import kft
from kft.errors import ModelError
from tests import tiny


@pytest.fixture
def folder(tmp_path):
    """A backbone whose vocabulary has two tokens more than vocab.txt."""
    folder = tiny.write_backbone(tmp_path / "bert")
    known = len((folder / "vocab.txt").read_text().splitlines())
    (folder / "added_tokens.json").write_text(json.dumps({"[URL]": known, "covid19": known + 1}))
    return folder, known


def grow(folder, rows):
    """Gives the model so many rows more."""
    import numpy as np

    arrays = load_file(folder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    arrays[name] = np.concatenate([arrays[name], arrays[name][:rows]])
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": config["vocab_size"] + rows}))


def test_an_added_token_is_one_token_with_its_id(folder):
    path, known = folder
    grow(path, 2)
    (ids,), _ = kft.load_backbone(str(path)).tokenizer.encode(["the covid19 phone [URL]"], 16)
    assert ids[2] == known + 1 and len(ids) == 6


def test_a_tokenizer_larger_than_the_model_is_refused(folder):
    path, known = folder
    with pytest.raises(ModelError, match="the tokenizer is larger than the model's embeddings") as failed:
        kft.load_backbone(str(path))
    assert f"{known:,}" in str(failed.value) and "from one place" in str(failed.value)
