"""Files behind URLs, on fsspec's file system in memory: copied once, anew when they change."""

from pathlib import Path

import fsspec
import pytest

from kft.api.machine import list_cache, prune_cache
from kft.assets import locate
from kft.data.remote import fetch_remote, remote_root
from kft.errors import DataError, StorageError, UsageError
from kft.recipe.schema import DataSpec
from kft.split.data_split import load_split
from kft.tasks.registry import TASKS

ROWS = "text,label\n" + "".join(f"text {row},{'ab'[row % 2]}\n" for row in range(20))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))


def write(url, content):
    with fsspec.open(url, "w") as file:
        file.write(content)


def test_a_file_is_copied_once_and_again_when_it_has_changed(tmp_path):
    write("memory://bucket/once/rows.csv", ROWS)
    spec = DataSpec(train="memory://bucket/once/rows.csv")
    split = load_split(spec, task=TASKS.get("text-classification"), base=tmp_path, locate=locate)
    assert str(split.train.ids[0]).startswith("rows.csv:")
    (copy,) = remote_root().glob("*/rows.csv")
    assert fetch_remote("memory://bucket/once/rows.csv") == copy and copy.read_text() == ROWS
    write("memory://bucket/once/rows.csv", ROWS + "one more,a\n")
    assert fetch_remote("memory://bucket/once/rows.csv").read_text().endswith("one more,a\n")
    assert not list(remote_root().glob(".*.partial"))


def test_copies_are_listed_and_pruned_with_what_was_fetched():
    write("memory://bucket/listed/rows.csv", ROWS)
    path = fetch_remote("memory://bucket/listed/rows.csv")
    (entry,) = [entry for entry in list_cache() if entry.kind == "copy"]
    assert (entry.name, entry.bytes, entry.folder) == ("rows.csv", len(ROWS), path.parent)
    assert not prune_cache() and path.is_file()
    assert prune_cache(packages=True) == [entry] and not path.exists()


def test_a_full_disk_is_the_disks_fault(monkeypatch):
    write("memory://bucket/full/rows.csv", ROWS)
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *a, **k: opened(full if path.name == "rows.csv" else path, *a, **k))
    with pytest.raises(StorageError, match="the disk is full"):
        fetch_remote("memory://bucket/full/rows.csv")
    assert not list(remote_root().glob("*/rows.csv"))


def test_a_folder_is_copied_whole():
    for name in ("a/1.txt", "b/2.txt", "3.txt"):
        write(f"memory://bucket/tree/{name}", name)
    copy = fetch_remote("memory://bucket/tree/")
    assert copy.name == "tree"
    found = {path.relative_to(copy).as_posix(): path.read_text() for path in copy.rglob("*.txt")}
    assert found == {name: name for name in ("a/1.txt", "b/2.txt", "3.txt")}


def test_what_is_not_there_and_what_is_not_known():
    write("memory://bucket/x.csv", ROWS)
    with pytest.raises(DataError, match="there is no file at this URL") as caught:
        fetch_remote("memory://bucket/none.csv")
    assert caught.value.where == "memory://bucket/none.csv" and caught.value.received
    with pytest.raises(DataError, match="nothing here knows files of the kind s9://"):
        fetch_remote("s9://bucket/x.csv")


@pytest.mark.parametrize("source", ["hf://org/data", "kaggle://a/b", "https://host/a.csv"])
def test_websites_are_no_file_systems(tmp_path, source):
    with pytest.raises(UsageError, match="are not read by this version"):
        load_split(DataSpec(train=source), task=TASKS.get("text-classification"), base=tmp_path, locate=locate)


def test_a_driver_that_is_not_installed_is_named():
    with pytest.raises(DataError, match="the driver for s3:// is not installed") as caught:
        fetch_remote("s3://bucket/x.csv")
    assert "pip install 'kft[s3]'" in str(caught.value)
