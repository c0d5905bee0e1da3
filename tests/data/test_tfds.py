"""tensorflow-datasets as a source: what its features become, where it is looked for, and what is refused at once."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from kft.assets import locate
from kft.data.tfds import images_folder, read_tfds, split_names
from kft.errors import AssetError, DataError, UsageError
from kft.recipe.schema import DataSpec
from kft.split.data_split import load_split
from kft.tasks.registry import TASKS


def picture(color):
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), color).save(buffer, "PNG")
    return buffer.getvalue()


def examples(count):
    for row in range(count):
        yield {
            "text": f"für {row}",
            "label": ["good", "bad", -1][row % 3 if row == 5 else row % 2],
            "photo": picture((row, 0, 0)),
            "stars": row / 10,
            "exact": row / 10 + 1e-12,
            "sure": row % 2 == 0,
            "tags": ["x", "y"][: row % 3],
            "spans": [{"start": 0, "end": 3, "kind": "x"}] if row % 2 else [],
            "film": [picture("red")],
            "vector": [row, 1],
        }


@pytest.fixture(scope="module", params=["tfrecord", "array_record"])
def prepared(request, tmp_path_factory):
    """A data set that tensorflow-datasets wrote, in three shards."""
    from kft import runtime

    runtime.load_tensorflow()
    import tensorflow_datasets as tfds

    kinds = tfds.features
    tags = kinds.ClassLabel(names=["x", "y"])
    features = kinds.FeaturesDict(
        {
            "text": kinds.Text(),
            "label": kinds.ClassLabel(names=["bad", "good"]),
            "photo": kinds.Image(),
            "stars": kinds.Scalar(np.float32),
            "exact": kinds.Tensor(shape=(), dtype=np.float64, encoding="bytes"),
            "sure": kinds.Scalar(np.bool_),
            "tags": kinds.Sequence(tags),
            "spans": kinds.Sequence({"start": kinds.Scalar(np.int64), "end": kinds.Scalar(np.int64), "kind": tags}),
            "film": kinds.Sequence(kinds.Image()),
            "vector": kinds.Tensor(shape=(2,), dtype=np.int64),
        }
    )
    folder = tmp_path_factory.mktemp("tfds") / "toys" / "small" / "1.2.0"
    folder.mkdir(parents=True)
    info = tfds.core.DatasetInfo(
        builder=tfds.core.dataset_info.DatasetIdentity(
            name="toys", version="1.2.0", data_dir=str(folder), module_name="x"
        ),
        features=features,
        disable_shuffling=True,
    )
    writer = tfds.core.SequentialWriter(info, 5, file_format=request.param)
    writer.initialize_splits(["train", "test"])
    writer.add_examples({"train": list(examples(12)), "test": list(examples(4))})
    writer.close_all()
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))


def frame_of(source, base):
    ((_, frame),) = read_tfds(source, base)
    return frame


def test_features_become_cells(prepared):
    frame = frame_of("tfds:1.2.0?split=train", prepared.parent)
    row = frame.iloc[3]
    assert (row.text, row.label, row.stars, row.exact, row.sure) == ("für 3", "bad", 0.3, 0.3 + 1e-12, "false")
    assert row.spans == [{"end": 3, "kind": "x", "start": 0}] and row.vector == [3, 1]
    assert frame.tags.tolist()[:3] == [[], ["x"], ["x", "y"]] and frame.label[5] == ""
    assert "film" not in frame.columns  # images inside lists are left out
    assert (images_folder() / row.photo).read_bytes() == picture((3, 0, 0))


def test_images_are_written_once_and_mended(prepared):
    path = images_folder() / frame_of(f"tfds:{prepared}?split=test", prepared).photo[0]
    first = os.stat(path).st_ino
    frame_of(f"tfds:{prepared}?split=test", prepared)
    assert os.stat(path).st_ino == first
    path.write_bytes(b"")
    frame_of(f"tfds:{prepared}?split=test", prepared)
    assert path.read_bytes() == picture((0, 0, 0))


@pytest.mark.parametrize(
    ("split", "rows"),
    [
        ("train", range(12)),
        ("train[:50%]", range(6)),
        ("train[4:11]", range(4, 11)),
        ("train[-3:]", range(9, 12)),
        ("train[75%:]", range(9, 12)),
    ],
)
def test_slices_keep_the_rows_of_the_whole_split(prepared, split, rows):
    frame = frame_of(f"tfds:{prepared}?split={split}", prepared)
    assert frame.index.tolist() == list(rows)
    assert frame.text.tolist() == [f"für {row}" for row in rows]


def load(base, task="text-classification", **spec):
    return load_split(DataSpec(**spec), task=TASKS.get(task), base=base, locate=locate)


def test_a_split_by_slices_and_a_sum(prepared):
    source = f"tfds:{prepared}?split="
    spec = {"train": source + "train[:8]", "text": "text", "label": "label", "unusable_rows": "skip"}
    split = load(prepared, **spec, valid=source + "train[8:]", test=source + "test")
    assert [len(split.part(key)) for key in ("train", "valid", "test")] == [7, 4, 4]
    assert split.valid.ids.tolist()[0] == "toys:train:9" and split.test.ids.tolist()[0] == "toys:test:1"
    assert split.rejected[0].id == "toys:train:6"
    both = load(prepared, **spec | {"train": source + "train+test"}, valid="20%", test="20%")
    assert sum(len(both.part(key)) for key in ("train", "valid", "test")) == 15
    with pytest.raises(DataError, match="one id is in two splits"):
        load(prepared, **spec, valid=source + "train[7:]", test=source + "test")


def test_images_have_ids_of_rows_wherever_the_cache_lies(prepared, monkeypatch, tmp_path):
    spec = {"train": f"tfds:{prepared}?split=train", "image": "photo", "label": "label", "unusable_rows": "skip"}
    first = load(prepared, "image-classification", **spec, test=f"tfds:{prepared}?split=test")
    assert first.test.ids.tolist() == [f"toys:test:{row}" for row in range(1, 5)]
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "elsewhere"))
    again = load(prepared, "image-classification", **spec, test=f"tfds:{prepared}?split=test")
    assert first.split_hash == again.split_hash and first.data_hash == again.data_hash


def test_a_name_is_looked_for_where_tfds_prepares(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared.parents[2]))
    for name in ("toys", "toys/small", "toys:1.2.0", "toys/small:1.2.0"):
        assert split_names(f"tfds:{name}", prepared) == ("train", "test")
    with pytest.raises(AssetError, match=r"toys:2.0.0 is not prepared on this disk") as caught:
        split_names("tfds:toys:2.0.0", prepared)
    assert caught.value.received == "small/1.2.0"
    with pytest.raises(AssetError, match=r"toy is not prepared on this disk; did you mean toys\?"):
        split_names("tfds:toy", prepared)


def test_without_a_copy_it_says_at_once_how_to_prepare_one(tmp_path):
    with pytest.raises(AssetError) as caught:
        load(tmp_path, train="tfds:mnist?split=train")
    assert caught.value.problem == "mnist is not prepared on this disk"
    assert "tfds.builder('mnist').download_and_prepare()" in caught.value.next_step


@pytest.mark.parametrize("split", ["", "?split=tran", "?split=train[5:2", "?split=train[:200%]"])
def test_a_split_that_is_not_there(prepared, split):
    with pytest.raises(DataError) as caught:
        load(prepared, train=f"tfds:{prepared}{split}")
    assert "train (12), test (4)" in caught.value.received
    assert caught.value.next_step == f"tfds:{prepared}?split=train"


def test_other_forms_and_other_folders_are_refused(prepared, tmp_path):
    for source in ("tfds:", "tfds:a?part=train", "tfds:a b?split=train"):
        with pytest.raises(UsageError, match=r"form|no name of a data set"):
            load(tmp_path, train=source)
    with pytest.raises(DataError, match="has written nothing here") as caught:
        load(tmp_path, train=f"tfds:{prepared.parents[1]}?split=train")
    assert caught.value.received == "data sets in small/1.2.0"
    with pytest.raises(DataError, match="there are no rows"):
        load(prepared, train=f"tfds:{prepared}?split=train[:0]")


def test_damaged_files_are_an_error_of_the_data(prepared, tmp_path):
    for name in sorted(path.name for path in prepared.iterdir()):
        copy = tmp_path / "copy"
        copy.mkdir(exist_ok=True)
        for path in prepared.iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[: len(whole) // 2])
        if "labels" in name or "test" in name:
            continue
        with pytest.raises(DataError, match=r"cannot be read|no split|no rows"):
            load(tmp_path, train="tfds:copy?split=train", label="label", text="text", unusable_rows="skip")
