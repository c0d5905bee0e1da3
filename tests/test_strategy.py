"""What two replicas do in one step: masks of their own, statistics in common, a NaN on one of them."""

import json
import subprocess
import sys

import pytest

from kft import strategy
from kft.errors import UsageError

SCRIPT = """
import json
import numpy as np
from kft import strategy
made = strategy.start("cpu:2")
import keras
import tensorflow as tf
from kft.recipe.schema import TrainSpec
from kft.train.optimizer import ScheduledAdamW
from kft.train.schedules import make_schedule
from kft.tasks.registry import TASKS
from kft.tasks.task import AnswerSpace
from kft.train.step import StepSums, make_train_step

OBJECTIVE = TASKS.get("text-classification").kind.objective(AnswerSpace(("a", "b")), 0.0)
found = {"described": None}
rng = np.random.default_rng(0)
x = rng.normal(size=(1, 8, 3)).astype("float32")
ones = np.ones((1, 8), "float32")
targets = rng.integers(0, 2, (1, 8)).astype("int32")

def call(model, x, **spec):
    schedule = make_schedule("constant", total_steps=9, warmup_steps=0)
    optimizer = ScheduledAdamW(0.01, schedule=schedule, rate_factors={}, weight_decay=0.0)
    optimizer.build(model.trainable_variables)
    step = make_train_step(model, model, optimizer, TrainSpec(batch_size=8, **spec), OBJECTIVE)
    inputs, t, m, w = strategy.to_replicas([x, targets, ones, ones], axis=1)
    (stop,) = strategy.to_replicas([np.zeros(2, "float32")])
    return StepSums(*step((inputs,), t, m, w, stop, np.int32(1)).numpy().tolist())

with made.scope():
    found["described"] = strategy.describe()
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    dropped = keras.layers.Dropout(0.5)(inputs)
    masks = keras.Model([inputs], dropped)
    @tf.function(autograph=False)
    def draw(x):
        with strategy.knowing_replicas(masks):
            return strategy.gather([made.run(lambda x: masks([x], training=True), args=(x,))])[0]
    drawn = draw(*strategy.to_replicas([np.ones((64, 3), "float32")])).numpy()
    found["masks"] = (drawn == 0).astype(int).tolist()

    norm = keras.layers.BatchNormalization(momentum=0.0)
    model = keras.Model([inputs], keras.layers.Dense(2)(norm(inputs)))
    sums = call(model, x)
    found["mean"] = norm.moving_mean.numpy().tolist()
    found["expected"] = x[0].mean(axis=0).tolist()
    found["count"] = sums.count

    model = keras.Model([inputs], keras.layers.Dense(2)(inputs))
    before = [v.numpy() for v in model.weights]
    poisoned = x.copy()
    poisoned[0, 6] = np.inf  # the second replica's
    sums = call(model, poisoned)
    found["left_out"] = sums.left_out
    copies = [made.experimental_local_results(v.value) for v in model.weights]
    found["moved"] = max(float(np.abs(c.numpy() - b).max()) for b, cs in zip(before, copies) for c in cs)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_each_replica_draws_its_own_masks(found):
    first, second = found["masks"][:32], found["masks"][32:]
    assert first != second
    assert 0.3 < sum(map(sum, first)) / 96 < 0.7 and 0.3 < sum(map(sum, second)) / 96 < 0.7
    assert found["described"] == "2 replicas (MirroredStrategy); each draws its own dropout masks"


def test_batch_norm_sees_the_global_batch(found):
    assert found["count"] == 8
    assert found["mean"] == pytest.approx(found["expected"], abs=1e-6)


def test_an_infinity_on_one_replica_moves_no_weight_on_either(found):
    assert found["left_out"] == 1
    assert found["moved"] == 0


@pytest.mark.parametrize(
    ("devices", "kind"), [("one", "one"), ("cpu:3", "cpu"), ("tpu", "tpu"), ("auto", None), ("multi-gpu", None)]
)
def test_what_can_be_told_without_tensorflow(devices, kind, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("TPU_NAME", raising=False)
    monkeypatch.setattr(strategy, "_has_tpu_chips", lambda: False)
    early = strategy.choose_early(devices)
    assert (early and early.kind) == kind


@pytest.mark.parametrize(("index", "chief"), [(0, True), (1, False)])
def test_auto_follows_tf_config_and_the_first_worker_writes(index, chief, monkeypatch):
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    choice = strategy.choose_early("auto")
    assert (choice.kind, choice.why, choice.is_chief) == ("multi-worker", "TF_CONFIG names 2 workers", chief)


def test_a_tpu_by_name_decides_auto(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("TPU_NAME", "node-7")
    assert strategy.choose_early("auto") == strategy.Choice("tpu", "TPU_NAME is node-7")


@pytest.mark.parametrize("devices", ["cpu:0", "cpu", "gpu", ""])
def test_what_is_no_choice_is_refused(devices):
    with pytest.raises(UsageError, match="is none that kft knows"):
        strategy.choose_early(devices)
