"""Small shards are joined; what killed processes left goes, what living ones hold stays."""

import numpy as np
import pytest
from filelock import FileLock

from kft.features.cache import list_stores, prune, tidy
from kft.feed.batches import Ragged
from kft.feed.compacting import compact
from kft.feed.shards import ABOUT, LOCK, ShardIndex, locked, write_shard


def store(folder, count, rows=2, ragged=False):
    """Writes small shards; returns all keys and values."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).write_text("{}")
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 255, (count * rows, 16), dtype=np.uint8)
    values = [rng.standard_normal((int(size), 3)).astype(np.float32) for size in rng.integers(1, 5, count * rows)]
    for start in range(0, count * rows, rows):
        part = values[start : start + rows]
        tensor = Ragged.from_rows(part) if ragged else np.stack([row[0] for row in part])
        write_shard(folder, keys[start : start + rows], {"x": tensor}, "")
    return keys, values


def read(folder, keys, ragged):
    (column,) = ShardIndex(folder).columns(keys, {"x": (np.dtype(np.float32), ragged)}).values()
    return [np.array(column.row(place)) for place in range(len(keys))]


@pytest.mark.parametrize("ragged", [False, True])
def test_small_shards_are_joined_and_hold_the_same(tmp_path, ragged):
    keys, values = store(tmp_path / "store", 40, ragged=ragged)
    assert compact(tmp_path / "store", "") == 39
    assert len(list((tmp_path / "store").glob("*.safetensors"))) == 1
    found = read(tmp_path / "store", keys, ragged)
    assert all((one == (other if ragged else other[0])).all() for one, other in zip(found, values, strict=True))
    assert compact(tmp_path / "store", "") == 0


def test_a_store_that_is_being_written_is_not_joined(tmp_path):
    store(tmp_path / "store", 4)
    with FileLock(str(tmp_path / "store" / LOCK)):
        assert compact(tmp_path / "store", "") == 0


def test_what_killed_processes_left_goes_and_what_is_held_stays(tmp_path):
    root = tmp_path / "features"
    store(root / "idle", 2)
    store(root / "busy", 2)
    for name in ("idle", "busy"):
        (root / name / ".shard.123.tmp").write_bytes(b"x" * 1000)
    (root / ".gone.77.pruned").mkdir()
    (root / ".gone.77.pruned" / "shard").write_bytes(b"x" * 500)
    for name in ("half", "fetching"):
        (root / f".{name}.partial").mkdir()
        (root / f".{name}.partial" / "got").write_bytes(b"x" * 250)
    with FileLock(str(root / "busy" / LOCK)), FileLock(str(root / ".fetching.lock")):
        assert tidy(root) == 1750
        assert (root / "busy" / ".shard.123.tmp").exists() and (root / ".fetching.partial").is_dir()
    assert not (root / "idle" / ".shard.123.tmp").exists() and not (root / ".gone.77.pruned").exists()
    with locked(root / "busy", None, ""):
        assert not (root / "busy" / ".shard.123.tmp").exists(), "the next that writes there clears it"


def test_a_store_that_was_half_removed_is_listed_and_goes(tmp_path):
    store(tmp_path / "whole", 2)
    store(tmp_path / "half", 2)
    (tmp_path / "half" / ABOUT).unlink()
    found = list_stores(tmp_path)
    assert [each.folder.name for each in found] == ["half", "whole"] and found[0].about == {}
    assert [each.folder.name for each in prune(found, found[1].bytes)] == ["half"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole"]
