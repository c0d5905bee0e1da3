"""Decoded images on disk: once, by content; killed, damaged, shared between processes."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from kft.data.images import ImageSizing, decode_image
from kft.errors import DataError, StorageError
from kft.features import cache
from kft.feed import image_store
from kft.feed.image_store import decode_images, image_store_folder
from kft.feed.shards import SUFFIX
from tests.waiting import wait_until

SIZING = ImageSizing(8, 8)


def photos(folder, count=12, *, side=20, start=0):
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(start, start + count):
        rng = np.random.default_rng(number)
        paths.append(folder / f"{number:04d}.png")
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(paths[-1])
    return paths


def decoded(paths, root, sizing=SIZING):
    """Decodes, and returns the column with how many images had to be."""
    counts = []
    column = decode_images(paths, sizing, root, tick=counts.append)
    return column, sum(counts[1:])


def shards(root):
    return sorted(root.rglob(f"*{SUFFIX}"))


def test_the_column_holds_what_a_decoding_gives(tmp_path):
    paths = photos(tmp_path / "photos")
    said = []
    column = decode_images(paths, SIZING, tmp_path / "store", report=said.append)
    assert said == ["images     decoding 12 to 8 x 8, once: 0 MB"]
    for row, path in enumerate(paths):
        np.testing.assert_array_equal(column.row(row), decode_image(path, SIZING))
    batch = column.take(np.array([3, -1, 0]), 1)
    assert batch.shape == (3, 8, 8, 3) and batch.dtype == np.uint8
    np.testing.assert_array_equal(batch[0], column.row(3))
    assert (batch[1] == 0).all()
    assert sorted(np.concatenate([rows for rows, _ in column.chunks()]).tolist()) == list(range(12))
    assert isinstance(column.values[0].base, np.memmap | np.ndarray)


def test_a_second_call_decodes_nothing_and_a_changed_file_costs_one(tmp_path):
    paths = photos(tmp_path / "photos")
    decoded(paths, tmp_path / "store")
    before, again = decoded(paths, tmp_path / "store")
    assert again == 0
    photos(tmp_path / "other", 1, start=99)[0].replace(paths[4])
    after, again = decoded([paths[5], paths[4]], tmp_path / "store")
    assert again == 1
    np.testing.assert_array_equal(after.row(0), before.row(5))
    np.testing.assert_array_equal(after.row(1), decode_image(paths[4], SIZING))


def test_equal_files_are_kept_once_and_names_do_not_matter(tmp_path):
    paths = photos(tmp_path / "photos", 2)
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(paths[0].read_bytes())
    column, count = decoded([*paths, copy], tmp_path / "store")
    assert count == 2
    np.testing.assert_array_equal(column.row(2), column.row(0))


def test_another_sizing_is_another_store(tmp_path):
    paths = photos(tmp_path / "photos")
    decoded(paths, tmp_path)
    for sizing in (ImageSizing(8, 9), ImageSizing(8, 8, "pad")):
        column, count = decoded(paths, tmp_path, sizing)
        assert count == 12 and column.row(0).shape == sizing.shape
    assert len({image_store_folder(sizing, tmp_path) for sizing in (SIZING, ImageSizing(8, 9))}) == 2
    assert len(cache.list_stores(tmp_path)) == 3
    assert cache.list_stores(tmp_path)[0].about == {"images": "8 x 8", "fit": "crop", "format": 1}


def test_no_images_are_no_rows(tmp_path):
    column = decode_images([], SIZING, tmp_path)
    assert column.take(np.array([-1, -1]), 1).shape == (2, 8, 8, 3)
    assert [len(rows) for rows, _ in column.chunks()] == []


def test_a_kill_loses_one_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(image_store, "SHARD_BYTES", 4 * 8 * 8 * 3)
    paths, root = photos(tmp_path / "photos"), tmp_path / "store"

    class Kill(BaseException):
        pass

    done = []

    def tick(count):
        done.append(count)
        if sum(done) > 6:
            raise Kill

    with pytest.raises(Kill):
        decode_images(paths, SIZING, root, tick=tick)
    assert len(shards(root)) == 1 and not list(root.rglob("*.tmp"))
    column, count = decoded(paths, root)
    assert count == 8
    np.testing.assert_array_equal(column.row(11), decode_image(paths[11], SIZING))


CHILD = """
import sys
from pathlib import Path
from kft.feed import image_store
from kft.data.images import ImageSizing
image_store.SHARD_BYTES = 8 * 64 * 64 * 3
counts = []
paths = sorted(Path(sys.argv[1]).glob("*.png"))
print("started", flush=True)
image_store.decode_images(paths, ImageSizing(64, 64), Path(sys.argv[2]), tick=counts.append)
assert "tensorflow" not in sys.modules
print(sum(counts[1:]), flush=True)
"""


def child(folder, root):
    command = [sys.executable, "-c", CHILD, str(folder), str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_decode_each_image_once(tmp_path):
    photos(tmp_path / "photos", 100, side=200)
    both = [child(tmp_path / "photos", tmp_path / "store") for _ in range(2)]
    outputs = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum(int(out.split()[-1]) for out, _ in outputs) == 100


def test_sigkill_leaves_whole_shards_that_are_used(tmp_path):
    paths, root = photos(tmp_path / "photos", 300, side=150), tmp_path / "store"
    process = child(tmp_path / "photos", root)
    wait_until(lambda: len(shards(root)) >= 3, pause=0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept = len(shards(root))
    assert kept >= 3
    assert cache.verify(cache.list_stores(root)) == (kept, [])
    sizing = ImageSizing(64, 64)
    column, count = decoded(paths, root, sizing)
    assert count == 300 - 8 * kept
    np.testing.assert_array_equal(column.row(299), decode_image(paths[299], sizing))


def test_a_shard_that_is_cut_short_is_decoded_again(tmp_path):
    paths, root = photos(tmp_path / "photos"), tmp_path / "store"
    decoded(paths, root)
    (path,) = shards(root)
    path.write_bytes(path.read_bytes()[:-10])
    column, count = decoded(paths, root)
    assert count == 12
    np.testing.assert_array_equal(column.row(2), decode_image(paths[2], SIZING))


def test_one_flipped_bit_is_found_and_removed(tmp_path):
    paths, root = photos(tmp_path / "photos"), tmp_path / "store"
    decoded(paths, root)
    (path,) = shards(root)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert cache.verify(cache.list_stores(root)) == (1, [path])
    assert decoded(paths, root)[1] == 12


def test_pruning_removes_it(tmp_path):
    decoded(photos(tmp_path / "photos"), tmp_path / "store")
    assert [store.folder for store in cache.prune(cache.list_stores(tmp_path / "store"), 0)] == [
        image_store_folder(SIZING, tmp_path / "store")
    ]
    assert shards(tmp_path) == []


def test_unusable_images_are_named_and_the_others_kept(tmp_path):
    paths, root = photos(tmp_path / "photos"), tmp_path / "store"
    for number in range(7):
        paths[number].write_bytes(b"no image %d" % number)
    with pytest.raises(DataError, match="7 of 12 images cannot be used") as caught:
        decode_images(paths, SIZING, root)
    assert caught.value.where == str(tmp_path / "photos")
    assert f"{paths[0]} (not an image: it is none of JPEG" in str(caught.value.received)
    assert str(caught.value.received).endswith("and 2 more")
    assert decoded(paths[7:], root)[1] == 0
    with pytest.raises(DataError, match="1 of 2 images cannot be used") as caught:
        decode_images([paths[9], tmp_path / "gone.png"], SIZING, root)
    assert "gone.png (cannot be read: No such file or directory)" in str(caught.value.received)


def test_a_file_that_changes_under_ones_hands_is_not_stored_under_the_old_key(tmp_path, monkeypatch):
    paths, root = photos(tmp_path / "photos"), tmp_path / "store"
    real = image_store._hash_file
    monkeypatch.setattr(image_store, "_hash_file", lambda path: bytes(16) if path == paths[3] else real(path))
    with pytest.raises(DataError, match="1 of 12") as caught:
        decode_images(paths, SIZING, root)
    assert "changed: another content than a moment ago" in str(caught.value.received)


def test_a_disk_without_room_is_left_alone(tmp_path, monkeypatch):
    paths, root = photos(tmp_path / "photos"), tmp_path / "store"
    monkeypatch.setattr(image_store, "free_bytes", lambda path: image_store.SPARE_BYTES)
    with pytest.raises(StorageError, match="do not fit on the disk; nothing was decoded") as caught:
        decode_images(paths, SIZING, root)
    assert "kft cache prune, or another KFT_CACHE" in str(caught.value)
    assert shards(root) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    paths = photos(tmp_path / "photos")
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StorageError, match="a file cannot be written"):
        decode_images(paths, SIZING, tmp_path / "store")


def test_what_goes_away_during_the_run_is_said(tmp_path):
    """On POSIX systems what is mapped stays readable; a new look at the store says what happened."""
    paths, root = photos(tmp_path / "photos"), tmp_path / "store"
    column, _ = decoded(paths, root)
    row = column.row(5).copy()
    cache.prune(cache.list_stores(root), 0)
    np.testing.assert_array_equal(column.row(5), row)
    index = image_store.ShardIndex(image_store_folder(SIZING, root))
    with pytest.raises(StorageError, match="went away while it was in use"):
        index.columns(np.zeros((1, 16), np.uint8), {})
