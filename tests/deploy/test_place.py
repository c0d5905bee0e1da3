"""A folder that is built beside its place: whole, or not there."""

import errno
import os
import signal
import time

import pytest

from kft.deploy.formats.format import Format
from kft.deploy.place import building
from kft.errors import StorageError, UsageError

FILES = 60


def build(destination):
    with building(destination) as folder:
        for number in range(FILES):
            (folder / str(number)).write_bytes(b"x" * 10_000)


def test_a_kill_at_any_moment_leaves_nothing_half(tmp_path):
    start = time.perf_counter()
    build(tmp_path / "first")
    took = time.perf_counter() - start
    whole = 0
    for moment in range(20):
        destination = tmp_path / f"of-{moment}"
        child = os.fork()
        if child == 0:
            build(destination)
            os._exit(0)
        time.sleep(took * moment / 10)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if destination.exists():
            whole += 1
            assert len(list(destination.iterdir())) == FILES
        else:
            build(destination)  # what the killed one left is no hindrance
        assert not list(tmp_path.glob(".of-*"))
    assert whole < 20


def test_two_exports_to_one_folder_do_not_mix(tmp_path):
    destination = tmp_path / "new"
    with building(destination) as folder:
        (folder / "first").write_bytes(b"x")
        with pytest.raises(UsageError, match="another process exports to the same folder"), building(destination):
            pass
        assert [path.name for path in folder.iterdir()] == ["first"]
    assert [path.name for path in destination.iterdir()] == ["first"]
    with pytest.raises(UsageError, match="already exists"), building(destination) as folder:
        (folder / "second").write_bytes(b"x")
    assert [path.name for path in destination.iterdir()] == ["first"]
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    with pytest.raises(StorageError, match="the disk is full"), building(tmp_path / "new") as folder:
        (folder / "half").write_bytes(b"x")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_format_whose_package_is_missing_says_what_to_install():
    form = Format("onnx", "", "model.onnx", lambda *_: None, (), ("no_such_package",), "onnx", 1e-4)
    with pytest.raises(UsageError, match=r"needs packages that are not installed") as caught:
        form.require()
    assert caught.value.received == "no no_such_package" and caught.value.next_step == "pip install 'kft[onnx]'"
