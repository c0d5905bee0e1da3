"""One process at a time writes into a run folder: the second is told who has it, a dead one holds nothing."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from kft.errors import RunError
from kft.records.lock import hold
from kft.records.run_folder import LOCK, RunFolder

HOLDER = """
import sys, time
from pathlib import Path
from kft.records.lock import hold
from kft.records.run_folder import RunFolder
with hold(RunFolder(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with process:
        yield process
        process.kill()


def test_the_second_is_told_who_holds_the_folder_and_a_killed_one_holds_nothing(holder, tmp_path):
    with pytest.raises(RunError, match="another process is at work") as failed, hold(RunFolder(tmp_path)):
        pytest.fail("it is held")
    text = str(failed.value)
    assert f"process {holder.pid} on {socket.gethostname()}, since 20" in text and f"kill {holder.pid}" in text
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    told = []
    with hold(RunFolder(tmp_path), told.append):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert told and told[0].startswith(f"lock       left by process {holder.pid}") and "cleared" in told[0]
    assert not (tmp_path / LOCK).exists()


def test_it_is_given_back_also_when_the_body_fails(tmp_path):
    for _ in range(2):
        with pytest.raises(ValueError), hold(RunFolder(tmp_path)):
            raise ValueError
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_half_written_goes(tmp_path):
    (tmp_path / ".metrics.json.123.tmp").write_text("half")
    (tmp_path / ".onnx.kft.tmp").mkdir()  # an export to here was killed
    with hold(RunFolder(tmp_path)):
        assert not (tmp_path / ".metrics.json.123.tmp").exists()


def test_a_damaged_lock_says_nothing_and_holds_nothing(tmp_path):
    (tmp_path / LOCK).write_text("[not json")
    told = []
    with hold(RunFolder(tmp_path), told.append):
        pass
    assert told == []
