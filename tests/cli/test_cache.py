"""`kft cache`: what is there, what goes, what is damaged."""

import contextlib
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import kft
from kft.data.images import ImageSizing
from kft.feed.image_store import decode_images, images_root
from tests import tiny


@pytest.fixture(scope="module")
def two_runs(tiny_folder, tmp_path_factory):
    """The same recipe trained twice with a cache of its own: the folder, and what each run said."""
    folder, messages = tmp_path_factory.mktemp("cached"), []
    recipe = tiny.recipe(folder, tiny_folder, phases=[tiny.PROBE, tiny.TOP])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KFT_CACHE", str(folder / "cache"))
        for run in ("one", "two"):
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                kft.train(recipe, run=folder / run)
            messages.append(said.getvalue())
    return folder, messages


def test_a_second_run_starts_from_the_store_and_its_answers_are_the_same(two_runs):
    folder, (first, second) = two_runs
    assert "features   stored after block_02: " in first and "stored already" not in first
    assert second.count("stored already") == 2
    one, two = ((folder / run / "predictions.csv").read_bytes() for run in ("one", "two"))
    assert one == two


def test_list_prune_and_verify(two_runs, kft_cli, tmp_path, tiny_folder, monkeypatch):
    shutil.copytree(two_runs[0] / "cache", tmp_path / "cache")
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    code, out, _ = kft_cli("cache", "list", "--json")
    entries = json.loads(out)["entries"]
    assert code == 0 and len(entries) == 2
    assert {entry["kind"] for entry in entries} == {"features"}
    assert all(entry["bytes"] > 1000 and entry["name"].startswith(str(tiny_folder)) for entry in entries)
    code, out, _ = kft_cli("cache", "list")
    assert code == 0 and "in all" in out
    assert kft_cli("cache", "verify")[1] == "6 looked at, 0 damaged\n"  # one is of the retain set
    (shard, *_) = (tmp_path / "cache" / "features").rglob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    code, out, _ = kft_cli("cache", "verify")
    assert code == 0 and "6 looked at, 1 damaged" in out and f"{shard}: removed" in out and not shard.exists()
    code, out, _ = kft_cli("cache", "prune", "--json")
    assert code == 0 and len(json.loads(out)["removed"]) == 2
    assert json.loads(kft_cli("cache", "list", "--json")[1])["entries"] == []


def test_an_empty_cache(kft_cli, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "none"))
    assert "0 B in all" in kft_cli("cache", "list")[1]
    assert kft_cli("cache", "verify")[1] == "0 looked at, 0 damaged\n"
    assert kft_cli("cache", "prune")[1] == "0 B freed\n"


def test_a_size_that_is_none(kft_cli):
    code, _, err = kft_cli("cache", "prune", "--max-size", "much")
    assert code == 2 and "--max-size is not a size" in err and "'20 GB'" in err


def test_decoded_images_are_listed_verified_and_pruned(kft_cli, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    paths = []
    for row in range(3):
        paths.append(tmp_path / f"{row}.png")
        Image.fromarray(np.full((9, 9, 3), row, np.uint8)).save(paths[-1])
    decode_images(paths, ImageSizing(8, 8), images_root())
    (entry,) = json.loads(kft_cli("cache", "list", "--json")[1])["entries"]
    assert (entry["kind"], entry["name"]) == ("images", "8 x 8, crop")
    assert kft_cli("cache", "verify")[1] == "1 looked at, 0 damaged\n"
    assert "removed images 8 x 8, crop" in kft_cli("cache", "prune")[1]
    assert not list(images_root().iterdir())
