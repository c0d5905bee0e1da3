"""Keras callbacks driven by our own loop: what they remember, and which of several processes runs them."""

import json

import keras
import numpy as np
import pytest

import kft
from kft.errors import RecipeError, TrainingError
from kft.recipe.training import CallbackSpec
from kft.train.callbacks import CallbackDriver, make_callbacks
from kft.train.step import StepSums
from tests import tiny


def model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="d")])


def steps(driver, numbers):
    for number in numbers:
        driver.batch_begin(number)
        driver.batch_end(number, [StepSums(1.0, 1.0, 2.0, 0.0, 0.0)])


def test_a_model_checkpoint_every_few_steps_goes_on_counting(tmp_path):
    found = []
    for name, cut in (("whole", 10), ("cut", 6)):
        (tmp_path / name).mkdir()
        path = str(tmp_path / name / "{epoch}-{batch}.weights.h5")

        def begin(state=None, path=path):
            made = keras.callbacks.ModelCheckpoint(path, save_weights_only=True, save_freq=4)
            driver = CallbackDriver(model(), [made])
            driver.begin(state)
            driver.epoch_begin(0)
            if state:
                driver.restore(state)
            return driver

        driver = begin()
        steps(driver, range(cut))
        if cut < 10:
            driver = begin(json.loads(json.dumps(driver.state)))
            steps(driver, range(cut, 10))
        found.append(sorted(each.name for each in (tmp_path / name).iterdir()))
    assert found[0] == found[1] and len(found[0]) == 2


def test_of_several_processes_one_writes_the_callbacks_files(tmp_path):
    """The others keep a silent one in its place, so that each takes up its own state of the first's checkpoint."""

    def callbacks(name):
        log = keras.callbacks.CSVLogger(str(tmp_path / name))
        return [log, keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=9)]

    first, other = (CallbackDriver(model(), callbacks(str(writes)), writes=writes) for writes in (True, False))
    for driver in (first, other):
        driver.use_optimizer(keras.optimizers.SGD())
        driver.begin()
        driver.epoch_begin(0)
        driver.epoch_end(0, {"val_loss": 0.7})
    assert [path.name for path in tmp_path.iterdir()] == ["True"]
    assert not other.forgetful
    other.begin(first.state)
    assert other.state["1 ReduceLROnPlateau"] == first.state["1 ReduceLROnPlateau"]
    first.end()


def test_a_loss_that_is_not_finite_is_told_where_all_processes_look(tiny_folder, tmp_path):
    """66 steps an epoch are looked at every third: 1, 4, ...; that a checkpoint is due at 2 changes nothing."""
    head = {"name": "head", "unfreeze": "none", "epochs": 1, "lr": 1e-3}
    settings = {"phases": [head], "batch_size": 1, "checkpoints": {"every": "1 step"}}
    path = tiny.recipe(tmp_path, tiny_folder, **settings)

    class Poison(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1:
                bias = self.model.get_layer("head_logits").bias
                bias.assign(np.full(bias.shape, np.nan))

    with pytest.raises(TrainingError, match="the loss is not finite any more") as caught:
        kft.train(path, run=tmp_path / "run", callbacks=[Poison()], quiet=True)
    assert "phase head, epoch 1, at or before step 4" in str(caught.value)


OUTSIDE = ["/tmp/x.csv", "../x.csv", "a/../../x.csv", "~/x.csv", "gs://bucket/x.csv", "..\\x.csv", ".", "link/x.csv"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_callback_writes_inside_the_run_folder_only(tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path)
    with pytest.raises(RecipeError, match="inside the run folder only"):
        make_callbacks([CallbackSpec(name="csv-logger", args={"filename": name})], tmp_path / "run")


@pytest.mark.parametrize("name", ["metrics.json", "history.jsonl", "checkpoints/best.json", "./recipe.yaml"])
def test_a_callback_leaves_the_files_of_kft_alone(tmp_path, name):
    with pytest.raises(RecipeError, match="kft writes this file"):
        make_callbacks([CallbackSpec(name="csv-logger", args={"filename": name})], tmp_path)


def test_a_name_starts_in_the_run_folder(tmp_path):
    (made,) = make_callbacks([CallbackSpec(name="csv-logger", args={"filename": "logs/my.csv"})], tmp_path)
    assert made.filename == str(tmp_path / "logs" / "my.csv") and list(tmp_path.iterdir()) == []
