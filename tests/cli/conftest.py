"""The command line, run in this process; `tests/end_to_end` runs it as a person would."""

import json

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def trained(tiny_folder, tmp_path_factory):
    """A finished run of the tiny backbone, with gates that fail and that hold."""
    import kft

    folder = tmp_path_factory.mktemp("trained")
    deep = {"name": "deep", "unfreeze": "all", "epochs": 3, "lr": 1e-3}
    path = tiny.recipe(folder, tiny_folder, rows=160, phases=[tiny.PROBE, deep])
    values = json.loads(path.read_text())
    values["evaluate"] = {"gates": {"accuracy": ">= 0.5", "log_loss": "<= 0.0"}}
    path.write_text(json.dumps(values))
    return kft.train(path, run=folder / "run", quiet=True)


@pytest.fixture(scope="session")
def tiny_images(tmp_path_factory):
    """A tiny convolutional backbone as a person's own .keras file."""
    import keras

    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 3), name="images")
    x = keras.layers.Rescaling(1 / 128, offset=-1, name="stem_scale")(pixels)
    for block in range(2):
        x = keras.layers.Conv2D(12, 3, strides=2, padding="same", name=f"block_{block:02}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"block_{block:02}_norm")(x)
        x = keras.layers.ReLU(name=f"block_{block:02}_relu")(x)
    path = tmp_path_factory.mktemp("images") / "tiny.keras"
    keras.Model(pixels, x).save(path)
    return path
