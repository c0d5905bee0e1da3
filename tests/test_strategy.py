"""Which devices a choice comes to, and what is refused."""

import json

import pytest

from kft import strategy
from kft.errors import UsageError


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
    assert strategy.choose_early("auto") == strategy.DeviceChoice("tpu", "TPU_NAME is node-7")


@pytest.mark.parametrize(
    "task", [{}, {"type": "worker"}, {"type": "worker", "index": 2}, {"type": "ps", "index": 0}, {"index": "0"}]
)
def test_a_place_that_is_not_among_the_workers_is_refused(task, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:1"]}, "task": task}))
    with pytest.raises(UsageError, match="does not say which of the workers this process is") as caught:
        strategy.choose_early("multi-worker")
    assert "worker 0 to 1" in str(caught.value) and (json.dumps(task) if task else "nothing") in str(caught.value)


@pytest.mark.parametrize("devices", ["cpu:0", "cpu", "gpu", ""])
def test_what_is_no_choice_is_refused(devices):
    with pytest.raises(UsageError, match="is none that kft knows"):
        strategy.choose_early(devices)
