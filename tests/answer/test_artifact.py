"""The artifact: nothing of it changes, other weights are another one, and what lies on disk is read once."""

import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import kft
from kft.answer.load import load_answering, load_artifact, read_run, with_weights
from kft.records.run_folder import open_run
from kft.train.checkpoint import load_checkpoint
from tests import tiny

TEXTS = ["the battery is superb", "a terrible screen", "my phone was really lovely and great"]
LORA = {"name": "lora", "unfreeze": {"lora": {"rank": 4}}, "epochs": 1, "lr": 1e-2, "start": "probe"}


@pytest.fixture(scope="module")
def runs(tiny_folder, tmp_path_factory):
    """Trains a run of phases on the tiny backbone, whose last one is kept."""
    folder = tmp_path_factory.mktemp("artifact")

    def run(name, *phases):
        path = tiny.recipe(folder, tiny_folder, rows=120, phases=list(phases), best="valid_loss")
        return kft.train(path, run=folder / name, quiet=True)

    return run


@pytest.fixture(scope="module")
def tuned(runs):
    result = runs("tuned", tiny.PROBE, {"name": "top", "unfreeze": "top-1", "epochs": 4, "lr": 1e-3, "start": "probe"})
    assert result.best_phase == "top"
    return result.run


def test_nothing_of_it_can_be_set(tuned):
    artifact = load_artifact(read_run(open_run(tuned)))
    with pytest.raises(FrozenInstanceError):
        artifact.graph = None


def test_an_answer_is_the_graphs_own_in_a_batch_of_any_size(tuned):
    """Batches differ in rows and length; each answer is what the graph as Keras calls it says of the text alone."""
    artifact = load_artifact(read_run(open_run(tuned)))
    texts = tiny.texts_and_labels(40, seed=5)[0]
    expected = []
    for text in texts:
        source = artifact.reader.read([text]).source.select(tuple(tensor.name for tensor in artifact.graph.inputs))
        logits = np.asarray(artifact.graph(dict(zip(source.columns, source.batch(np.array([0])), strict=True))))
        expected.append(np.exp(logits[0]) / np.exp(logits[0]).sum())
    for rows in (1, 7, 16, 40):
        np.testing.assert_allclose(artifact.answers(texts[:rows]), expected[:rows], atol=1e-5)
    (traced,) = artifact._traced.values()
    assert traced.function.experimental_get_tracing_count() == 1


def test_other_weights_are_another_artifact_and_change_no_answer_of_the_first(tuned):
    folder = open_run(tuned)
    answering = load_answering(read_run(folder))
    best, probe = answering.best, answering.probe
    assert best.graph is probe.graph and not answering.kept_the_probe
    first = best.answers(TEXTS), probe.answers(TEXTS), probe.head_answers(TEXTS)[0]
    np.testing.assert_allclose(first[1], first[2], rtol=1e-5)
    held = {variable.path: variable.numpy() for variable in best.graph.weights}
    zeros = {path: np.zeros_like(array) for path, array in best.weights.items()}
    other = with_weights(best, zeros)
    assert not np.array_equal(other.answers(TEXTS), first[0])
    again = best.answers(TEXTS), probe.answers(TEXTS), probe.head_answers(TEXTS)[0]
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    for variable in best.graph.weights:
        np.testing.assert_array_equal(variable.numpy(), held[variable.path])


def test_weights_beside_the_graph_answer_as_weights_in_it(tuned):
    beside, inside = load_answering(read_run(open_run(tuned))).best, load_artifact(read_run(open_run(tuned)))
    assert beside.weights and not inside.weights
    np.testing.assert_array_equal(beside.answers(TEXTS), inside.answers(TEXTS))
    # A cut graph, whose features are hashed and computed with them, too.
    np.testing.assert_array_equal(beside.head_answers(TEXTS)[0], inside.head_answers(TEXTS)[0])


@pytest.mark.slow
def test_adapters_may_lie_beside_the_graph(runs):
    folder = open_run(runs("lora", tiny.PROBE, LORA).run)
    answering, inside = load_answering(read_run(folder)), load_artifact(read_run(folder))
    np.testing.assert_array_equal(answering.best.answers(TEXTS), inside.answers(TEXTS))


def test_a_probe_that_was_kept_is_one_graph_with_one_set_of_weights(runs):
    answering = load_answering(read_run(open_run(runs("probe", tiny.PROBE).run)))
    assert answering.kept_the_probe and answering.best.graph is answering.probe.graph


def test_weights_of_another_model_are_refused(tuned):
    with pytest.raises(kft.KftError, match="weights that the model does not have") as caught:
        with_weights(load_artifact(read_run(open_run(tuned))), {"transformer_layer_9/kernel": np.zeros(3)})
    assert "transformer_layer_9/kernel" in str(caught.value)


def test_a_weight_of_another_shape_is_refused(tuned):
    """A bias of one number would be spread over all classes, and answer."""
    artifact = load_artifact(read_run(open_run(tuned)))
    with pytest.raises(kft.KftError, match="has another shape than the model's") as caught:
        with_weights(artifact, {"head_logits/bias": np.zeros(1, np.float32)})
    assert caught.value.where == "head_logits/bias"
    assert (caught.value.received, caught.value.expected) == ("(1,)", "(2,)")


COUNTED: list[str] = []
COUNTS = [False]


def _count(event, given):
    if COUNTS[0] and event == "open" and isinstance(given[0], str) and "r" in str(given[1]):
        COUNTED.append(given[0])


sys.addaudithook(_count)  # it stays as long as the process, so it mostly looks at a switch


@contextmanager
def reads_of(folder):
    """Counts how often each file of a folder is opened for reading."""
    found: Counter = Counter()
    COUNTED.clear()
    COUNTS[0] = True
    try:
        yield found
    finally:
        COUNTS[0] = False
    found.update(path.removeprefix(f"{folder}/") for path in COUNTED if path.startswith(str(folder)))


@pytest.mark.parametrize("fitted", [False, True])
def test_what_lies_in_the_checkpoints_is_read_once(tuned, fitted):
    if not fitted:  # what was measured for these weights is measured again
        (tuned / "calibration.json").unlink()
        (tuned / "forgetting.json").unlink(missing_ok=True)
    with reads_of(tuned / "checkpoints") as reads:
        kft.evaluate(tuned, quiet=True)
    assert {"best.json", "probe.json"} <= set(reads) and len(reads) == 4  # and the arrays of each
    assert arrays_once(reads)
    best = load_checkpoint(tuned / "checkpoints", "best")
    assert best.digest and best.digest == load_artifact(read_run(open_run(tuned))).checkpoint


def test_a_prediction_reads_the_best_checkpoint_alone_and_once(tuned):
    with reads_of(tuned / "checkpoints") as reads:
        kft.predict(tuned, TEXTS)
    assert len(reads) == 2 and arrays_once(reads) and "best.json" in reads


def arrays_once(reads):
    """Whether what is large was read once; the short files that name it are read besides to be vouched for."""
    return all(count == 1 for name, count in reads.items() if not name.endswith(".json")) and max(reads.values()) <= 3
