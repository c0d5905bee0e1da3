"""Brackets in the names of folders and files are no pattern where such a folder or file is there."""

import pytest

import kft
from kft.data.parts import open_source
from kft.errors import DataError
from tests import tiny


def at(source, base):
    return sorted(part.place.name for part in open_source(source, base, lambda one, base: base / one))


@pytest.mark.parametrize(
    "source", ["parts/*.csv", pytest.param("parts/a [2024].csv", marks=pytest.mark.slow)], ids=["glob", "file"]
)
def test_a_run_in_a_folder_with_brackets_is_evaluated(tmp_path, tiny_folder, kft_cli, source):
    folder = tmp_path / "[D_DATA] v1"
    (folder / "parts").mkdir(parents=True)
    tiny.recipe(folder, tiny_folder, rows=60, phases=[tiny.PROBE])
    (folder / "reviews.csv").rename(folder / "parts" / "a [2024].csv")
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("reviews.csv", source))
    run = kft.train(recipe, run=tmp_path / "run", quiet=True).run
    code, _, err = kft_cli("evaluate", str(run))
    assert code == 0, err
    code, _, err = kft_cli("check", str(run / "recipe.yaml"), "--no-features")
    assert code in (0, 1), err


@pytest.mark.parametrize("folder", ["[D_DATA] v1", "a[b]", "what?", "star*", "[!x]"])
def test_folders_that_are_there_are_no_pattern(tmp_path, folder):
    (tmp_path / folder / "parts").mkdir(parents=True)
    for name in ("a.csv", "b.csv"):
        (tmp_path / folder / "parts" / name).write_text("text,label\nx,y\n")
    assert at(f"{folder}/parts/*.csv", tmp_path) == ["a.csv", "b.csv"]
    assert at("parts/*.csv", tmp_path / folder) == ["a.csv", "b.csv"]
    assert at(f"{tmp_path}/{folder}/**/a.csv", tmp_path) == ["a.csv"]
    with pytest.raises(DataError, match="no file matches") as caught:
        at(f"{folder}/parts/*.tsv", tmp_path)
    assert caught.value.received == "a.csv, b.csv"


def test_a_pattern_stays_one(tmp_path):
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_text("text,label\nx,y\n")
    assert at("[ab].csv", tmp_path) == ["a.csv", "b.csv"]
    (tmp_path / "[ab].csv").write_text("text,label\nx,y\n")
    assert at("[ab].csv", tmp_path) == ["[ab].csv"]


def test_init_looks_at_a_file_with_brackets(tmp_path, kft_cli):
    (tmp_path / "reviews [2024].csv").write_text("text,label\n" + "good day,a\nbad day,b\n" * 12)
    code, _, err = kft_cli("init", "reviews [2024].csv", "-o", "r.yaml")
    assert code == 0 and '"reviews [2024].csv"' in (tmp_path / "r.yaml").read_text(), err
