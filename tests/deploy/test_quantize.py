"""Smaller numbers: what they cost is measured beside the evaluated answers, and never hangs on a batch."""

import dataclasses
import json

import pytest

import kft
from kft.deploy.cost import pass_gates
from kft.deploy.export import require_quantizable
from kft.deploy.formats.all_formats import FORMATS
from kft.deploy.load import open_artifact
from kft.deploy.parity import hold_reading
from kft.deploy.proof import objections, prove
from kft.deploy.runner.trace import Stages
from kft.errors import GateError, ParityError, UsageError
from kft.records.metrics import GateResult
from kft.records.shipped import read_about
from kft.tasks.registry import TASKS


@pytest.fixture(scope="module")
def small(shipped_run, tmp_path_factory):
    """The run in ONNX, its backbone in int8."""
    folder = tmp_path_factory.mktemp("small") / "onnx"
    kft.export(shipped_run, folder, format="onnx", quantize="dynamic", quiet=True)
    return folder


def test_what_it_costs_is_written_down(small, shipped):
    about, whole = read_about(small), read_about(shipped)
    cost = about.quantized
    assert about.parity is None and whole.quantized is None and cost is not None
    assert (cost.how, cost.n, cost.of) == ("dynamic", whole.parity.n, whole.parity.of)
    assert cost.before["accuracy"] == pytest.approx(whole.metrics["accuracy"].value)
    assert cost.before["ece"] == pytest.approx(whole.metrics["ece"].value, abs=1e-5)
    drop = cost.accuracy_drop
    assert drop.value == pytest.approx(cost.before["accuracy"] - cost.after["accuracy"])
    assert drop.low <= drop.value <= drop.high
    assert 0 <= cost.labels_changed <= 1 and 0 <= cost.abstentions_changed <= 1
    assert 0 < cost.ships.p50_ms <= cost.ships.p99_ms
    assert cost.ships.bytes == (small / "model.onnx").stat().st_size
    assert cost.whole.bytes > 0
    assert set(about.files) == set(whole.files)


@pytest.mark.slow
def test_float16_of_openvino_holds_half_the_bytes_and_answers_batches(shipped_run, tmp_path):
    about = kft.export(shipped_run, tmp_path / "half", format="openvino", quantize="float16", quiet=True)
    cost = about.quantized
    assert cost.how == "float16" and not about.alone
    assert cost.labels_changed == 0 and abs(cost.accuracy_drop.value) < 1e-6
    assert cost.before != cost.after or cost.ships.bytes < cost.whole.bytes
    model = open_artifact(tmp_path / "half")
    texts = ["the battery is great", "awful", "the phone is awful and broken " * 8, "? !"] * 10
    for one, text in zip(model.predict(texts), texts, strict=True):
        assert one["probabilities"] == pytest.approx(model.predict([text])[0]["probabilities"], abs=1e-4)


def test_an_answer_does_not_hang_on_who_else_asks(small):
    assert read_about(small).alone
    model = open_artifact(small)
    texts = ["the battery is great", "awful", "the phone is awful and broken " * 8, "? !"] * 10
    assert model.predict(texts) == [model.predict([text])[0] for text in texts]


def test_it_is_promoted_like_any_other(small):
    assert objections(prove(small), force=False) == ()


@pytest.mark.slow
def test_a_gate_that_fails_leaves_nothing_and_force_is_recorded(shipped_run, tmp_path):
    import shutil

    from kft.records.manifest import seal
    from kft.records.run_folder import RunFolder

    run = shutil.copytree(shipped_run, tmp_path / "run")
    recipe = run / "recipe.yaml"
    text = recipe.read_text()
    assert "\nexport:" in text
    recipe.write_text(text[: text.index("\nexport:")] + '\nexport:\n  gates: {megabytes: "<= 0.001"}\n')
    seal(RunFolder(run), ["recipe.yaml"])
    with pytest.raises(GateError, match=r"gates of the recipe fail for what would ship: megabytes <= 0\.001") as caught:
        kft.export(run, tmp_path / "new", quantize="dynamic", quiet=True)
    assert caught.value.exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    about = kft.export(run, tmp_path / "new", quantize="dynamic", force=True, quiet=True)
    assert about.forced[0].startswith("gate megabytes <= 0.001 (reached")
    with pytest.raises(GateError, match="exported with --force: gate megabytes"):
        objections(prove(tmp_path / "new"), force=False)


def test_gates_are_held_against_what_was_measured(small):
    cost = read_about(small).quantized
    worse = dataclasses.replace(cost, accuracy_drop=dataclasses.replace(cost.accuracy_drop, value=0.25))
    rules = {"accuracy_drop": "<= 0.005", "p99_ms": "> 0"}
    with pytest.raises(GateError, match=r"accuracy_drop <= 0\.005 \(reached 0\.2500\)"):
        pass_gates(worse, rules, force=False)
    gates = pass_gates(worse, rules, force=True)
    assert gates["accuracy_drop"] == GateResult("<= 0.005", 0.25, False) and gates["p99_ms"].passed


def test_reading_stays_equal():
    one = Stages(["a"], ["a"], [], [{}], [{}])
    with pytest.raises(ParityError, match="does not answer as what was evaluated"):
        hold_reading(one, dataclasses.replace(one, normalised=["b"]), ["a"])


def test_what_cannot_be_quantized_is_refused_by_name(shipped_run, tmp_path):
    with pytest.raises(UsageError, match="the format onnx is not quantized so") as caught:
        kft.export(shipped_run, tmp_path / "new", quantize="float16", quiet=True)
    assert "dynamic" in str(caught.value)
    with pytest.raises(UsageError, match="the format openvino is not quantized so") as caught:
        kft.export(shipped_run, tmp_path / "new", format="openvino", quantize="dynamic", quiet=True)
    assert "float16" in str(caught.value)
    for form in ("litert", "saved-model"):
        with pytest.raises(UsageError, match=f"nothing of {form} has been measured"):
            FORMATS.get(form).quantization("float16")
    require_quantizable(TASKS.get("text-pairs"), FORMATS.get("onnx"), "dynamic")
    with pytest.raises(UsageError, match="token-tagging is not quantized"):
        require_quantizable(TASKS.get("token-tagging"), FORMATS.get("onnx"), "dynamic")
    with pytest.raises(UsageError, match="image-classification is not quantized"):
        require_quantizable(TASKS.get("image-classification"), FORMATS.get("onnx"), "dynamic")
    assert not list(tmp_path.iterdir())


def test_the_command_prints_it(small, kft_cli):
    from kft.cli.exporting import told

    lines = "\n".join(told(read_about(small).quantized))
    for words in ("accuracy", "ECE", "of labels", "of abstentions", "ms a single text", "MB before"):
        assert words in lines
    code, out, err = kft_cli("verify", small)
    assert code == 0 and "quantized  dynamic" in out + err
    code, out, _ = kft_cli("verify", small, "--json")
    assert json.loads(out)["problems"] == []


def test_an_unfinished_run_goes_on_whatever_may_ship():
    from kft.tasks.recipes import load_recipe

    values = {"task": "text-classification", "data": {"train": "a.csv"}}
    one, other = (load_recipe({**values, **more}) for more in ({}, {"export": {"gates": {"p50_ms": "<= 20"}}}))
    assert one.differences(other) == [] and other.spec.export.gates == {"p50_ms": "<= 20"}
