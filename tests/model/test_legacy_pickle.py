"""The restricted reader of legacy torch files: planted files run nothing, damaged ones are refused with a reason."""

import io
import os
import pickle
import struct
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kft.errors import AssetError
from kft.model.legacy_pickle import MAGIC, VERSION, read_legacy_tensors

MACHINE = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


class Storage:
    """A storage as the writer knows it."""

    def __init__(self, values, key, *, kind="FloatStorage", place="cpu"):
        self.values, self.key, self.kind, self.place = np.asarray(values), key, kind, place


class Tensor:
    """Pickles itself as torch does, by names of a torch that is not installed."""

    def __init__(self, storage, offset, shape, strides):
        self.parts = storage, offset, shape, strides

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (*self.parts, False, OrderedDict())


class Writer(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, Storage):
            kind = getattr(sys.modules["torch"], value.kind)
            return "storage", kind, value.key, value.place, len(value.values), None
        return None


@pytest.fixture(autouse=True)
def names_of_torch(monkeypatch):
    """Just enough of torch for the pickler to write its names."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in ("FloatStorage", "LongStorage", "HalfStorage"):
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*parts):
        raise AssertionError("the reader ran what the file names")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def content(state, *, magic=MAGIC, version=VERSION, machine=MACHINE, keys=None, extra=b""):
    out = io.BytesIO()
    for value in (magic, version, machine, state):
        Writer(out, protocol=2).dump(value)
    tensors = [tensor for tensor in state.values() if isinstance(tensor, Tensor)] if isinstance(state, dict) else []
    storages = {tensor.parts[0].key: tensor.parts[0] for tensor in tensors}
    keys = list(storages) if keys is None else keys
    pickle.dump(keys, out, protocol=2)
    for key in keys:
        if key in storages:
            out.write(struct.pack("<q", len(storages[key].values)) + storages[key].values.tobytes())
    return out.getvalue() + extra


def whole_state():
    matrix = Storage(np.arange(6, dtype=np.float32), "10")
    steps = Storage(np.array([7], dtype=np.int64), "11", kind="LongStorage")
    return OrderedDict(
        rows=Tensor(matrix, 0, (2, 3), (3, 1)),
        turned=Tensor(matrix, 0, (3, 2), (1, 3)),
        part=Tensor(matrix, 4, (2,), (1,)),
        steps=Tensor(steps, 0, (), ()),
    )


def read(tmp_path, data):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return read_legacy_tensors(path)


def refusal(tmp_path, data):
    with pytest.raises(AssetError, match="nothing in it was run") as caught:
        read(tmp_path, data)
    assert "weights.pth" in str(caught.value)
    assert "kft cache verify" in str(caught.value)
    return caught.value.received


def test_tensors_come_back_with_their_strides(tmp_path):
    found = read(tmp_path, content(whole_state()))
    assert list(found) == ["rows", "turned", "part", "steps"]
    np.testing.assert_array_equal(found["rows"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["turned"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(found["part"], [4, 5])
    assert found["steps"].shape == () and found["steps"] == 7 and found["steps"].dtype == np.int64


class Runs:
    """Makes a folder when it is unpickled by an unrestricted reader."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("place", ["magic", "version", "machine", "state", "keys"])
def test_a_planted_pickle_runs_nothing(tmp_path, place):
    planted = tmp_path / "planted"
    state = OrderedDict(a=Runs(planted)) if place == "state" else whole_state()
    parts = {} if place == "state" else {place: [Runs(planted)]}
    data = content(state, **parts)
    assert "posix.mkdir" in refusal(tmp_path, data)
    assert not planted.exists()
    if place == "magic":  # the plant itself works
        pickle.loads(data)
        assert planted.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "torch._utils._rebuild_tensor", "os.system"])
def test_other_names_are_refused(tmp_path, name):
    module, _, attribute = name.rpartition(".")
    data = pickle.PROTO + b"\x02" + f"c{module}\n{attribute}\n".encode() + pickle.STOP
    assert refusal(tmp_path, data) == f"it names {name}, which a file of weights has no use for"


def test_a_dotted_name_does_not_reach_through_a_known_one(tmp_path):
    data = (
        b"\x80\x04"
        + pickle.SHORT_BINUNICODE
        + b"\x0bcollections"
        + pickle.SHORT_BINUNICODE
        + b"\x14OrderedDict.__class__"
    )
    assert "names collections." in refusal(tmp_path, data.replace(b"\x14", b"\x15") + pickle.STACK_GLOBAL + pickle.STOP)


def test_every_cut_is_refused(tmp_path):
    data = content(whole_state())
    for end in range(0, len(data), 7):
        refusal(tmp_path, data[:end])
    assert refusal(tmp_path, data[:-1]) == "it ends inside storage 11"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"magic": 5}, "the magic number is 5, not 119547037146038801333356"),
        ({"version": 1002}, "the version of the layout is 1002, not 1001"),
        ({"machine": {"little_endian": False}}, "it was not written on a little-endian machine"),
        ({"keys": ["10"]}, "its list of storages is not that of its tensors"),
        ({"keys": ["10", "10"]}, "its list of storages is not that of its tensors"),
        ({"extra": b"more"}, "4 bytes are left over at its end"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, reason):
    assert refusal(tmp_path, content(whole_state(), **change)) == reason


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        ((0, (7,), (1,)), "reaches beyond its storage of 6 numbers"),
        ((5, (2,), (1,)), "reaches beyond its storage of 6 numbers"),
        ((0, (2, 3), (4, 1)), "reaches beyond its storage of 6 numbers"),
        ((0, (10**9, 10**9), (0, 0)), "reaches beyond its storage of 6 numbers"),
        ((-1, (2,), (1,)), "it describes a tensor that is none"),
        ((0, (-2,), (1,)), "it describes a tensor that is none"),
        ((0, (2,), (-1,)), "has strides (-1,)"),
        ((0, (2, 3), (1,)), "has strides (1,)"),
        ((0, ("2",), (1,)), "it describes a tensor that is none"),
    ],
)
def test_a_window_outside_its_storage_is_refused(tmp_path, tensor, reason):
    state = OrderedDict(a=Tensor(Storage(np.zeros(6, np.float32), "1"), *tensor))
    assert reason in refusal(tmp_path, content(state))


@pytest.mark.parametrize("storage", [{"kind": "HalfStorage"}, {"place": "cuda:0"}])
def test_other_storages_are_refused(tmp_path, storage):
    state = OrderedDict(a=Tensor(Storage(np.zeros(6, np.float32), "1", **storage), 0, (6,), (1,)))
    assert refusal(tmp_path, content(state)).startswith(("it names torch.HalfStorage", "it describes a storage as"))


def test_a_state_of_something_else_is_refused(tmp_path):
    assert refusal(tmp_path, content(OrderedDict(a=3))) == "its fourth pickle is no table of tensors"
    assert refusal(tmp_path, content([1])) == "its fourth pickle is no table of tensors"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_noise_is_refused(tmp_path_factory, noise):
    folder = tmp_path_factory.getbasetemp() / "noise"
    folder.mkdir(exist_ok=True)
    refusal(folder, noise)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AssetError, match="cannot be used") as caught:
        read_legacy_tensors(tmp_path / "none.pth")
    assert caught.value.received == "No such file or directory"
