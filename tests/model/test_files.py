"""Everything that a backbone is read from is hashed; what lies elsewhere is refused; a later change is noticed."""

import json
import shutil

import pytest
from safetensors.numpy import load_file, save_file

import kft
from kft.errors import ModelError
from kft.model.files import backbone_files
from tests import tiny


def test_all_that_is_loaded_is_hashed(tmp_path):
    whole = backbone_files(tiny.write_backbone(tmp_path / "whole"))
    assert set(whole.hashes) == {"model.safetensors", "config.json", "vocab.txt", "tokenizer_config.json"}
    folder = tiny.in_shards(tiny.write_backbone(tmp_path / "parts"))
    parts = backbone_files(folder)
    assert set(parts.weights) == {"odd-name.safetensors", "rest.safetensors"}
    assert "model.safetensors.index.json" in parts.hashes
    arrays = load_file(folder / "rest.safetensors")
    save_file({key: value * 2 for key, value in arrays.items()}, folder / "rest.safetensors", {"format": "pt"})
    swapped = backbone_files(folder)
    assert swapped.weights_hash != parts.weights_hash and swapped.hash != parts.hash
    assert swapped.differences(parts.hashes) == ["rest.safetensors was changed"]
    assert kft.load_backbone(str(folder)).weights_hash == swapped.weights_hash


BAD_NAMES = {
    "../outside.safetensors": "outside",
    "/etc/outside.safetensors": "outside",
    "..\\outside.safetensors": "outside",
    "sub/../../outside.safetensors": "outside",
    "weights.bin": "weights.bin",
    "C:outside.safetensors": "outside",
    "gone.safetensors": "no file gone",
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_an_index_names_files_of_its_folder_alone(tmp_path, name):
    folder = tiny.in_shards(tiny.write_backbone(tmp_path / "bert"))
    shutil.copy(folder / "rest.safetensors", tmp_path / "outside.safetensors")
    path = folder / "model.safetensors.index.json"
    path.write_text(path.read_text().replace("rest.safetensors", json.dumps(name)[1:-1]))
    with pytest.raises(ModelError) as caught:
        kft.load_backbone(str(folder))
    assert BAD_NAMES[name] in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("value", [[], {}, None, 3, {"a": 3}, {"a": None}, {"a": {"b": 1}}, "x"])
def test_a_damaged_index_is_refused(tmp_path, value):
    folder = tiny.in_shards(tiny.write_backbone(tmp_path / "bert"))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": value}))
    with pytest.raises(ModelError, match="index of the weights cannot be read"):
        backbone_files(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt", "config.json"])
def test_a_link_out_of_the_folder_is_refused(tmp_path, name):
    folder = tiny.write_backbone(tmp_path / "bert")
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="lies outside its folder"):
        backbone_files(folder)


def test_the_hub_cache_is_made_of_links(tmp_path):
    folder = tiny.write_backbone(tmp_path / "models--a--b" / "snapshots" / "c0ffee")
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(blobs / str(number))
        path.symlink_to(f"../../blobs/{number}")
    assert "vocab.txt" in backbone_files(folder).hashes


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hashed")
    tiny.write_backbone(folder / "bert")
    run = kft.train(tiny.recipe(folder, folder / "bert", phases=[tiny.PROBE]), run=folder / "run", quiet=True).run
    return folder, run


def swap_words(path):
    words = path.read_text().split("\n")
    words[12], words[13] = words[13], words[12]
    path.write_text("\n".join(words))


def lower_not(path):
    path.write_text(json.dumps({"do_lower_case": False, "strip_accents": None}))


def other_activation(path):
    path.write_text(path.read_text().replace('"gelu"', '"gelu_new"'))


CHANGES = {"vocab.txt": swap_words, "tokenizer_config.json": lower_not, "config.json": other_activation}


@pytest.mark.parametrize("name", [*CHANGES, "added_tokens.json"])
def test_a_file_changed_after_training_is_named_by_every_command(trained, kft_cli, name):
    folder, run = trained
    receipt = json.loads((run / "receipt.json").read_text())
    assert set(receipt["backbone_files"]) == {*CHANGES, "model.safetensors"}
    path = folder / "bert" / name
    before = path.read_bytes() if path.is_file() else None
    CHANGES.get(name, lambda path: path.write_text("{}"))(path)
    try:
        resume = ("train", str(folder / "recipe.yaml"), "--run", str(run), "--resume")
        commands = (("predict", str(run), "a text"), ("evaluate", str(run)), ("report", str(run)), resume)
        for command in commands if name == "vocab.txt" else commands[:1]:
            code, _, err = kft_cli(*command)
            assert code == 2 and name in err and "not those the run was trained from" in err, command
    finally:
        path.unlink() if before is None else path.write_bytes(before)
    if name == "vocab.txt":
        code, _, err = kft_cli("predict", str(run), "a text")
        assert code == 0, err
