"""Smaller numbers: what they cost is measured beside the evaluated answers, and never hangs on a batch."""

import dataclasses
import json

import pytest

import kft
from kft.deploy.cost import gates_of, pass_gates
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


@pytest.mark.slow
def test_what_it_costs_is_written_down(small, shipped):
    about, whole = read_about(small), read_about(shipped)
    cost = about.quantized
    assert about.parity is None and whole.quantized is None and cost is not None
    assert (cost.how, cost.n, cost.of) == ("dynamic", whole.parity.n, whole.parity.of)
    assert cost.before["accuracy"] == pytest.approx(whole.metrics["accuracy"].value)
    assert cost.before["ece"] == pytest.approx(whole.metrics["ece"].value, abs=1e-5)
    drop = cost.drop
    assert cost.metric == "accuracy" and drop.value == pytest.approx(cost.before["accuracy"] - cost.after["accuracy"])
    assert drop.low <= drop.value <= drop.high
    assert 0 <= cost.labels_changed <= 1 and 0 <= cost.abstentions_changed <= 1
    assert 0 < cost.ships.p50_ms <= cost.ships.p99_ms
    assert cost.ships.bytes == (small / "model.onnx").stat().st_size
    assert cost.whole.bytes > 0
    assert set(about.files) == set(whole.files)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "how"), [("openvino", "float16"), ("openvino", "int8"), ("onnx", "float16"), ("litert", "float16")]
)
def test_smaller_weights_answer_batches(shipped_run, tmp_path, form, how):
    about = kft.export(shipped_run, tmp_path / "small", format=form, quantize=how, quiet=True)
    cost = about.quantized
    assert cost.how == how and not about.alone
    assert cost.labels_changed <= 0.05 and abs(cost.drop.value) < 0.05
    assert cost.ships.bytes < cost.whole.bytes
    model = open_artifact(tmp_path / "small")
    texts = ["the battery is great", "awful", "the phone is awful and broken " * 8, "? !"] * 10
    for one, text in zip(model.predict(texts), texts, strict=True):
        assert one["probabilities"] == pytest.approx(model.predict([text])[0]["probabilities"], abs=1e-4)


@pytest.mark.slow
def test_an_answer_does_not_hang_on_who_else_asks(small):
    assert read_about(small).alone
    model = open_artifact(small)
    texts = ["the battery is great", "awful", "the phone is awful and broken " * 8, "? !"] * 10
    assert model.predict(texts) == [model.predict([text])[0] for text in texts]


@pytest.mark.slow
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
    worse = dataclasses.replace(cost, drop=dataclasses.replace(cost.drop, value=0.25))
    rules = {"accuracy_drop": "<= 0.005", "p99_ms": "> 0"}
    with pytest.raises(GateError, match=r"drop <= 0\.005 \(reached 0\.2500\)"):
        pass_gates(worse, {"drop": "<= 0.005"}, force=False)
    recalls = {"recall_at_1_drop", "recall_at_10_drop"}
    assert set(cost.gate_values()) - recalls == set(gates_of(TASKS.get("text-classification").kind))
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
        kft.export(shipped_run, tmp_path / "new", quantize="int8", quiet=True)
    assert "dynamic, float16" in str(caught.value)
    with pytest.raises(UsageError, match="the format openvino is not quantized so") as caught:
        kft.export(shipped_run, tmp_path / "new", format="openvino", quantize="dynamic", quiet=True)
    assert "float16, int8" in str(caught.value)
    with pytest.raises(UsageError, match="nothing of saved-model has been measured"):
        FORMATS.get("saved-model").quantization("float16")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("form", "how"), [("onnx", "dynamic"), ("openvino", "int8")])
def test_photos_are_not_rounded_to_int8(form, how):
    for task in ("image-classification", "image-multi-label"):
        with pytest.raises(UsageError, match=r"a model of images is not quantized so: .*convolutions") as caught:
            require_quantizable(TASKS.get(task), FORMATS.get(form), how)
        assert caught.value.where == "--quantize"
        require_quantizable(TASKS.get(task), FORMATS.get(form), "float16")


def test_gates_that_nothing_could_pass_are_refused_first():
    onnx = FORMATS.get("onnx")
    for task in TASKS:
        kind = task.kind
        require_quantizable(task, onnx, "float16", gates_of(kind))
        recalls = {"recall_at_1_drop", "recall_at_10_drop"}
        others = {"accuracy_drop", "labels_changed", *recalls} - set(gates_of(kind))
        expected = {"class": recalls, "number": {"accuracy_drop", "labels_changed", *recalls}}
        expected["documents"] = {"accuracy_drop"}
        assert others == expected.get(kind.labels.form, {"accuracy_drop", *recalls})
        for gate in others:
            with pytest.raises(UsageError, match=f"an answer of {task.name} has nothing") as caught:
                require_quantizable(task, onnx, "float16", [gate])
            assert f"drop: what {kind.judging.main.name} may lose" in str(caught.value)


def test_half_the_bytes_are_kept_where_they_can_hold_the_number(tmp_path):
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    wide, far = np.linspace(-2, 2, 512, dtype=np.float32), np.full(512, 1e6, np.float32)
    few = np.array([0.123456], np.float32)
    tensors = [numpy_helper.from_array(each, name) for name, each in {"wide": wide, "far": far, "few": few}.items()]
    nodes = [
        helper.make_node("Mul", ["x", "wide"], ["a"]),
        helper.make_node("Add", ["a", "far"], ["b"]),
        helper.make_node("Mul", ["b", "few"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [512]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "whole.onnx")
    FORMATS.get("onnx").quantization("float16").write(None, tmp_path / "whole.onnx", tmp_path / "half.onnx")
    kept = {each.name: each.data_type for each in onnx.load(tmp_path / "half.onnx").graph.initializer}
    assert kept == {"wide/float16": TensorProto.FLOAT16, "far": TensorProto.FLOAT, "few": TensorProto.FLOAT}
    session = onnxruntime.InferenceSession(tmp_path / "half.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.ones(512, np.float32)})
    np.testing.assert_array_equal(found, (wide.astype(np.float16).astype(np.float32) + far) * few)


def test_the_command_prints_it(small, kft_cli):
    from kft.cli.exporting import told

    lines = "\n".join(told(read_about(small).quantized))
    for words in ("accuracy", "ECE", "of labels", "of abstentions", "ms a single example", "MB before"):
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
