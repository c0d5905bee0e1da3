"""Soft labels, from a table of annotators to the report."""

import json

import keras
import numpy as np
import pandas as pd
import pytest

import kft
from kft.api import reading
from kft.api.checking import check
from kft.compare.setting import Setting
from kft.curate.correcting import apply_corrections
from kft.curate.corrections import Correction
from kft.curate.draft import DraftedBackbone, draft_recipe
from kft.curate.look import look_at
from kft.data.examples import NamedColumns
from kft.errors import DataError, RecipeError, RunError
from kft.tasks.registry import TASKS
from kft.train.checkpoint import load_checkpoint
from kft.train.progress import Progress
from tests import tiny

ROWS = 160
RATERS = ["rater_1", "rater_2", "rater_3"]
BLEND = {"name": "blend", "unfreeze": "none", "solver": "blend", "start": "probe"}
TOP = {"name": "top", "unfreeze": "top-1", "epochs": 2, "lr": 1e-3, "start": "probe"}


def votes(seed=0):
    """Returns a table of three annotators, of whom each is wrong in a fifth of the rows and silent in a tenth."""
    texts, labels = tiny.texts_and_labels(ROWS)
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"text": texts})
    for rater in RATERS:
        said = np.array(labels, dtype=object)
        wrong = rng.random(ROWS) < 0.2
        said[wrong] = rng.choice(["positive", "negative", "unsure"], wrong.sum())
        said[rng.random(ROWS) < 0.1] = ""
        frame[rater] = said
    frame.loc[(frame[RATERS] == "").all(axis=1), "rater_1"] = "unsure"
    return frame


def as_counts(frame):
    names = ["negative", "positive", "unsure"]
    return pd.DataFrame({"text": frame["text"], **{name: (frame[RATERS] == name).sum(axis=1) for name in names}})


@pytest.fixture(scope="module")
def place(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("soft")
    frame = votes()
    frame.to_csv(folder / "votes.csv", index=False)
    as_counts(frame).to_parquet(folder / "counts.parquet")
    recipe = folder / "recipe.yaml"
    values = {
        "task": "text-classification",
        "data": {"train": "votes.csv", "label": RATERS, "valid": "20%", "test": "25%"},
        "model": {"backbone": str(tiny_folder)},
        "train": {"batch_size": 16, "phases": [tiny.PROBE, BLEND, TOP]},
        "evaluate": {"gates": {"soft_log_loss": "<= 2"}},
    }
    recipe.write_text(json.dumps(values))
    return folder, recipe, kft.train(recipe, run=folder / "run", quiet=True)


@pytest.mark.slow
def test_a_run_says_what_it_reached_against_the_shares(place):
    folder, _, result = place
    found = result.evaluation
    names = ["soft_accuracy", "soft_log_loss", "soft_brier", "soft_ece"]
    assert list(found.metrics)[-4:] == names and set(found.baselines) == {"majority", "probe", "linear"}
    for values in (found.metrics, *found.baselines.values()):
        assert found.least_soft_log_loss < values["soft_log_loss"].value
    assert found.metrics["soft_log_loss"].value < found.baselines["majority"]["soft_log_loss"].value
    assert found.gates["soft_log_loss"].passed
    receipt = json.loads((folder / "run" / "receipt.json").read_text())
    assert receipt["label_columns_hold"] == "votes" and sum(receipt["shares"]) == pytest.approx(1)
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert metrics["least_soft_log_loss"] == pytest.approx(found.least_soft_log_loss)


@pytest.mark.slow
def test_it_answers_as_people_do_and_less_surely_than_one_that_learned_the_plurality(place):
    """A fifth of each annotator's votes are wrong: shares say so, where the plurality says all but nothing of it."""
    folder, recipe, result = place
    split = reading.load(recipe, (), None)[1]
    frame = pd.DataFrame({"text": split.train.inputs, "label": split.train.labels})
    frame["id"], more = split.train.ids, {}
    for name in ("valid", "test"):
        part = split.part(name)
        more[name] = pd.DataFrame({"text": part.inputs, "label": part.labels, "id": part.ids})
    overrides = ["data.label=label", "data.id=id", "evaluate.gates={}"]
    hard = kft.train(recipe, data={"train": frame, **more}, run=folder / "hard", overrides=overrides, quiet=True)
    assert "soft_log_loss" not in hard.evaluation.metrics and hard.evaluation.metrics["accuracy"].value > 0.7
    answers = [kft.load(run).predict(split.test.inputs) for run in (result.run, hard.run)]
    shares = split.test.shares.of(split.labels)
    losses = []
    for said in answers:
        probabilities = np.array([[each.probabilities[name] for name in split.labels] for each in said])
        losses.append(-(shares * np.log(probabilities)).sum(axis=1).mean())
    assert losses[0] < losses[1]


def test_votes_and_counts_of_them_are_the_same_data(place):
    _, recipe, _ = place
    columns = json.dumps(["negative", "positive", "unsure"])
    overrides = ["data.train=counts.parquet", f"data.label={columns}", "data.label_columns_hold=shares"]
    votes_split, counts_split = (reading.load(recipe, given, None)[1] for given in ((), overrides))
    for name in ("train", "valid", "test"):
        mine, other = votes_split.part(name), counts_split.part(name)
        assert mine.inputs == other.inputs and mine.labels.tolist() == other.labels.tolist()
        np.testing.assert_allclose(mine.shares.of(votes_split.labels), other.shares.of(votes_split.labels))
        assert mine.shares.votes.tolist() == other.shares.votes.tolist()


def test_another_file_is_read_as_the_run_read_its_own(place):
    """Two annotators who always agree with yes and no would be columns of yes and no, had the run not read votes."""
    folder, _, result = place
    votes(seed=1).to_csv(folder / "more.csv", index=False)
    found = kft.evaluate(result.run, data=folder / "more.csv", quiet=True)
    assert found.n == ROWS and "soft_log_loss" in found.metrics
    strange = votes(seed=1)
    strange.loc[0, "rater_2"] = "odd"
    strange.to_csv(folder / "strange.csv", index=False)
    with pytest.raises(DataError, match="labels the model does not know") as caught:
        kft.evaluate(result.run, data=folder / "strange.csv", quiet=True)
    assert "'odd'" in str(caught.value)


class Fails(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise OSError("the power went")


@pytest.mark.slow
def test_a_run_that_was_cut_short_goes_on_to_the_same_weights(place):
    folder, recipe, _ = place
    with pytest.raises(OSError, match="the power went"):
        kft.train(recipe, run=folder / "cut", callbacks=[Fails()], quiet=True)
    kft.train(recipe, run=folder / "cut", resume=True, quiet=True)
    mine, other = (load_checkpoint(folder / run / "checkpoints", "last") for run in ("run", "cut"))
    assert mine.weights.keys() == other.weights.keys()
    for name in mine.weights:
        np.testing.assert_array_equal(mine.weights[name], other.weights[name], err_msg=name)
    assert (folder / "run" / "predictions.csv").read_bytes() == (folder / "cut" / "predictions.csv").read_bytes()


def test_other_votes_are_other_data(place):
    folder, recipe, result = place
    before = (folder / "votes.csv").read_bytes()
    frame = votes()
    unanimous = frame.index[(frame[RATERS] == "positive").all(axis=1)][0]
    frame.loc[unanimous, "rater_3"] = "unsure"  # the class with the largest share stays
    frame.to_csv(folder / "votes.csv", index=False)
    try:
        with pytest.raises(RunError, match="the data have changed"):
            kft.evaluate(result.run, quiet=True)
        with pytest.raises(RunError, match="the data have changed"):
            kft.train(recipe, run=result.run, resume=True, quiet=True)
    finally:
        (folder / "votes.csv").write_bytes(before)


def test_the_audit_measures_agreement(place):
    folder, recipe, _ = place
    found = check(recipe, output=folder / "audit", quiet=True)
    (agreement,) = [each for each in found.findings if each.check == "agreement"]
    alpha, low, high = agreement.details["krippendorff_alpha"]
    assert 0.4 < low < alpha < high < 0.8 and agreement.severity == "warning"
    assert "agree by Krippendorff's alpha" in agreement.message and len(agreement.rows) > 3
    assert len(agreement.details["labels"]) == len(agreement.rows)
    noise = [each for each in found.findings if each.check == "label-noise"]
    assert all("kft data apply can only drop rows" in each.advice for each in noise)
    assert "Krippendorff" in (folder / "audit" / "audit.html").read_text()


def test_the_report_shows_both(place):
    _, _, result = place
    found = kft.report(result.run, quiet=True)
    for name in ("report", "card"):
        assert "soft log loss" in found.files[name].read_text()


def test_init_drafts_them(place):
    folder, _, _ = place
    look = look_at("votes.csv", base=folder, locate=lambda source, base: base / source)
    assert look.labels == tuple(RATERS) and look.columns.holds == "votes"
    text = draft_recipe(look, folder / "drafted.yaml", DraftedBackbone("minilm-l6", 6))
    assert "label_columns_hold: votes" in text
    (folder / "drafted.yaml").write_text(text)
    assert reading.load(folder / "drafted.yaml", (), None)[1].train.shares is not None
    with pytest.raises(DataError):
        look_at(
            "votes.csv", base=folder, locate=lambda source, base: base / source, named=NamedColumns(label="rater_9")
        )


def test_init_says_where_annotators_give_numbers(place):
    folder, _, _ = place
    frame = votes()[["text"]].assign(rater_1=[1, 5] * 80, rater_2=[2, 5] * 80)
    frame.to_csv(folder / "ratings.csv", index=False)
    look = look_at("ratings.csv", base=folder, locate=lambda source, base: base / source)
    assert look.columns.label == "rater_1" and look.labels == ()
    assert any("data.label: [rater_1, rater_2] with data.label_columns_hold: votes" in said for said in look.warnings)


def test_what_does_not_know_soft_labels_says_so(place, tmp_path):
    folder, recipe, _ = place
    loaded, split = reading.load(recipe, (), None)
    with pytest.raises(DataError, match="soft labels are not written"):
        kft.build_data(recipe, tmp_path / "prepared", quiet=True)
    with pytest.raises(RecipeError, match="soft labels are not compared by the loss"):
        kft.compare(recipe, run=tmp_path / "compare", overrides=["train.best=valid_loss"], quiet=True)
    with pytest.raises(RecipeError, match="soft labels are not compared by the loss"):
        kft.choose(recipe, backbones=["minilm-l6"], overrides=["train.best=valid_loss"], quiet=True)
    task = TASKS.get("text-classification")
    relabel = [Correction("votes.csv:1", "relabel", "positive")]
    with pytest.raises(DataError, match="a soft label is not one name"):
        apply_corrections(loaded.spec.data, relabel, tmp_path / "new.csv", task=task, base=folder)
    apply_corrections(
        loaded.spec.data, [Correction("votes.csv:1", "drop")], tmp_path / "new.csv", task=task, base=folder
    )
    assert list(pd.read_csv(tmp_path / "new.csv").columns) == ["text", *RATERS]
    setting = Setting(loaded.spec, split.without_test(), Progress(quiet=True))
    targets, counts = setting.learned
    assert targets.shape == (len(setting.known), 3) and (counts == 1).all()


@pytest.mark.slow
def test_approaches_are_compared(place, tmp_path):
    _, recipe, _ = place
    result = kft.compare(
        recipe, run=tmp_path / "compare", approaches=["majority", "linear", "probe", "blend", "top"], quiet=True
    )
    assert [each.name for each in result.approaches] == ["majority", "linear", "probe", "blend", "top"]


def test_backbones_are_chosen(place, tmp_path):
    _, recipe, _ = place
    folder = json.loads(recipe.read_text())["model"]["backbone"]
    result = kft.choose(recipe, backbones=[folder], run=tmp_path / "choose", quiet=True)
    assert len(result.backbones) == 1
