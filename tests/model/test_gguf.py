"""GGUF files: what the gguf package unpacks, whatever the shape; and a damaged header is refused, never believed."""

import struct

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, quants

from kft.errors import ModelError
from kft.model.gguf import open_gguf
from tests.model.gemma import write_gguf

PACKINGS = ("Q8_0", "Q5_0", "Q4_K", "Q6_K", "BF16", "F16")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_values_and_tensors_are_those_that_the_gguf_package_reads(whole):
    found, theirs = open_gguf(whole), GGUFReader(whole)
    assert found.values["general.architecture"] == "gemma3"
    for key, field in theirs.fields.items():
        if not key.startswith("GGUF."):
            assert list(np.atleast_1d(found.values[key])) == list(np.atleast_1d(field.contents())), key
    assert set(found.tensors) == {tensor.name for tensor in theirs.tensors} and len(found.tensors) == 93
    for tensor in theirs.tensors:
        np.testing.assert_array_equal(found.tensor(tensor.name), tensor.data)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("shape", [(3, 256), (1, 2048), (20, 1024), (130, 256)])
def test_a_packed_tensor_is_what_the_gguf_package_makes_of_its_rows(packing, shape, tmp_path):
    kind = GGMLQuantizationType[packing]
    weights, size = GGML_QUANT_SIZES[kind]
    rng = np.random.default_rng(0)
    packed = rng.integers(0, 256, (*shape[:-1], shape[-1] // weights * size), np.uint8)
    packed[:, 1::2] &= 0x3B  # no 16-bit number among them is too large, or none
    from gguf import GGUFWriter

    writer = GGUFWriter(tmp_path / "one.gguf", "gemma3")
    writer.add_tensor("t", packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = open_gguf(tmp_path / "one.gguf").tensor("t")
    assert found.dtype == np.float32 and found.shape == shape and np.isfinite(found).all()
    np.testing.assert_array_equal(found, quants.dequantize(packed, kind).reshape(shape))


def test_a_packing_that_nothing_unpacks_is_refused_by_name(tmp_path):
    from gguf import GGUFWriter

    writer = GGUFWriter(tmp_path / "one.gguf", "gemma3")
    writer.add_tensor("t", np.zeros((2, 8), np.int8))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match="faithfully") as caught:
        open_gguf(tmp_path / "one.gguf").tensor("t")
    assert "t is packed as I8" in str(caught.value)


def test_a_file_that_ends_anywhere_is_refused(whole, tmp_path):
    content = whole.read_bytes()
    cuts = [*range(0, 60), *range(60, len(content), 4999), len(content) - 40]
    for cut in cuts:
        path = tmp_path / f"{cut}.gguf"
        path.write_bytes(content[:cut])
        with pytest.raises(ModelError, match="damaged") as caught:
            open_gguf(path)
        assert str(path) in str(caught.value) and "next:" in str(caught.value)
        path.unlink()
    assert len(cuts) > 65


def test_a_header_with_any_number_changed_is_refused_or_read_and_takes_no_memory_for_what_is_not_there(whole, tmp_path):
    content, refused = whole.read_bytes(), 0
    end = content.index(b"token_embd.weight") + 60
    for at in range(4, end, 7):
        changed = bytearray(content)
        changed[at] ^= 0x7F
        path = tmp_path / "changed.gguf"
        path.write_bytes(changed)
        try:
            open_gguf(path)
        except ModelError as error:
            assert "damaged" in str(error)
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is too short"),
        (b"PK\x03\x04" + bytes(40), "its first bytes are not GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1 of the format"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 60), "a text of"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"a", 9, 8, 1 << 50), "a list of"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"a", 77), "unknown type, 77"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 1, 0, 1, b"t", 9), "9 dimensions"),
        (b"GGUF" + struct.pack("<IQQQ1sIQIQ", 3, 1, 0, 1, b"t", 1, 33, 8, 0), "in runs of 32 weights"),
        (b"GGUF" + struct.pack("<IQQQ1sIQIQ", 3, 1, 0, 1, b"t", 1, 32, 999, 0), "unknown way, number 999"),
        (b"GGUF" + struct.pack("<IQQQ1sIQIQ", 3, 1, 0, 1, b"t", 1, 1 << 60, 0, 0), "reaches beyond its end"),
    ],
)
def test_what_is_wrong_is_said(content, message, tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        open_gguf(path)
    assert message in str(caught.value)


def test_a_file_that_changed_is_read_anew(whole, tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(whole.read_bytes())
    open_gguf(path)
    path.write_bytes(whole.read_bytes()[:100])
    with pytest.raises(ModelError):
        open_gguf(path)
