"""Files behind URLs, on TensorFlow's file system in memory: copied once, anew when they change."""

import pytest

from kft import runtime
from kft.api.machine import list_cache, prune_cache
from kft.assets import locate
from kft.data.remote import fetch_remote, remote_root
from kft.errors import DataError, UsageError
from kft.recipe.schema import DataSpec
from kft.split.data_split import load_split
from kft.tasks.registry import TASKS

ROWS = "text,label\n" + "".join(f"text {row},{'ab'[row % 2]}\n" for row in range(20))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))


def write(url, content):
    runtime.load_tensorflow()
    import tensorflow as tf

    tf.io.gfile.makedirs(url.rpartition("/")[0])
    with tf.io.gfile.GFile(url, "w") as file:
        file.write(content)


def test_a_file_is_copied_once_and_again_when_it_has_changed(tmp_path):
    write("ram://bucket/once/rows.csv", ROWS)
    spec = DataSpec(train="ram://bucket/once/rows.csv")
    split = load_split(spec, task=TASKS.get("text-classification"), base=tmp_path, locate=locate)
    assert str(split.train.ids[0]).startswith("rows.csv:")
    (copy,) = remote_root().glob("*/rows.csv")
    assert fetch_remote("ram://bucket/once/rows.csv") == copy and copy.read_text() == ROWS
    write("ram://bucket/once/rows.csv", ROWS + "one more,a\n")
    assert fetch_remote("ram://bucket/once/rows.csv").read_text().endswith("one more,a\n")
    assert not list(remote_root().glob(".*.partial"))


def test_copies_are_listed_and_pruned_with_what_was_fetched():
    write("ram://bucket/listed/rows.csv", ROWS)
    path = fetch_remote("ram://bucket/listed/rows.csv")
    (entry,) = [entry for entry in list_cache() if entry.kind == "copy"]
    assert (entry.name, entry.bytes, entry.folder) == ("rows.csv", len(ROWS), path.parent)
    assert not prune_cache() and path.is_file()
    assert prune_cache(packages=True) == [entry] and not path.exists()


def test_a_folder_is_copied_whole():
    for name in ("a/1.txt", "b/2.txt", "3.txt"):
        write(f"ram://bucket/tree/{name}", name)
    copy = fetch_remote("ram://bucket/tree/")
    assert copy.name == "tree"
    found = {path.relative_to(copy).as_posix(): path.read_text() for path in copy.rglob("*.txt")}
    assert found == {name: name for name in ("a/1.txt", "b/2.txt", "3.txt")}


def test_what_is_not_there_and_what_is_not_known():
    write("ram://bucket/x.csv", ROWS)
    with pytest.raises(DataError, match="there is no file at this URL") as caught:
        fetch_remote("ram://bucket/none.csv")
    assert caught.value.where == "ram://bucket/none.csv" and caught.value.received
    with pytest.raises(DataError, match="TensorFlow does not know files of the kind s9://"):
        fetch_remote("s9://bucket/x.csv")


@pytest.mark.parametrize("source", ["hf://org/data", "kaggle://a/b", "https://host/a.csv"])
def test_websites_are_no_file_systems(tmp_path, source):
    with pytest.raises(UsageError, match="are not read by this version"):
        load_split(DataSpec(train=source), task=TASKS.get("text-classification"), base=tmp_path, locate=locate)
