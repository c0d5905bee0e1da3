"""A run as a SavedModel: a folder, which TensorFlow Serving loads."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import kft
from kft.answer.load import load_artifact, read_run
from kft.deploy.load import open_artifact
from kft.deploy.near import Near
from kft.deploy.parity import hold_to
from kft.deploy.reference import make_reference
from kft.deploy.runner.model import open_model
from kft.deploy.strings.proof import answered_by_graph, hold_graph
from kft.errors import ParityError, RunError, UsageError
from kft.records.document import as_document
from kft.records.run_folder import open_run
from tests.deploy.conftest import ODD

FILES = {
    "saved_model/saved_model.pb",
    "saved_model/variables/variables.index",
    "saved_model/assets.extra/tf_serving_warmup_requests",
}


@pytest.fixture(scope="module")
def saved(shipped_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "artifact"
    kft.export(shipped_run, folder, format="saved-model", quiet=True)
    return folder


@pytest.mark.slow
def test_it_answers_as_the_run_does(saved, shipped_run):
    texts = [*ODD, "the battery is great", "the phone is awful and broken", "? ! ? !"]
    opened = open_artifact(saved)
    assert opened.about.parity is not None and opened.about.parity.n == opened.about.parity.of
    assert opened.about.parity.largest < 1e-5
    with pytest.warns(UserWarning, match="1 text is longer than what the model reads"):
        wanted = kft.predict(shipped_run, texts)
    for one, other in zip(opened.predict(texts), wanted, strict=True):
        assert (one["label"], one["abstain"], one.get("why", "")) == (other.label, other.abstain, other.why)
        assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-5)


@pytest.mark.slow
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


def loaded(saved):
    import tensorflow as tf

    return tf.saved_model.load(str(saved / "saved_model"))


@pytest.mark.slow
def test_arrays_are_answered_with_figures(saved):
    import tensorflow as tf

    about, signature = open_artifact(saved).about, (model := loaded(saved)).signatures["arrays"]
    _, takes = signature.structured_input_signature
    assert set(takes) == set(about.inputs) and set(signature.structured_outputs) == set(about.outputs)
    assert all(spec.shape.as_list() == [None, None] and spec.dtype == tf.int32 for spec in takes.values())
    weights = tf.train.load_checkpoint(str(saved / "saved_model" / "variables" / "variables"))
    shapes = weights.get_variable_to_shape_map().values()
    largest = max(shapes, key=np.prod)
    assert sum(shape == largest for shape in shapes) == 1, "a weight is there twice"
    found = model.signatures["arrays"](**{name: tf.ones((3, 5), tf.int32) for name in takes})
    assert found["probabilities"].shape == (3, 2) and found["abstain"].dtype == tf.bool
    np.testing.assert_allclose(found["probabilities"].numpy().sum(axis=-1), 1, atol=1e-6)


@pytest.mark.slow
def test_texts_are_answered_with_names(saved):
    import tensorflow as tf

    opened, model = open_artifact(saved), loaded(saved)
    assert opened.about.takes == ("text",)
    texts = [*ODD, "the battery is great", "the phone is awful and broken", "? ! ? !", "[CLS] great &#103;reat"]
    ask = model.signatures["serving_default"]
    found = {name: values.numpy() for name, values in ask(text=tf.constant(texts)).items()}
    assert set(found) == {"label", "confidence", "abstain", "why", "probabilities", "classes"}
    answers = opened.predict(texts)
    assert len({answer.get("why") for answer in answers}) > 1, "one is withheld, and one is not"
    for place, answer in enumerate(answers):
        assert found["label"][place].decode() == answer["label"]
        assert found["abstain"][place] == answer["abstain"]
        assert found["why"][place].decode() == answer.get("why", "")
        assert found["confidence"][place] == pytest.approx(answer["confidence"], abs=1e-5)
        named = zip(found["classes"][place], found["probabilities"][place], strict=True)
        assert {name.decode(): value for name, value in named} == pytest.approx(answer["probabilities"], abs=1e-5)
    for wrong in ("  ", b"caf\xe9"):
        with pytest.raises(tf.errors.InvalidArgumentError):
            ask(text=tf.constant(["the battery", wrong]))


@pytest.mark.slow
def test_no_operation_is_foreign_to_tensorflow(saved):
    """A server that knows TensorFlow's own operations alone loads it."""
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.framework import op_def_registry

    document = saved_model_pb2.SavedModel()
    document.ParseFromString((saved / "saved_model" / "saved_model.pb").read_bytes())
    graph = document.meta_graphs[0].graph_def
    used = {node.op for where in (graph.node, *(each.node_def for each in graph.library.function)) for node in where}
    own = {function.signature.name for function in graph.library.function}
    known = {name for name in used - own if op_def_registry.get(name) is not None}
    assert used - own == known and not {name for name in known if "Sentencepiece" in name or "Wordpiece" in name}


@pytest.mark.slow
def test_what_warms_a_server_up_is_answered(saved):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    model, path = loaded(saved), saved / "saved_model" / "assets.extra" / "tf_serving_warmup_requests"
    golden = [json.loads(line) for line in (saved / "golden.jsonl").read_text().splitlines()]
    counts = []
    for record in tf.data.TFRecordDataset(str(path)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        signature = model.signatures[request.model_spec.signature_name]
        given = {name: tf.constant(tf.make_ndarray(values)) for name, values in request.inputs.items()}
        labels = [name.decode() for name in signature(**given)["label"].numpy()]
        assert labels == [line["answer"]["label"] for line in golden[: len(labels)]]
        counts.append(len(labels))
    assert counts == [1, len(golden)]


@pytest.mark.slow
def test_a_graph_that_reads_otherwise_is_not_shipped(saved, tmp_path, shipped_run):
    """What the proof compares: one thing is changed in what the graph said, and its step is named."""
    about, inputs = open_artifact(saved).about, [*ODD, "the battery is great", "the phone is awful and broken"]
    artifact = load_artifact(read_run(open_run(shipped_run)))
    expected = make_reference(artifact, inputs, ["positive"] * len(inputs)).stages
    near = Near("class", artifact.decisions, 1e-4)
    found = open_model(saved, as_document(about)).stages(inputs)
    read = answered_by_graph(saved, about, inputs, found)
    assert hold_to(expected, read, inputs, near).largest < 1e-5
    ids = [{**row, "token_ids": row["token_ids"] + 1} for row in read.rows]
    said = [{**answer, "label": "another"} for answer in read.answers]
    for changed, stage in (
        (replace(read, rows=ids), "tokens"),
        (replace(read, outputs=[{**row, "foreign": ~row["foreign"]} for row in read.outputs]), "rule"),
        (replace(read, answers=said), "name"),
    ):
        with pytest.raises(ParityError) as caught:
            hold_to(expected, changed, inputs, near)
        assert (caught.value.where or "").startswith(f"{stage}, the first step")
    with pytest.raises(ParityError, match="does not answer as what was evaluated") as caught:
        hold_graph(saved, replace(about, labels=about.labels[::-1]), expected, found, near, inputs)
    assert (caught.value.where or "").startswith("raw texts, read by the graph itself: calibration")


def test_there_is_no_format_keras(shipped_run, tmp_path, kft_cli):
    with pytest.raises(UsageError, match=r"there is no format keras: a \.keras file holds no code"):
        kft.export(shipped_run, tmp_path / "new", format="keras")
    code, _, err = kft_cli("export", shipped_run, tmp_path / "new", "--format", "keras")
    assert code == 2 and "--format saved-model" in err and not list(tmp_path.iterdir())
