"""The store on disk: computed once, by content; killed, damaged, shared between processes, limited in size."""

import os
import resource
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from kft.errors import StorageError
from kft.features import cache, policy, store
from kft.features.boundary import split_at_boundary
from kft.features.inference import run_in_batches
from kft.feed.batches import Ragged
from kft.feed.shards import ShardIndex, is_intact, open_shard, write_shard
from kft.feed.source import image_source, text_source
from kft.recipe.schema import FeaturesSpec
from tests.features.stored import front_of, texts, token_model
from tests.waiting import wait_until


def shards(root):
    return sorted(root.rglob("*.safetensors"))


def stored(front, source, root, **options):
    """Stores, and returns the source with how many examples were computed for it."""
    counts = []
    found = store.store_features(front, source, root, watch=store.FeatureProgress(counts.append), **options)
    return found, sum(counts[1:])


def test_stored_features_are_those_of_the_model(tmp_path):
    front, source = front_of(), texts()
    assert set(front.names) == {"block_00_dense", "block_00_pool", "padding_mask"}
    direct = dict(zip(front.tensors, run_in_batches(front.inference, source), strict=True))
    found, computed = stored(front, source, tmp_path)
    assert computed == len(source)
    rows = np.array([5, -1, 0, 199])
    edge = 12
    np.testing.assert_allclose(
        found.columns["block_00_dense"].take(rows, edge), direct["block_00_dense"].take(rows, edge), atol=1e-6
    )
    expected = direct["block_00_pool"][rows].copy()
    expected[1] = 0
    np.testing.assert_allclose(found.columns["block_00_pool"].take(rows, edge), expected, atol=1e-6)
    gathered = np.zeros_like(direct["block_00_pool"])
    for places, values in found.columns["block_00_pool"].chunks():
        gathered[places] = values
    np.testing.assert_allclose(gathered, direct["block_00_pool"], atol=1e-6)


def test_back_on_stored_features_is_the_model(tmp_path):
    model, source = token_model(), texts(rows=64)
    split = split_at_boundary(model)
    found = store.store_features(store.make_front(split), source, tmp_path)
    rows = np.arange(32)
    whole = model(list(source.batch(rows)), training=False).numpy()
    np.testing.assert_allclose(split.back(list(found.batch(rows)), training=False).numpy(), whole, atol=1e-5)


def test_a_second_run_computes_nothing_and_reads_the_same_bits(tmp_path):
    front, source = front_of(), texts()
    first, _ = stored(front, source, tmp_path)
    again, computed = stored(front_of(), source, tmp_path)  # another front with the same weights
    assert computed == 0
    for name in front.tensors:
        for row in (0, 7, 199):
            np.testing.assert_array_equal(first.columns[name].row(row), again.columns[name].row(row))


def test_what_the_largest_pass_took_is_remembered(tmp_path):
    front, source = front_of(), texts()
    assert store.pass_cost(front, tmp_path) is None
    stored(front, source, tmp_path)
    known = store.pass_cost(front, tmp_path)
    assert known.tokens == source.lengths.sum() and known.seconds > 0 and known.cpu_seconds > 0
    assert known.scaled(2 * known.tokens).seconds == pytest.approx(2 * known.seconds)
    stored(front, texts(rows=40, seed=1), tmp_path)  # fewer and other rows: tracing would be most of it
    assert store.pass_cost(front, tmp_path) == known
    (store.store_folder(front, tmp_path) / store.ABOUT).write_text('{"pass": {"tokens": "many"}}')
    assert store.pass_cost(front, tmp_path) is None


def test_a_changed_row_costs_one_row(tmp_path):
    front, source = front_of(), texts()
    stored(front, source, tmp_path)
    ids = source.columns["token_ids"]
    rows = [ids.row(i) for i in range(len(ids))]
    rows[17] = np.array([3, 1, 4, 1, 5])
    changed = text_source(Ragged.from_rows(rows[::-1])).select(("token_ids", "padding_mask"))
    assert stored(front, changed, tmp_path)[1] == 1


def test_equal_examples_are_stored_once(tmp_path):
    front = front_of()
    rows = [np.array([1, 2, 3]), np.array([4, 5]), np.array([1, 2, 3])]
    source = text_source(Ragged.from_rows(rows)).select(("token_ids", "padding_mask"))
    found, computed = stored(front, source, tmp_path)
    assert computed == 2
    np.testing.assert_array_equal(found.columns["block_00_pool"].row(0), found.columns["block_00_pool"].row(2))


@pytest.mark.parametrize("other", [{"seed": 1}, {"width": 4}])
def test_other_weights_have_another_store(other, tmp_path):
    assert store.store_folder(front_of(), tmp_path) != store.store_folder(front_of(token_model(**other)), tmp_path)


def test_the_head_and_the_dropout_of_frozen_layers_do_not_matter(tmp_path):
    model = token_model()
    before = store.store_folder(front_of(model), tmp_path)
    model.get_layer("head_logits").kernel.assign_add(keras.ops.ones_like(model.get_layer("head_logits").kernel))
    assert store.store_folder(front_of(model), tmp_path) == before
    assert store.store_folder(front_of(model), tmp_path, "float16") != before


def test_float16_takes_half_the_room_and_comes_back_as_float32(tmp_path):
    front, source = front_of(), texts()
    found = store.store_features(front, source, tmp_path, dtype="float16")
    half_batch = found.select(tuple(front.tensors)).batch(np.arange(4))
    assert {tensor.dtype for tensor in half_batch} == {np.dtype("float32")}
    exact = store.store_features(front, source, tmp_path).select(tuple(front.tensors)).batch(np.arange(4))
    for half, own in zip(half_batch, exact, strict=True):
        np.testing.assert_allclose(half, own, atol=2e-3)
    assert store.feature_bytes(front, source, "float16") * 2 == store.feature_bytes(front, source)


def test_a_kill_loses_one_shard_and_the_rest_comes_out_alike(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHARD_ROWS", 64)
    front, source = front_of(), texts()
    whole = tmp_path / "whole"
    store.store_features(front, source, whole)
    killed = tmp_path / "killed"

    class Kill(BaseException):
        pass

    done = []

    def tick(count):
        done.append(count)
        if sum(done) > 100:
            raise Kill

    with pytest.raises(Kill):
        store.store_features(front, source, killed, watch=store.FeatureProgress(tick))
    assert len(shards(killed)) == 1 and not list(killed.rglob("*.tmp"))
    _, computed = stored(front, source, killed)
    assert computed == len(source) - 64
    assert [path.name for path in shards(killed)] == [path.name for path in shards(whole)]
    for one, other in zip(shards(killed), shards(whole), strict=True):
        assert one.read_bytes() == other.read_bytes()


CHILD = """
import sys
from kft import runtime
runtime.start()
from tests.features.stored import front_of, texts
from kft.features import store
from pathlib import Path
store.SHARD_ROWS = 32
print("started", flush=True)
counts = []
store.store_features(front_of(), texts(rows=4000), Path(sys.argv[1]), watch=store.FeatureProgress(counts.append))
print(sum(counts[1:]), flush=True)
"""


def child(root):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_two_processes_compute_each_example_once(tmp_path):
    one, other = child(tmp_path), child(tmp_path)
    outputs = [process.communicate(timeout=200) for process in (one, other)]
    assert one.returncode == other.returncode == 0, outputs
    source = texts(rows=4000)
    different = len({key.tobytes() for key in source.keys})
    assert sum(int(out.split()[-1]) for out, _ in outputs) == different


def test_sigkill_leaves_a_store_that_is_resumed(tmp_path):
    process = child(tmp_path)
    wait_until(lambda: len(shards(tmp_path)) >= 3, seconds=120)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept = len(shards(tmp_path))
    assert kept >= 3
    front, source = front_of(), texts(rows=4000)
    found, computed = stored(front, source, tmp_path)
    assert computed <= len(source) - 3 * 32
    assert cache.verify(cache.list_stores(tmp_path)) == (len(shards(tmp_path)), [])
    expected = run_in_batches(front.inference, source, rows=np.array([0, 1, 2]))[0]
    np.testing.assert_allclose(found.columns["block_00_dense"].row(2), expected.row(2), atol=1e-6)


def test_a_truncated_shard_is_computed_again(tmp_path):
    front, source = front_of(), texts()
    stored(front, source, tmp_path)
    (path,) = shards(tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    assert open_shard(path) is None
    assert stored(front, source, tmp_path)[1] == len(source)
    assert is_intact(open_shard(path))


def test_a_full_disk_keeps_the_shards_before_and_says_what_to_do(tmp_path, monkeypatch):
    """The operating system refuses the write, for real: a limit on the size of files."""
    monkeypatch.setattr(store, "SHARD_ROWS", 64)
    front, source = front_of(), texts()
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(StorageError, match="the disk is full") as caught:
            store.store_features(front, source, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, kept)
    assert "next:     free some space, or kft cache prune, another KFT_CACHE, or --set features.store=off" in str(
        caught.value
    )
    assert len(shards(tmp_path)) >= 1 and not list(tmp_path.rglob("*.tmp"))
    assert stored(front, source, tmp_path)[1] < len(source)


def test_one_flipped_bit_is_not_trained_on(tmp_path):
    keys = np.arange(32, dtype=np.uint8).reshape(2, 16)
    path = write_shard(tmp_path, keys, {"x": np.ones((2, 3), np.float32)}, "")
    index = ShardIndex(tmp_path)
    assert list(index.missing(keys)) == [] and index.present(keys) == 2
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    assert list(ShardIndex(tmp_path).missing(keys)) == [0, 1], "it counts as not there"
    write_shard(tmp_path, keys, {"x": np.ones((2, 3), np.float32)}, "")
    assert ShardIndex(tmp_path).present(keys) == 2


def test_one_flipped_bit_is_found_and_removed(tmp_path):
    front, source = front_of(), texts()
    stored(front, source, tmp_path)
    (path,) = shards(tmp_path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert cache.verify(cache.list_stores(tmp_path)) == (1, [path])
    assert stored(front, source, tmp_path)[1] == len(source)


def test_pruning_starts_with_the_store_used_longest_ago(tmp_path):
    source = texts()
    old, new = front_of(token_model(seed=1)), front_of(token_model(seed=2))
    for age, front in ((1000, old), (10, new)):
        store.store_features(front, source, tmp_path)
        about = store.store_folder(front, tmp_path) / "store.json"
        os.utime(about, (time.time() - age,) * 2)
    first, second = cache.list_stores(tmp_path)
    assert (first.folder, second.folder) == tuple(store.store_folder(front, tmp_path) for front in (old, new))
    assert [gone.folder for gone in cache.prune(cache.list_stores(tmp_path), second.bytes)] == [first.folder]
    assert [left.folder for left in cache.list_stores(tmp_path)] == [second.folder]
    assert cache.prune(cache.list_stores(tmp_path), 0, keep=second.folder) == []


def plan_for(front, sources, blocks, root, **spec):
    return policy.plan_store(front, sources, blocks, FeaturesSpec(**spec), root)


def test_the_rule_says_why(tmp_path):
    front, source = front_of(), texts()
    assert str(plan_for(front, [source], ["block_00"], tmp_path, store="off")).startswith("recomputed: the recipe")
    assert "no whole block lies below" in str(plan_for(front, [source], [], tmp_path))
    text = str(plan_for(front, [source], ["block_00"], tmp_path, cache_limit="1 KB"))
    assert text.startswith("recomputed:") and "exceed features.cache_limit, 1 KB" in text
    assert str(plan_for(front, [source], ["block_00"], tmp_path)).startswith("stored after block_00: ")
    stored(front, source, tmp_path)
    assert "200 of 200 examples are stored already" in str(plan_for(front, [source], ["block_00"], tmp_path))


def test_a_disk_without_room_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(policy, "free_bytes", lambda path: policy.SPARE_BYTES + 100)
    text = str(plan_for(front_of(), [texts()], ["block_00"], tmp_path))
    assert text.startswith("recomputed:") and "leave 1.0 GiB free" in text


def test_older_stores_make_room_within_the_limit(tmp_path):
    source, old, new = texts(), front_of(token_model(seed=1)), front_of(token_model(seed=2))
    stored(old, source, tmp_path)
    spec = FeaturesSpec(cache_limit=f"{store.feature_bytes(new, source) + 1000} B")
    planned = policy.plan_store(new, [source], ["block_00"], spec, tmp_path)
    assert planned.store
    assert policy.make_room(planned, new, spec, tmp_path) == 1
    assert cache.list_stores(tmp_path) == []


def test_images_are_stored_too(tmp_path):
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 8, 3), name="images")
    hidden = keras.layers.Conv2D(4, 3, activation="relu", name="block_00_conv")(images)
    normed = keras.layers.BatchNormalization(name="block_00_norm")(hidden)
    pooled = keras.layers.GlobalAveragePooling2D(name="head_pool")(normed)
    model = keras.Model(images, keras.layers.Dense(2, name="head_logits")(pooled))
    for layer in model.layers:
        layer.trainable = layer.name.startswith("head")
    split = split_at_boundary(model)
    source = image_source(np.random.default_rng(0).normal(size=(40, 8, 8, 3)).astype("float32"))
    found, computed = stored(store.make_front(split), source, tmp_path)
    assert computed == 40
    rows = np.arange(32)
    np.testing.assert_allclose(
        split.back(list(found.batch(rows))).numpy(), model(source.batch(rows)[0], training=False).numpy(), atol=1e-5
    )


def test_a_store_that_other_data_filled_is_started_anew_within_the_limit(tmp_path):
    front, old, new = front_of(), texts(seed=1), texts(seed=2)
    stored(front, old, tmp_path)
    spec = FeaturesSpec(cache_limit=f"{int(1.5 * store.feature_bytes(front, new))} B")
    planned = policy.plan_store(front, [new], ["block_00"], spec, tmp_path)
    assert planned.store and policy.make_room(planned, front, spec, tmp_path) == 1
    stored(front, new, tmp_path)
    assert store.stored_rows(front, old, tmp_path) == 0
