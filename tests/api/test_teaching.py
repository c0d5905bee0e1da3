"""A run that another one teaches: what it learns from, that it asks once, and every teacher that is refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

import kft
from kft.answer.decide import Temperature
from kft.answer.teachable import find_teacher
from kft.answer.teacher import ask, own_temperature
from kft.api.reading import load
from kft.api.teaching import taught, untaught
from kft.errors import DataError, RecipeError, RunError, UsageError
from kft.launch.placing import place as launch_place
from kft.records.manifest import seal
from kft.records.run_folder import RunFolder
from kft.split.data_split import content_hash
from kft.train.progress import Progress
from tests import tiny

QUIET = Progress(quiet=True)
APART = ["train.teacher=blended", "data.valid=valid.csv"]
BLEND = {"name": "blend", "unfreeze": "none", "solver": "blend"}
SELF = [tiny.PROBE, {**tiny.TOP, "unlabelled": "confident"}]


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_folder):
    """A teacher and a student of one block, with a feature cache of their own."""
    folder = tmp_path_factory.mktemp("teaching")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KFT_CACHE", str(folder / "cache"))
        tiny.write_table(folder / "test.csv", 60, seed=5)
        tiny.write_table(folder / "valid.csv", 20, seed=11)
        more, _ = tiny.texts_and_labels(90, seed=7)
        pd.DataFrame({"text": more}).to_csv(folder / "more.csv", index=False)
        recipe = tiny.recipe(folder, tiny_folder, rows=100, phases=[tiny.PROBE])
        values = json.loads(recipe.read_text())
        values["data"]["test"] = "test.csv"
        recipe.write_text(json.dumps(values))
        kft.train(recipe, run=folder / "teacher", quiet=True)
        values["model"]["blocks"] = 1
        values["data"]["unlabelled"] = "more.csv"
        values["train"] |= {"teacher": {"run": "teacher"}, "phases": [tiny.PROBE, tiny.TOP]}
        (folder / "student.yaml").write_text(json.dumps(values))
        result = kft.train(folder / "student.yaml", run=folder / "student", quiet=True)
        yield folder, result


def student(folder, *overrides):
    return load(folder / "student.yaml", overrides, None)


def refused(folder, *overrides, kind=RunError):
    with pytest.raises(kind) as stop:
        find_teacher(*student(folder, *overrides))
    assert stop.value.expected and stop.value.next_step
    return stop.value


def calibrated(teacher, inputs):
    return Temperature(own_temperature(teacher)).apply(ask(teacher, inputs, QUIET))


@pytest.mark.slow
def test_the_student_learns_answers_and_its_folder_says_of_whom(place):
    folder, result = place
    receipt = json.loads((folder / "student" / "receipt.json").read_text())
    assert receipt["unlabelled"] == 90 and len(receipt["teacher"]) == 64
    assert f"run: {folder / 'teacher'}" in (folder / "student" / "recipe.yaml").read_text()
    splits = pd.read_parquet(folder / "student" / "splits.parquet")
    assert splits["split"].value_counts().to_dict() == {"unlabelled": 90, "train": 80, "test": 60, "valid": 20}
    assert result.evaluation.metrics["accuracy"].value > 0.8
    kft.report(folder / "student")
    card = (folder / "student" / "card.md").read_text()
    assert "90 rows without labels beside them; the answers of another run, teacher, were learned from" in card
    assert "(its first 1 block alone)" in card
    answers = kft.load(folder / "student").predict(["it is a superb phone.", "my awful battery."])
    assert [answer.label for answer in answers] == ["positive", "negative"]


@pytest.mark.slow
def test_labelled_rows_mix_label_and_answer_and_the_others_have_the_answer_alone(place, capsys):
    folder, _ = place
    recipe, split = student(folder, "train.teacher.weight=0.25")
    teacher = find_teacher(recipe, split)
    found = taught(recipe, split, teacher, Progress())
    assert "170 answers are stored already" in capsys.readouterr().err  # the student's own run asked
    answers = calibrated(teacher, [*split.train.inputs, *split.unlabelled.inputs])
    shares = found.train.shares.of(split.labels)
    np.testing.assert_allclose(shares[80:], answers[80:], atol=1e-6)
    hard = np.array([[label == name for name in split.labels] for label in split.train.labels])
    np.testing.assert_allclose(shares[:80], 0.75 * hard + 0.25 * answers[:80], atol=1e-6)
    assert found.unlabelled is None and len(found.valid) == 20
    planned = untaught(recipe, split)
    assert planned.train.inputs == found.train.inputs and set(planned.train.labels) == set(split.labels)


def test_the_answers_are_those_that_the_teacher_gives_calibrated_and_temperature_softens_them(place):
    folder, _ = place
    recipe, split = student(folder)
    teacher = find_teacher(recipe, split)
    given = split.unlabelled.inputs
    told = [answer.probabilities for answer in kft.load(folder / "teacher").predict(given)]
    expected = np.array([[each[name] for name in split.labels] for each in told])
    found = taught(recipe, split, teacher, QUIET).train.shares.of(split.labels)[80:]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    softer, split = student(folder, "train.teacher.temperature=4")
    softened = taught(softer, split, teacher, QUIET).train.shares.of(split.labels)[80:]
    assert (softened.max(axis=1) <= found.max(axis=1)).all() and softened.max(axis=1).mean() < 0.95 < found.max(
        axis=1
    ).mean()


def test_another_checkpoint_is_asked_anew_and_a_damaged_shard_too(place):
    folder, _ = place
    recipe, split = student(folder)
    teacher = find_teacher(recipe, split)
    (store,) = (folder / "cache" / "features").glob("teacher-*")
    assert teacher.weights.startswith(store.name.removeprefix("teacher-"))
    before = ask(teacher, split.train.inputs, QUIET)
    for shard in store.glob("*.safetensors"):
        shard.write_bytes(shard.read_bytes()[:-4] + b"\0\0\0\1")
    np.testing.assert_allclose(ask(teacher, split.train.inputs, QUIET), before, atol=1e-6)


@pytest.mark.slow
def test_a_resumed_run_needs_the_teacher_as_it_was(place):
    folder, _ = place
    run = shutil.copytree(folder / "student", folder / "again")
    other = shutil.copytree(folder / "teacher", folder / "other")
    kft.train(folder / "student.yaml", run=run, resume=True, quiet=True)
    with pytest.raises(RunError, match="another recipe"):
        kft.train(folder / "student.yaml", run=run, resume=True, overrides=[f"train.teacher.run={other}"], quiet=True)
    shutil.rmtree(other)


def test_who_cannot_teach_is_refused_by_name(place):
    folder, _ = place
    missing = refused(folder, "train.teacher.run=techer")
    assert "no run at" in str(missing) and "did you mean" in str(missing)
    half = shutil.copytree(folder / "teacher", folder / "half")
    manifest = json.loads((half / "manifest.json").read_text())
    del manifest["files"]["metrics.json"]
    (half / "manifest.json").write_text(json.dumps(manifest))
    (half / "metrics.json").unlink()
    assert "the teacher is not finished" in str(refused(folder, "train.teacher=half"))
    texts, labels = tiny.texts_and_labels(100)
    renamed = ["good" if label == "positive" else label for label in labels]
    pd.DataFrame({"text": texts, "label": renamed}).to_csv(folder / "renamed.csv", index=False)
    texts, labels = tiny.texts_and_labels(60, seed=5)
    renamed = ["good" if label == "positive" else label for label in labels]
    pd.DataFrame({"text": texts, "label": renamed}).to_csv(folder / "renamed_test.csv", index=False)
    other = refused(folder, "data.train=renamed.csv", "data.test=renamed_test.csv")
    assert other.received == "it lacks 'good'; it knows 'positive' besides"
    damaged = shutil.copytree(folder / "teacher", folder / "damaged")
    (damaged / "calibration.json").write_text("{}")
    assert refused(folder, "train.teacher=damaged").where.startswith("train.teacher: ")


def test_a_teacher_that_has_learned_what_is_held_out_is_refused(place):
    folder, _ = place
    leak = refused(folder, "data.split_seed=3", kind=DataError)
    assert "the teacher has learned from rows of this run's valid split" in str(leak)
    assert "which is in its train" in leak.received
    learned = refused(folder, "data.train=test.csv", "data.test=reviews.csv", "data.valid=25%", kind=DataError)
    assert "rows of this run's test split" in str(learned)
    # The student learned from rows without labels: whoever holds these out may not learn from it in turn.
    texts, labels = tiny.texts_and_labels(90, seed=7)
    pd.DataFrame({"text": texts, "label": labels}).to_csv(folder / "later.csv", index=False)
    later = ["train.teacher=student", "data.unlabelled=null", "data.test=later.csv"]
    assert "90 of 90 rows of test, such as later.csv:1, which is in its unlabelled" in str(
        refused(folder, *later, kind=DataError)
    )


def begins(folder, *overrides):
    return load(folder / "student.yaml", ["train.teacher=null", "data.unlabelled=null", *overrides], None)


@pytest.mark.parametrize("key", ["model.start_from", "train.warm_start"])
def test_weights_that_have_learned_what_is_held_out_are_refused(place, key):
    """By hand: the same files with another seed put rows of the other run's train into test."""
    folder, _ = place
    assert begins(folder, f"{key}=teacher")[1].notes == ()  # the same split
    with pytest.raises(DataError, match="the run to begin with has learned from rows of this run's valid") as stop:
        begins(folder, f"{key}=teacher", "data.split_seed=3")
    learned = set(pd.read_parquet(folder / "teacher" / "splits.parquet").query("split == 'train'")["hash"])
    _, split = begins(folder, "data.split_seed=3")
    rows = [
        row for row, given in zip(split.valid.ids, split.valid.inputs, strict=True) if content_hash(given) in learned
    ]
    assert stop.value.received == f"{len(rows)} of 20 rows of valid, such as {rows[0]}, which is in its train"
    assert stop.value.where == f"{key}: {folder / 'teacher'}" and "data.split_seed" in stop.value.next_step
    with pytest.raises(DataError, match="rows of this run's test split"):
        begins(folder, f"{key}=teacher", "data.train=test.csv", "data.test=reviews.csv", "data.valid=25%")


def test_weights_that_have_read_what_is_held_out_for_other_answers_are_told(place):
    folder, _ = place
    _, split = begins(folder, "model.start_from=teacher", "data.split_seed=3", "task=text-multi-label")
    told = [note for note in split.notes if "rows of valid" in note]
    assert len(told) == 1 and told[0].startswith(f"{folder / 'teacher'}, which model.start_from begins with, has read ")
    assert told[0].endswith("rows of valid (as text-classification, in its train): valid is not new to these weights")


@pytest.mark.parametrize("key", ["model", "train"])
def test_what_a_run_began_with_counts_as_learned_by_it(place, key):
    """Neither a teacher nor weights are washed of what they began with by a run in between, of other rows."""
    folder, _ = place
    between = shutil.copytree(folder / "teacher", folder / f"began-{key}")
    values = yaml.safe_load((between / "recipe.yaml").read_text())
    values[key]["start_from" if key == "model" else "warm_start"] = str(folder / "teacher")
    (between / "recipe.yaml").write_text(yaml.safe_dump(values))
    rows = pd.read_parquet(between / "splits.parquet")
    rows.assign(hash=[f"{place:016}" for place in range(len(rows))]).to_parquet(between / "splits.parquet")
    seal(RunFolder(between), ["recipe.yaml", "splits.parquet"])
    with pytest.raises(DataError, match="the run to begin with has learned from rows of this run's valid") as stop:
        begins(folder, f"model.start_from={between.name}", "data.split_seed=3")
    assert stop.value.where == f"model.start_from: {folder / 'teacher'}"
    handed = refused(folder, f"train.teacher={between.name}", "data.split_seed=3", kind=DataError)
    assert handed.where == f"train.teacher: {folder / 'teacher'}"


def test_a_teacher_that_chose_by_rows_that_are_set_aside_is_refused(place):
    found = refused(place[0], "evaluate.abstain_at={error: 0.2}", kind=DataError)
    assert "the teacher chose by rows that are set aside here" in str(found)
    assert found.received.startswith("10 of 10 rows, such as reviews.csv:")


@pytest.fixture(scope="module")
def blended(place):
    """A run of the first teacher's data that has kept a blend."""
    folder, _ = place
    values = json.loads((folder / "recipe.yaml").read_text())
    values["train"] |= {"phases": [tiny.PROBE, BLEND], "prefer": "cheaper"}
    (folder / "blend.yaml").write_text(json.dumps(values))
    kft.train(folder / "blend.yaml", run=folder / "blended", quiet=True)
    return folder / "blended"


def test_a_teacher_that_was_trained_again_on_valid_is_refused(place):
    folder, _ = place
    values = json.loads((folder / "recipe.yaml").read_text())
    values["train"]["refit"] = True
    (folder / "refit.yaml").write_text(json.dumps(values))
    assert kft.train(folder / "refit.yaml", run=folder / "again", quiet=True).refitted
    found = refused(folder, "train.teacher=again", kind=DataError)
    assert "learned from rows of this run's valid split" in str(found)
    assert "its valid, on which it was trained again" in found.received
    assert find_teacher(*student(folder, "train.teacher=again", "data.valid=valid.csv")).seen == 0


@pytest.mark.slow
def test_a_blend_that_learned_from_valid_teaches_by_its_head_alone(place, blended, capsys):
    folder, _ = place
    assert json.loads((folder / "blended" / "checkpoints" / "best.json").read_text())["state"]["phase"] == "blend"
    recipe, split = student(folder, "train.teacher=blended")
    teacher = find_teacher(recipe, split)
    assert teacher.seen == 20
    found = taught(recipe, split, teacher, Progress()).train.shares.of(split.labels)
    assert "its blend has learned from 20 rows of valid: its head alone answers" in capsys.readouterr().err
    # Its head is the probe of the first teacher: the same rows, the same weights.
    first, _ = student(folder)
    other = taught(first, split, find_teacher(first, split), QUIET).train.shares.of(split.labels)
    np.testing.assert_allclose(found[80:].argmax(axis=1), other[80:].argmax(axis=1))
    assert find_teacher(*student(folder, *APART)).seen == 0  # with another valid all of it answers


@pytest.mark.slow
def test_who_learned_from_such_a_blend_hands_on_what_it_knows_of_valid(place, blended):
    folder, _ = place
    kft.train(folder / "student.yaml", run=folder / "between", overrides=APART, quiet=True)
    handed = refused(folder, "train.teacher=between", "data.unlabelled=null", kind=DataError)
    assert "rows of this run's valid split" in str(handed) and "which is in its" in handed.received


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["train.phases=[{name: blend, unfreeze: none, solver: blend}]"], "these were seen by train.teacher"),
        (["train.phases[1].unlabelled=confident"], "train.teacher answers these rows already"),
        (["train.teacher=null"], "nothing would learn from it"),
        (["data.unlabelled=null", "train.phases[1].unlabelled=confident"], "needs data.unlabelled"),
        (["train.teacher=null", "train.phases[0].unlabelled=confident"], "the first phase has nothing to label"),
        (["train.teacher=null", "train.phases[1].unlabelled={error: 2}"], "0 < error < 1"),
        (["train.teacher.weight=0", "data.unlabelled=null"], "lets labels alone count"),
        (["data.keep_together=similar"], "rows without labels have none"),
        (["task=text-regression"], "only for text-classification"),
    ],
)
def test_what_does_not_go_together_is_refused(place, overrides, said):
    with pytest.raises(RecipeError, match=said):
        kft.load_recipe(place[0] / "student.yaml", overrides)


def test_what_looks_at_labelled_rows_alone_says_so_and_a_job_has_no_place_for_a_teacher(place, capsys):
    folder, _ = place
    kft.check(folder / "student.yaml", output=folder / "audit", features=False)
    said = capsys.readouterr().err
    assert "kft check looks at labelled rows alone: data.unlabelled and train.teacher are for kft train" in said
    recipe = kft.load_recipe(folder / "student.yaml")
    with pytest.raises(UsageError, match="no place for the run of a teacher"):
        launch_place(recipe, "gs://bucket/data")
    alone = kft.load_recipe(folder / "recipe.yaml", ["data.unlabelled=more.csv", f"train.phases={json.dumps(SELF)}"])
    placed = launch_place(alone.with_values("model", {"backbone": "minilm-l6"}), "gs://bucket/data")
    assert placed.recipe.spec.data.unlabelled == "/gcs/bucket/data/more.csv"
    with pytest.raises(UsageError, match="prepared data hold no rows without labels"):
        kft.build_data(folder / "student.yaml", folder / "prepared", quiet=True)


def test_frames_without_labels_are_learned_from_and_refused_where_the_task_cannot():
    texts, labels = tiny.texts_and_labels(60)
    frames = {
        "train": pd.DataFrame({"text": texts, "label": labels}),
        "unlabelled": pd.DataFrame({"text": tiny.texts_and_labels(20, seed=4)[0]}),
    }
    _, split = load(None, [], frames)
    assert len(split.unlabelled) == 20
    with pytest.raises(RecipeError, match="only for text-classification"):
        load({"task": "text-multi-label", "data": {"train": "dataframe"}}, [], frames)
