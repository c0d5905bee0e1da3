"""A run that starts from another: its weights are the backbone from then on, in what is stored and what is hashed."""

import json
import shutil

import numpy as np
import pytest

import kft
from kft.answer.load import load_answering, read_run
from kft.errors import ModelError, RecipeError, RunError, UsageError
from kft.records.run_folder import open_run
from kft.tasks.recipes import load_recipe
from kft.train.checkpoint import load_checkpoint
from kft.train.start import START, files_for, load_for
from tests import tiny

ALL = {"name": "all", "unfreeze": "all", "epochs": 1, "lr": 1e-3}
LORA = {"name": "lora", "unfreeze": {"lora": {"rank": 2}}, "epochs": 1, "lr": 1e-2}
PROBE = {"name": "probe", "unfreeze": "none", "solver": "lbfgs"}
pytestmark = pytest.mark.slow  # five runs
QUIET = {"evaluate": {"retain": "none"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("starts")
    tiny.write_backbone(folder / "backbone")
    tiny.write_table(folder / "rows.csv", 60)
    return folder


def values(folder, phase, start=None, backbone="backbone"):
    return {
        "task": "text-classification",
        "data": {"train": str(folder / "rows.csv"), "text": "text", "label": "label"},
        "model": {"backbone": str(folder / backbone), "start_from": start and str(start), "dropout": 0.0},
        "train": {"phases": [phase], "batch_size": 16, "prefer": "best"},
        **QUIET,
    }


@pytest.fixture(scope="module")
def adapted(folder):
    return kft.train(values(folder, ALL), run=folder / "adapted", quiet=True).run


@pytest.fixture(scope="module")
def probe(folder, adapted):
    return kft.train(values(folder, PROBE, adapted), run=folder / "probe", quiet=True).run


def test_a_probe_stands_on_the_weights_of_the_run_and_what_is_stored_is_of_them(folder, adapted, probe):
    own = load_checkpoint(adapted / "checkpoints", "best").weights
    answering = load_answering(read_run(open_run(probe)))
    found = {variable.path: variable.numpy() for variable in answering.best.backbone.model.weights}
    moved = [path for path in own if path in found]
    assert len(moved) > 10
    for path in moved:
        np.testing.assert_array_equal(found[path], own[path])
    # The plain probe after it, in the same cache: were features shared, both would answer alike.
    plain = kft.train(values(folder, PROBE), run=folder / "plain", quiet=True).run
    texts = ["a fine day", "a broken thing"]
    with_start, without = (kft.predict(run, texts) for run in (probe, plain))
    assert [each.probabilities for each in with_start] != [each.probabilities for each in without]
    straight = answering.best.answers(texts)  # through the whole graph, and nothing that was stored
    np.testing.assert_allclose(straight, answering.best.head_answers(texts)[0], atol=1e-6)


def test_its_hash_stands_in_the_receipt_and_another_checkpoint_is_refused(folder, adapted, probe):
    receipt = json.loads((probe / "receipt.json").read_text())
    before = json.loads((adapted / "receipt.json").read_text())
    digest = load_checkpoint(adapted / "checkpoints", "best").digest
    assert receipt["backbone_files"] == {**before["backbone_files"], START: digest}
    assert receipt["weights_hash"] != before["weights_hash"]
    spec = load_recipe(values(folder, PROBE, adapted)).spec
    kept = shutil.copytree(adapted, folder / "kept")
    try:
        shutil.rmtree(adapted)
        again = {**values(folder, {**ALL, "lr": 2e-3})}
        kft.train(again, run=adapted, quiet=True)
        assert files_for(load_for(load_recipe(again).spec).files, spec.model).hashes[START] != digest
        with pytest.raises(ModelError, match="not those the run was trained from") as caught:
            kft.predict(probe, ["a fine day"])
        assert "start_from was changed" in str(caught.value)
    finally:
        shutil.rmtree(adapted)
        shutil.move(kept, adapted)


def test_adapters_are_merged_and_a_chain_is_followed(folder, adapted):
    lora = kft.train(values(folder, LORA, adapted), run=folder / "lora", quiet=True).run
    answering = load_answering(read_run(open_run(lora)))
    texts = ["a fine day", "a broken thing"]
    expected = answering.best.answers_and_vectors(texts)[1]
    plain = load_answering(
        read_run(open_run(kft.train(values(folder, PROBE, lora), run=folder / "on", quiet=True).run))
    )
    np.testing.assert_allclose(plain.best.answers_and_vectors(texts)[1], expected, atol=1e-5)
    digests = [load_checkpoint(run / "checkpoints", "best").digest for run in (lora, adapted)]
    assert plain.receipt.backbone_files[START] not in digests  # it is of both, in order


def test_what_cannot_be_started_from_is_refused_by_name(folder, adapted, probe):
    tiny.write_backbone(folder / "other", seed=1)
    with pytest.raises(RunError, match="are of another backbone") as caught:
        load_for(load_recipe(values(folder, PROBE, adapted, "other")).spec)
    assert "model.start_from" in str(caught.value) and "all blocks, sha256" in str(caught.value)
    with pytest.raises(RunError, match="are of another backbone"):
        load_for(load_recipe(values(folder, PROBE, adapted), ["model.blocks=1"]).spec)
    with pytest.raises(RunError, match="has left its backbone as it was"):
        load_for(load_recipe(values(folder, PROBE, probe)).spec)
    with pytest.raises(RunError):
        load_for(load_recipe(values(folder, PROBE, folder / "nowhere")).spec)
    with pytest.raises(RecipeError, match="random weights are drawn anew"):
        load_recipe(values(folder, PROBE, adapted), ["model.weights=random"])
    with pytest.raises(UsageError, match="chosen as they were pretrained"):
        kft.choose(values(folder, PROBE, adapted), backbones=["minilm-l6"], run=folder / "no", quiet=True)


def test_all_of_a_backbone_that_learned_texts_is_taken_and_its_head_is_not(folder):
    texts = values(folder, ALL)
    texts |= {"task": "masked-lm", "data": {"train": str(folder / "rows.csv"), "texts": "text"}}
    learned = kft.train(texts, run=folder / "texts", quiet=True).run
    own = load_checkpoint(learned / "checkpoints", "best").weights
    run = kft.train(values(folder, PROBE, learned), run=folder / "on_texts", quiet=True).run
    begun = load_answering(read_run(open_run(run)))
    found = {variable.path: variable.numpy() for variable in begun.best.backbone.model.weights}
    assert len(found) > 10 and set(own) - set(found) and all(path.startswith("head") for path in set(own) - set(found))
    for path in set(own) & set(found):
        np.testing.assert_array_equal(found[path], own[path])
