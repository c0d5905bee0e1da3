"""Shards: as many as there are, whatever the number of files that a process may open."""

import resource
import threading

import numpy as np
import pytest

from kft.errors import StorageError
from kft.features.cache import list_stores, prune
from kft.feed import shards
from kft.feed.shards import LOCK, ShardIndex, locked, write_shard


def test_more_shards_than_files_that_may_be_open(tmp_path):
    keys = np.arange(200 * 16, dtype=np.uint16).view(np.uint8)[: 200 * 16].reshape(200, 16)
    for row in range(200):
        write_shard(tmp_path, keys[row : row + 1], {"x": np.full((1, 3), row, np.float32)}, "elsewhere")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (120, limits[1]))
    try:
        index = ShardIndex(tmp_path)
        assert index.present(keys) == 200
        column = index.columns(keys, {"x": (np.dtype(np.float32), False)})["x"]
        found = column.take(np.arange(200), 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    np.testing.assert_array_equal(found[:, 0], np.arange(200))


def test_a_store_that_stays_locked_is_an_error_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "LONGEST_WAIT", 0.05)
    said, held, done = [], threading.Event(), threading.Event()

    def hold():
        with locked(tmp_path, None, "elsewhere"):
            held.set()
            done.wait(30)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(30)
    try:
        with pytest.raises(StorageError, match="another process has been writing") as caught:
            locked(tmp_path, lambda: said.append("waits"), "elsewhere")
    finally:
        done.set()
        other.join()
    assert said == ["waits"] and caught.value.where == str(tmp_path / LOCK)


def test_what_a_killed_writer_left_goes_with_the_next_one_and_a_half_pruned_store_is_listed(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (store / ".abc.safetensors.123.tmp").write_bytes(b"half")
    assert [found.folder for found in list_stores(tmp_path)] == [store]
    with locked(store, None, "elsewhere"):
        assert not list(store.glob(".*.tmp"))
    assert [found.folder for found in prune(list_stores(tmp_path), -1)] == [store] and not store.exists()
