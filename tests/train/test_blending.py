"""A blend as a phase: it learns from all labels but those set aside, answers as it was judged, is kept by the rule."""

import csv
import json

import numpy as np
import pytest

import kft
from kft.answer.load import load_answering, read_run
from kft.recipe.training import TrainSpec
from kft.records.run_folder import open_run
from kft.train.checkpoint import OUT_OF_FOLD, load_checkpoint
from kft.train.weights import class_weights, weigh
from tests import tiny
from tests.ended import events_of

BLEND = {"name": "blend", "unfreeze": "none", "solver": "blend", "start": "probe"}
TOP = {"name": "top", "unfreeze": "top-1", "epochs": 2, "lr": 1e-3, "start": "probe"}
LAST = {"name": "top-blend", "unfreeze": "none", "solver": "blend", "start": "top"}
ALL = [tiny.PROBE, BLEND, TOP, LAST]


def noisy(path, flip=0.2):
    """Turns some labels around, so that nothing is perfect."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    for at in np.flatnonzero(np.random.default_rng(0).random(len(rows) - 1) < flip) + 1:
        rows[at][1] = {"positive": "negative", "negative": "positive"}[rows[at][1]]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def place(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blend")
    recipe = tiny.recipe(folder, tiny_folder, rows=160, phases=ALL, best=None)
    noisy(folder / "reviews.csv")
    return recipe, folder, kft.train(recipe, run=folder / "run", quiet=True)


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    """What is answered twice is read from the same stored features: no other test makes room in them meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def predictions(run):
    return (run / "predictions.csv").read_bytes()


def parted(written):
    """Returns the rows without their numbers, and the numbers: predictions of regression, confidence of classes."""
    rows = list(csv.DictReader(written.decode().splitlines()))
    numbers = [float(row.pop("confidence") or row.pop("prediction")) for row in rows]
    return rows, numbers


def test_its_weights_and_losses_stand_in_the_history(place):
    _, _, result = place
    first, last = (event for event in events_of(result.run) if event["event"] == "blend")
    assert set(first["weights"]) == {"linear", "neighbours", "tokens", "names"}
    assert set(last["weights"]) == {"head", "linear", "neighbours", "tokens", "names"}
    assert first["losses"]["blend"] <= min(loss for name, loss in first["losses"].items() if name != "blend") + 1e-6
    assert [phase.name for phase in result.phases] == ["probe", "blend", "top", "top-blend"]


def test_what_lies_on_disk_answers_as_it_was_judged(place):
    _, _, result = place
    assert result.best_phase == "blend"
    before = predictions(result.run)
    kft.evaluate(result.run, quiet=True)
    assert predictions(result.run) == before
    answering = load_answering(read_run(open_run(result.run)))
    assert answering.on_pretrained and not answering.kept_the_probe
    assert {"head_blend_linear/kernel"} <= {variable.path for variable in answering.best.graph.weights}
    texts = ["the battery is superb", "a terrible screen"]
    raw = answering.best.answers(texts)
    np.testing.assert_allclose(answering.best.head_answers(texts)[0], raw, atol=1e-6)
    loaded = kft.load(result.run)
    said = loaded.predict(texts)
    assert [answer.label for answer in said] == ["positive", "negative"]


def test_the_probe_is_still_the_probe_beside_it(place):
    recipe, folder, result = place
    alone = kft.train(recipe, run=folder / "alone", overrides=[f"train.phases={json.dumps([tiny.PROBE])}"], quiet=True)
    assert result.evaluation.baselines["probe"] == pytest.approx(alone.evaluation.metrics, abs=1e-6) or (
        result.evaluation.baselines["probe"]["accuracy"].value == alone.evaluation.metrics["accuracy"].value
    )


def test_the_temperature_is_fitted_on_answers_out_of_fold(place):
    _, _, result = place
    calibration = json.loads((result.run / "calibration.json").read_text())
    receipt = json.loads((result.run / "receipt.json").read_text())
    assert calibration["n"] == receipt["n"]["train"] + receipt["n"]["valid"]
    kept = load_checkpoint(result.run / "checkpoints", "best").more[OUT_OF_FOLD]
    assert len(kept["valid"]) == receipt["n"]["valid"]
    assert len(kept["train"]) == receipt["n"]["train"]


@pytest.mark.slow
def test_a_dearer_phase_is_kept_only_beyond_chance_and_that_is_said(place, capfd):
    recipe, folder, result = place
    kft.train(recipe, run=folder / "said")
    said = " ".join(capfd.readouterr().err.split())
    assert "views linear" in said and "weights by what each says of rows it has not seen" in said
    reached = {phase.name: phase.metrics["valid_accuracy"] for phase in result.phases}
    if max(reached["top"], reached["top-blend"]) > reached["blend"]:
        assert "kept blend: what top" in said and "may be chance (train.prefer: best" in said
    best = kft.train(recipe, run=folder / "best", overrides=["train.prefer=best"], quiet=True)
    assert best.best_phase == max(reached, key=lambda name: reached[name]) or len(set(reached.values())) < 4


@pytest.mark.slow
def test_a_person_who_names_the_metric_gets_the_highest(place):
    recipe, folder, _ = place
    run = kft.train(recipe, run=folder / "named", overrides=["train.best=valid_loss"], quiet=True)
    losses = {phase.name: phase.metrics["valid_loss"] for phase in run.phases}
    assert run.best_phase == min(losses, key=lambda name: losses[name])


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_blend(place, monkeypatch):
    from kft.train import loop

    recipe, folder, result = place
    real, calls = loop.solve_blend, []

    def dies(*given):
        calls.append(1)
        if len(calls) == 2:
            raise OSError("the power went")
        return real(*given)

    monkeypatch.setattr(loop, "solve_blend", dies)
    with pytest.raises(OSError, match="the power went"):
        kft.train(recipe, run=folder / "killed", quiet=True)
    monkeypatch.undo()
    kft.train(recipe, run=folder / "killed", resume=True, quiet=True)
    assert predictions(folder / "killed") == predictions(result.run)
    best, again = (load_checkpoint(run / "checkpoints", "best") for run in (result.run, folder / "killed"))
    assert all(np.array_equal(array, again.weights[path]) for path, array in best.weights.items())
    assert [e for e in events_of(folder / "killed") if e["event"] == "blend"] == [
        e for e in events_of(result.run) if e["event"] == "blend"
    ]


def test_what_is_set_aside_for_a_promise_teaches_the_blend_nothing(tiny_folder, tmp_path):
    asked = 'evaluate={"abstain_at": {"error": 0.3}}'
    recipe = tiny.recipe(tmp_path, tiny_folder, rows=160, phases=[tiny.PROBE, BLEND], best=None)
    noisy(tmp_path / "reviews.csv")
    first = kft.train(recipe, run=tmp_path / "first", overrides=[asked], quiet=True)
    receipt = json.loads((first.run / "receipt.json").read_text())
    assert receipt["set_aside"] > 0
    calibration = json.loads((first.run / "calibration.json").read_text())
    assert calibration["n"] == receipt["n"]["train"] + receipt["n"]["valid"] - receipt["set_aside"]
    kept = load_checkpoint(first.run / "checkpoints", "best").more[OUT_OF_FOLD]
    assert len(kept["valid"]) == receipt["n"]["valid"] - receipt["set_aside"]
    known = load_checkpoint(first.run / "checkpoints", "best").weights["head_blend_neighbours/known"]
    assert len(known) == receipt["n"]["train"] + receipt["n"]["valid"] - receipt["set_aside"] + 2  # and two names


@pytest.mark.parametrize(
    "task", ["text-multi-label", "text-regression", pytest.param("text-pairs", marks=pytest.mark.slow)]
)
def test_other_kinds_of_answers_blend_too(task, tiny_folder, tmp_path):
    texts, labels = tiny.texts_and_labels(140)
    cells = {
        "text-multi-label": ["good|short" if label == "positive" else "bad" for label in labels],
        "text-regression": [len(text) + 30 * (label == "positive") for text, label in zip(texts, labels, strict=True)],
        "text-pairs": labels,
    }[task]
    rows = [{"text": text, "label": cell, "other": "the phone."} for text, cell in zip(texts, cells, strict=True)]
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "label", "other"])
        writer.writeheader()
        writer.writerows(rows)
    data = {"train": "rows.csv", "valid": "20%", "test": "25%", "text": "text", "label": "label"}
    if task == "text-pairs":
        data["text_pair"] = "other"
    recipe = {"task": task, "data": data, "model": {"backbone": str(tiny_folder)}}
    (tmp_path / "r.json").write_text(json.dumps(recipe | {"train": {"phases": [tiny.PROBE, BLEND]}}))
    result = kft.train(tmp_path / "r.json", run=tmp_path / "run", quiet=True)
    reached = {phase.name: phase.metrics["valid_loss"] for phase in result.phases}
    assert result.best_phase == min(reached, key=lambda name: reached[name])
    before = predictions(result.run)
    kft.evaluate(result.run, quiet=True)
    (rows, said), (rows_before, said_before) = parted(predictions(result.run)), parted(before)
    assert rows == rows_before
    np.testing.assert_allclose(said, said_before, rtol=4e-6, atol=1.5e-6)  # the last digit of six, on TensorFlow 2.20


def test_a_blend_needs_no_probe(tiny_folder, tmp_path):
    alone = {"name": "blend", "unfreeze": "none", "solver": "blend"}
    recipe = tiny.recipe(tmp_path, tiny_folder, rows=120, phases=[alone], best=None)
    noisy(tmp_path / "reviews.csv")
    result = kft.train(recipe, run=tmp_path / "run", quiet=True)
    assert result.best_phase == "blend" and "probe" not in result.evaluation.baselines
    before = predictions(result.run)
    kft.evaluate(result.run, quiet=True)
    assert predictions(result.run) == before


def test_rows_of_valid_weigh_as_their_class_does_in_train():
    of_class = class_weights(TrainSpec(class_weight="balanced"), np.array([0, 0, 1]), 2)
    assert weigh(np.array([1, 0]), of_class)[1].tolist() == [1.5, 0.75]
