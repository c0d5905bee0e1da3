"""Checkpoints: whole or not at all, checked when read."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from kft.errors import RunError
from kft.train.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint, snapshot


def arrays(value):
    return {"layer/kernel": np.full((3, 2), value, np.float32), "layer/bias": np.zeros(2, np.float32)}


def test_a_round_trip_and_the_one_before_is_removed(tmp_path):
    save_checkpoint(tmp_path, "best", Checkpoint(arrays(1.0), {"epoch": 1}))
    save_checkpoint(tmp_path, "best", Checkpoint(arrays(2.0), {"epoch": 2}))
    found = load_checkpoint(tmp_path, "best")
    assert found.state == {"epoch": 2}
    np.testing.assert_array_equal(found.arrays["layer/kernel"], arrays(2.0)["layer/kernel"])
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_a_flipped_bit_a_lost_file_and_a_broken_manifest_are_told(tmp_path):
    save_checkpoint(tmp_path, "best", Checkpoint(arrays(1.0), {}))
    (path,) = tmp_path.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="the best checkpoint is damaged") as caught:
        load_checkpoint(tmp_path, "best")
    assert "sha256" in str(caught.value)
    path.unlink()
    with pytest.raises(RunError, match="no such file"):
        load_checkpoint(tmp_path, "best")
    (tmp_path / "best.json").write_text("{")
    with pytest.raises(RunError, match="manifest is damaged"):
        load_checkpoint(tmp_path, "best")
    with pytest.raises(RunError, match="the run has no last checkpoint"):
        load_checkpoint(tmp_path, "last")


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    """The operating system refuses the write, for real: a limit on the size of files."""
    save_checkpoint(tmp_path, "best", Checkpoint(arrays(1.0), {"epoch": 1}))
    script = f"""
import resource, signal, sys
from pathlib import Path
import numpy as np
from kft.errors import StorageError
from kft.train.checkpoint import Checkpoint, save_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
try:
    save_checkpoint(Path({str(tmp_path)!r}), "best", Checkpoint({{"a": np.zeros(9999)}}, {{"epoch": 2}}))
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
    save_checkpoint(tmp_path, "best", Checkpoint(arrays(1.0), {"phase": "top"}))
    manifest = json.loads((tmp_path / "best.json").read_text())
    assert set(manifest) == {"arrays", "sha256", "state"}
