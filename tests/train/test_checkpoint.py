"""Checkpoints: whole or not at all, checked when read."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from kft.errors import DataError, RunError, StorageError
from kft.train.checkpoint import Checkpoint, CheckpointWriter, load_checkpoint, load_newest, restore, snapshot


def arrays(value):
    return {"layer/kernel": np.full((3, 2), value, np.float32), "layer/bias": np.zeros(2, np.float32)}


def save(folder, name, checkpoint, keep=1):
    with CheckpointWriter(folder) as writer:
        writer.save(name, checkpoint, keep)


def test_a_round_trip_and_the_one_before_is_removed(tmp_path):
    save(tmp_path, "best", Checkpoint(arrays(1.0), {"epoch": 1}))
    save(tmp_path, "best", Checkpoint(arrays(2.0), {"epoch": 2}))
    found = load_checkpoint(tmp_path, "best")
    assert found.state == {"epoch": 2}
    np.testing.assert_array_equal(found.weights["layer/kernel"], arrays(2.0)["layer/kernel"])
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_a_flipped_bit_a_lost_file_and_a_broken_manifest_are_told(tmp_path):
    save(tmp_path, "best", Checkpoint(arrays(1.0), {}))
    (path,) = tmp_path.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="the checkpoint is damaged") as caught:
        load_checkpoint(tmp_path, "best")
    assert "sha256" in str(caught.value)
    path.unlink()
    with pytest.raises(RunError, match="the checkpoint is damaged") as caught:
        load_checkpoint(tmp_path, "best")
    assert "no such file" in str(caught.value)
    (tmp_path / "best.json").write_text("{")
    with pytest.raises(RunError) as caught:
        load_checkpoint(tmp_path, "best")
    assert "its checksum does not fit" in str(caught.value)
    with pytest.raises(RunError, match="the run has no last checkpoint"):
        load_checkpoint(tmp_path, "last")


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    """The operating system refuses the write, for real: a limit on the size of files."""
    save(tmp_path, "best", Checkpoint(arrays(1.0), {"epoch": 1}))
    script = f"""
import resource, signal, sys
import numpy as np
from kft.errors import StorageError
from kft.train.checkpoint import Checkpoint, CheckpointWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
try:
    with CheckpointWriter({str(tmp_path)!r}) as writer:
        writer.save("best", Checkpoint({{"a": np.zeros(9999)}}, {{"epoch": 2}}))
except StorageError as error:
    print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))  # coverage writes its file at the end
    sys.exit(error.exit_code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert "the disk is full" in done.stdout and "MiB free" in done.stdout and "next:" in done.stdout
    assert load_checkpoint(tmp_path, "best").state == {"epoch": 1}
    assert not list(tmp_path.glob(".*.tmp"))


def test_restoring_what_does_not_fit_assigns_nothing():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(1, name="b")])
    saved = snapshot(model.weights)
    kept = {path: value.copy() for path, value in saved.items()}
    for path in saved:
        saved[path] = saved[path] + 1
    (wrong,) = [path for path in saved if path.endswith("b/kernel")]
    saved[wrong] = np.zeros((5, 1), np.float32)
    with pytest.raises(RunError, match=r"b/kernel: \(5, 1\), expected \(3, 1\)"):
        restore(model.weights, saved)
    for variable in model.weights:
        np.testing.assert_array_equal(variable.numpy(), kept[variable.path])


def test_the_manifest_is_readable(tmp_path):
    save(tmp_path, "best", Checkpoint(arrays(1.0), {"phase": "top"}))
    manifest = json.loads((tmp_path / "best.json").read_text())
    assert set(manifest) == {"checksum", "arrays", "state"} and manifest["state"] == {"phase": "top"}


def test_the_last_ones_stay_and_the_newest_whole_one_is_used(tmp_path):
    """Four are written, three kept; each that is cut short or has one bit flipped is told, and the next serves."""
    with CheckpointWriter(tmp_path) as writer:
        for epoch in range(1, 5):
            group = {"training": {"m": np.full(2, epoch, np.float32)}, "same": {"w": np.ones(2, np.float32)}}
            writer.save("last", Checkpoint(arrays(float(epoch)), {"epoch": epoch}, group), keep=3)
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["last-1.json", "last-2.json", "last.json"]
    assert len(list(tmp_path.glob("*.safetensors"))) == 3 * 2 + 1, "what is alike is kept once"
    told: list[str] = []
    assert load_newest(tmp_path, "last", told.append).state == {"epoch": 4} and not told

    newest = json.loads((tmp_path / "last.json").read_text())["arrays"]["training"]["file"]
    content = bytearray((tmp_path / newest).read_bytes())
    content[-1] ^= 1
    (tmp_path / newest).write_bytes(content)
    assert load_newest(tmp_path, "last", told.append).state == {"epoch": 3}
    assert newest in told[0] and "sha256" in told[0] and told[0].endswith("the one before is used")

    text = (tmp_path / "last-1.json").read_text()
    (tmp_path / "last-1.json").write_text(text[: len(text) // 2])
    found = load_newest(tmp_path, "last", told.append)
    assert found.state == {"epoch": 2} and found.more["training"]["m"].tolist() == [2, 2]
    assert "last-1.json" in told[-1]

    (tmp_path / "last-2.json").write_text(text.replace('"epoch": 3', '"epoch": 2'))
    with pytest.raises(RunError, match="the checkpoint is damaged"):
        load_newest(tmp_path, "last", told.append)
    assert load_newest(tmp_path, "first", told.append) is None


def test_an_array_file_that_an_earlier_process_damaged_is_written_again(tmp_path):
    save(tmp_path, "best", Checkpoint(arrays(1.0), {}))
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(b"damaged")
    save(tmp_path, "best", Checkpoint(arrays(1.0), {"again": True}))
    np.testing.assert_array_equal(load_checkpoint(tmp_path, "best").weights["layer/bias"], [0, 0])


def test_an_object_store_serves_as_well(tmp_path):
    """fsspec's file system in memory takes the place of gs://: the same calls."""
    folder = f"memory://{tmp_path.name}/run"
    for epoch in range(1, 4):
        save(folder, "last", Checkpoint(arrays(float(epoch)), {"epoch": epoch}), keep=2)
    assert load_newest(folder, "last", print).state == {"epoch": 3}
    assert load_checkpoint(folder, "last-1").state == {"epoch": 2}
    with pytest.raises(DataError, match="nothing here knows files of the kind nowhere://"):
        save("nowhere://bucket", "last", Checkpoint(arrays(1.0), {}))


def test_a_store_with_folders_has_them_made_and_one_that_cannot_be_written_is_told(tmp_path):
    folder = f"file://{tmp_path}/new/run"
    save(folder, "last", Checkpoint(arrays(1.0), {"epoch": 1}))
    assert load_newest(folder, "last", print).state == {"epoch": 1}
    (tmp_path / "taken").touch()
    with pytest.raises(StorageError, match="the store of this file does not answer as it should"):
        save(f"file://{tmp_path}/taken/run", "last", Checkpoint(arrays(1.0), {}))


def test_files_that_are_not_kfts_own_stay(tmp_path):
    """A folder that a person named holds a model of theirs and their notes; what a killed kft left goes."""
    foreign = ("model.safetensors", "notes.tmp", "config.json", "a1.json", "best.json.bak.tmp", "last-x.json")
    for name in foreign:
        (tmp_path / name).write_text("mine")
    left = (f"{24 * 'a'}.safetensors", f".{24 * 'b'}.safetensors.7.tmp", ".last.json.7.tmp", "last.json.tmp")
    for name in left:
        (tmp_path / name).write_text("half")
    save(tmp_path, "last", Checkpoint(arrays(1.0), {"epoch": 1}))
    assert {name for name in foreign if (tmp_path / name).exists()} == set(foreign)
    assert not [name for name in left if (tmp_path / name).exists()]
    assert load_newest(tmp_path, "last", print).state == {"epoch": 1}


def states(folder):
    found = {path.name: json.loads(path.read_text())["state"] for path in folder.glob("last*.json")}
    return {name: state["epoch"] for name, state in sorted(found.items())}


@pytest.mark.parametrize("damage", ["manifest", "arrays"])
def test_a_damaged_checkpoint_is_not_pushed_over_the_good_one_before_it(damage, tmp_path):
    with CheckpointWriter(tmp_path) as writer:
        for epoch in (1, 2):
            writer.save("last", Checkpoint(arrays(float(epoch)), {"epoch": epoch}), keep=2)
    if damage == "manifest":
        text = (tmp_path / "last.json").read_text()
        (tmp_path / "last.json").write_text(text[:-100])
    else:
        entry = json.loads((tmp_path / "last.json").read_text())["arrays"]["weights"]
        (tmp_path / entry["file"]).write_bytes(b"cut")
    assert load_newest(tmp_path, "last", lambda line: None).state == {"epoch": 1}
    save(tmp_path, "last", Checkpoint(arrays(3.0), {"epoch": 3}), keep=2)
    assert states(tmp_path) == {"last-1.json": 1, "last.json": 3}
    (tmp_path / "last.json").unlink()
    assert load_newest(tmp_path, "last", print).state == {"epoch": 1}


def test_a_manifest_that_cannot_be_written_moves_none_of_the_old_ones(tmp_path):
    """A folder takes the place of the new manifest: the write fails before anything is renamed."""
    with CheckpointWriter(tmp_path) as writer:
        for epoch in (1, 2):
            writer.save("last", Checkpoint(arrays(float(epoch)), {"epoch": epoch}), keep=3)
    before = states(tmp_path)
    (tmp_path / "last.json.tmp").mkdir()
    with pytest.raises(StorageError, match="a file cannot be written"):
        save(tmp_path, "last", Checkpoint(arrays(3.0), {"epoch": 3}), keep=3)
    assert states(tmp_path) == before == {"last-1.json": 1, "last.json": 2}


def test_keeping_fewer_removes_those_that_are_too_many(tmp_path):
    with CheckpointWriter(tmp_path) as writer:
        for epoch in range(1, 6):
            writer.save("last", Checkpoint(arrays(float(epoch)), {"epoch": epoch}), keep=4)
    save(tmp_path, "last", Checkpoint(arrays(6.0), {"epoch": 6}), keep=2)
    assert states(tmp_path) == {"last-1.json": 5, "last.json": 6}
    assert len(list(tmp_path.glob("*.safetensors"))) == 2, "and the arrays that only they named"


def test_a_folder_that_does_not_answer_is_not_an_empty_one(tmp_path):
    with pytest.raises(StorageError, match="the store of this file does not answer as it should") as caught:
        load_newest("ftp://127.0.0.1:1/run", "last", print)
    assert "check train.checkpoints.folder and the credentials" in str(caught.value)
    assert load_newest(f"memory://{tmp_path.name}/nothing", "last", print) is None
    (tmp_path / "last.json").mkdir()  # stands for whatever the system refuses to read; root may read any file
    with pytest.raises(StorageError, match="a file or folder cannot be read") as caught:
        load_newest(tmp_path, "last", print)
    assert "Is a directory" in str(caught.value) and str(tmp_path / "last.json") in str(caught.value)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="a file or folder cannot be read"):
        load_newest(tmp_path / "file", "last", print)
