"""A run as a SavedModel: a folder, which TensorFlow Serving loads."""

import shutil

import numpy as np
import pytest

import kft
from kft.deploy.load import open_artifact
from kft.errors import RunError, UsageError
from tests.deploy.conftest import ODD

FILES = {"saved_model/saved_model.pb", "saved_model/variables/variables.index"}


@pytest.fixture(scope="module")
def saved(shipped_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "artifact"
    kft.export(shipped_run, folder, format="saved-model", quiet=True)
    return folder


def test_it_answers_as_the_run_does(saved, shipped_run):
    texts = [*ODD, "the battery is great", "the phone is awful and broken", "? ! ? !"]
    opened = open_artifact(saved)
    assert opened.about.parity is not None and opened.about.parity.n == opened.about.parity.of
    assert opened.about.parity.largest < 1e-5
    for one, other in zip(opened.predict(texts), kft.predict(shipped_run, texts), strict=True):
        assert (one["label"], one["abstain"], one.get("why", "")) == (other.label, other.abstain, other.why)
        assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-5)


def test_every_file_of_the_folder_is_vouched_for(saved, tmp_path):
    about = open_artifact(saved).about
    assert about.model == "saved_model" and set(about.files) >= FILES
    within = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    assert set(about.files) == within - {"artifact.json"}
    copy = shutil.copytree(saved, tmp_path / "copy")
    for name in (name for name in about.files if name.startswith("saved_model/")):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(RunError, match=f"{name} was changed"):
            open_artifact(copy)
        (copy / name).unlink()
        with pytest.raises(RunError, match=f"{name} is missing"):
            open_artifact(copy)
        (copy / name).write_bytes(whole)
    (copy / "saved_model" / "variables" / "more").write_bytes(b"another")
    assert kft.verify(copy).problems == ("saved_model/variables/more was not exported with it",)


def test_what_tensorflow_serving_finds(saved):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(saved / "saved_model"))
    about, signature = open_artifact(saved).about, loaded.signatures["serving_default"]
    _, takes = signature.structured_input_signature
    assert set(takes) == set(about.inputs) and set(signature.structured_outputs) == set(about.outputs)
    assert all(spec.shape.as_list() == [None, None] and spec.dtype == tf.int32 for spec in takes.values())
    weights = tf.train.load_checkpoint(str(saved / "saved_model" / "variables" / "variables"))
    shapes = weights.get_variable_to_shape_map().values()
    largest = max(shapes, key=np.prod)
    assert sum(shape == largest for shape in shapes) == 1, "a weight is there twice"
    rows = {name: tf.ones((3, 5), tf.int32) for name in takes}
    found = signature(**rows)
    assert found["probabilities"].shape == (3, 2) and found["abstain"].dtype == tf.bool
    np.testing.assert_allclose(found["probabilities"].numpy().sum(axis=-1), 1, atol=1e-6)


def test_there_is_no_format_keras(shipped_run, tmp_path, kft_cli):
    with pytest.raises(UsageError, match=r"there is no format keras: a \.keras file holds no code"):
        kft.export(shipped_run, tmp_path / "new", format="keras")
    code, _, err = kft_cli("export", shipped_run, tmp_path / "new", "--format", "keras")
    assert code == 2 and "--format saved-model" in err and not list(tmp_path.iterdir())
