"""Files that Git LFS has not fetched are named as what they are, whichever of the backbone's they are."""

import json

import pytest

from tests import tiny

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 438007537\n"
NAMES = (
    "model.safetensors",
    "config.json",
    "vocab.txt",
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
)


def pointed(folder, name):
    """Returns a recipe on a backbone of which one file is a pointer."""
    tiny.write_backbone(folder / "bert")
    (folder / "bert" / name).write_text(POINTER)
    return tiny.recipe(folder, folder / "bert", phases=[tiny.PROBE])


@pytest.mark.parametrize("name", NAMES)
def test_a_pointer_is_named(tmp_path, kft_cli, name):
    recipe = pointed(tmp_path, name)
    code, _, err = kft_cli("train", str(recipe), "--run", str(tmp_path / "run"))
    assert code == 2
    assert "Git LFS pointer" in err and "git lfs pull" in err and name in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["merges.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model"])
def test_a_pointer_in_place_of_a_vocabulary(tmp_path, kft_cli, name):
    recipe = pointed(tmp_path, name)
    for other in ("vocab.json", "merges.txt") if name in ("vocab.json", "merges.txt") else ():
        if other != name:
            (tmp_path / "bert" / other).write_text("{}")
    code, _, err = kft_cli("train", str(recipe), "--run", str(tmp_path / "run"))
    assert code == 2 and "Git LFS pointer" in err and name in err


def test_a_pointer_in_place_of_a_shard_an_index_and_a_keras_file(tmp_path, kft_cli):
    recipe = pointed(tmp_path, "model-00001-of-00001.safetensors")
    (tmp_path / "bert" / "model.safetensors").unlink()
    index = tmp_path / "bert" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors"}}))
    code, _, err = kft_cli("train", str(recipe), "--run", str(tmp_path / "run"))
    assert code == 2 and "Git LFS pointer" in err and "model-00001" in err
    index.write_text(POINTER)
    code, _, err = kft_cli("train", str(recipe), "--run", str(tmp_path / "run"))
    assert code == 2 and "Git LFS pointer" in err and index.name in err
    (tmp_path / "own.keras").write_text(POINTER)
    code, _, err = kft_cli("train", str(recipe), "--set", f"model.backbone={tmp_path / 'own.keras'}")
    assert code == 2 and "Git LFS pointer" in err and "own.keras" in err


def test_a_pointer_is_named_where_the_weights_are_gone_too(tmp_path, kft_cli):
    recipe = pointed(tmp_path, "tokenizer.json")
    (tmp_path / "bert" / "model.safetensors").unlink()
    code, _, err = kft_cli("train", str(recipe), "--run", str(tmp_path / "run"))
    assert code == 2 and "Git LFS pointer" in err and "tokenizer.json" in err
