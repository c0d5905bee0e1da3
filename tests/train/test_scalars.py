"""Scalars for TensorBoard: what the history says, also where a run went on; nothing of what it took back."""

import pytest
import tensorflow as tf

import kft
from kft.train.scalars import ScalarLog, scalars_of
from tests import tiny
from tests.ended import events_of


def read(folder):
    """Returns {(phase, tag): [(step, value)]} of all event files below a folder."""
    found = {}
    for path in sorted(folder.glob("*/events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                point = event.step, float(tf.make_ndarray(value.tensor))
                found.setdefault((path.parent.name, value.tag), []).append(point)
    return found


def in_history(run):
    """Returns the same from history.jsonl."""
    found = {}
    for event in events_of(run):
        for name, value in scalars_of(event).items():
            found.setdefault((event["phase"], name), []).append((event["step"], pytest.approx(value, rel=1e-6)))
    return found


def test_points_are_added_and_written_anew(tmp_path):
    def epoch(step, loss):
        return {"event": "epoch", "phase": "top", "epoch": step // 5, "step": step, "loss": loss, "is_best": False}

    log = ScalarLog(tmp_path / "tensorboard")
    log.append({"event": "phase", "phase": "top", "parameters": 3})
    assert not (tmp_path / "tensorboard").exists()
    log.append(epoch(5, 0.5))
    log.append(epoch(10, 0.25))
    assert read(log.folder) == {("top", "loss"): [(5, 0.5), (10, 0.25)]}
    log.rewrite([epoch(5, 0.5)])
    log.append(epoch(10, 0.125))
    assert read(log.folder) == {("top", "loss"): [(5, 0.5), (10, 0.125)]}
    log.rewrite([])
    assert not log.folder.exists()


@pytest.mark.slow
def test_a_run_writes_what_its_history_says_and_again_when_it_goes_on(tmp_path, tiny_folder):
    recipe = tiny.recipe(tmp_path, tiny_folder, rows=80, phases=[tiny.PROBE, tiny.TOP])
    run = kft.train(recipe, run=tmp_path / "run", quiet=True).run
    points = read(run / "tensorboard")
    assert points == in_history(run)
    assert {"loss", "lr", "valid_loss", "valid_accuracy"} <= {tag for phase, tag in points if phase == "top"}
    assert {tag for phase, tag in points if phase == "probe"} == {"valid_loss", "valid_accuracy", "valid_macro_f1"}
    kft.train(recipe, run=run, resume=True, quiet=True)
    assert read(run / "tensorboard") == points
