"""Going on: where a run stopped, with what it stopped with, or not at all, and then it says why."""

import json
import shutil
from pathlib import Path

import keras
import pytest

import kft
from kft.errors import RunError, StorageError, UsageError
from kft.records.document import as_document
from kft.records.lock import hold
from kft.records.run_folder import RunFolder, refuse_taken
from kft.train.checkpoint import load_checkpoint
from kft.train.resume import last_folder
from tests import tiny
from tests.ended import events_of, last_weights

PHASES = [tiny.PROBE, {"name": "top", "unfreeze": "top-1", "epochs": 3, "lr": 1e-3}]


class Fails(keras.callbacks.Callback):
    """Stands for whatever ends a process without a word: raises after some epochs."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.after:
            raise OSError("the power went")


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_folder):
    folder = tmp_path_factory.mktemp("resume")
    recipe = tiny.recipe(folder, tiny_folder, rows=120, phases=PHASES)
    whole = kft.train(recipe, run=folder / "whole", quiet=True)
    return folder, recipe, whole


def stop_early(place, name, after=2, **kwargs):
    """Returns a run that stopped after some epochs: one for each number is trained, and copied."""
    folder, recipe, _ = place
    stopped = folder / (f"stopped-{after}" if not kwargs else name)
    if not stopped.exists():
        with pytest.raises(OSError, match="the power went"):
            kft.train(recipe, run=stopped, callbacks=[Fails(after)], quiet=True, **kwargs)
    if stopped.name != name:
        shutil.copytree(stopped, folder / name)
    return folder / name


def test_it_goes_on_where_it_stopped_and_says_so(place, capsys):
    folder, recipe, whole = place
    run = stop_early(place, "again")
    result = kft.train(recipe, run=run, resume=True)
    assert "resumed    in phase top, epoch 2, after 0 of its steps" in capsys.readouterr().err
    assert last_weights(run) == last_weights(folder / "whole")
    assert as_document(result.evaluation) == as_document(whole.evaluation)
    receipt = json.loads((run / "receipt.json").read_text())
    assert [entry["steps_done"] for entry in receipt["resumed"]] == [5]


def test_a_damaged_checkpoint_is_told_and_the_one_before_serves(place, capsys):
    folder, recipe, _ = place
    run = stop_early(place, "damaged")
    manifest = run / "checkpoints" / "last.json"
    manifest.write_text(manifest.read_text()[:-100])
    kft.train(recipe, run=run, resume=True)
    err = capsys.readouterr().err
    assert "damaged" in err and "last.json" in err and "the one before is used" in err
    assert last_weights(run) == last_weights(folder / "whole")


@pytest.mark.slow
def test_killed_between_the_last_epoch_of_a_phase_and_its_end(place):
    """Three checkpoints lie around that moment; each of them goes on to the same end."""
    folder, recipe, _ = place
    more = "{name: all, unfreeze: all, epochs: 1, lr: 1.0e-3}"
    short = "{name: top, unfreeze: top-1, epochs: 1, lr: 1.0e-3}"
    probe = "{name: probe, unfreeze: none, solver: lbfgs}"
    settings = [f"train.phases=[{probe}, {short}, {more}]", "train.checkpoints.keep=3"]
    kft.train(recipe, run=folder / "three", overrides=settings, quiet=True)
    stopped = stop_early(place, "seam", after=2, overrides=settings)
    names = ["last.json", "last-1.json", "last-2.json"]
    states = [json.loads((stopped / "checkpoints" / name).read_text())["state"] for name in names]
    assert [(state["phase"], (state["fit"] or {}).get("stopped")) for state in states] == [
        (2, ""),
        (2, None),
        (1, "all epochs"),
    ]
    for lost in range(1, 3):
        run = folder / f"seam-{lost}"
        shutil.copytree(stopped, run)
        for name in names[:lost]:
            (run / "checkpoints" / name).unlink()
        kft.train(recipe, run=run, resume=True, overrides=settings, quiet=True)
        assert last_weights(run) == last_weights(folder / "three"), f"from {names[lost]}"


@pytest.fixture(scope="module")
def looked_at(place):
    """A run that was scored after its first epoch and then went on, beside one that was not; each epoch is better."""
    folder, recipe, _ = place
    settings = ["train.phases=[{name: head, unfreeze: none, epochs: 3, lr: 1.0e-2}]"]
    whole = kft.train(recipe, run=folder / "not-looked-at", overrides=settings, quiet=True)
    run = stop_early(place, "looked-at", after=1, overrides=settings)
    early = kft.evaluate(run, quiet=True)
    assert early.metrics != whole.evaluation.metrics and (run / "calibration.json").is_file()
    kft.train(recipe, run=run, resume=True, overrides=settings, quiet=True)
    return run, whole.run


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metrics.json", "calibration.json", "predictions.csv"])
def test_looking_at_a_stopped_run_changes_nothing_of_what_it_comes_to(looked_at, name):
    run, whole = looked_at
    assert (run / name).read_text() == (whole / name).read_text()


def test_what_was_changed_before_it_goes_on_is_refused(place):
    _, recipe, _ = place
    run = stop_early(place, "changed")
    text = (run / "receipt.json").read_text()
    (run / "receipt.json").write_text(text.replace('"negative"', '"negativ"'))
    with pytest.raises(RunError, match=r"receipt\.json was changed after it was written"):
        kft.train(recipe, run=run, resume=True, quiet=True)


def test_two_that_go_on_in_one_folder_are_one_too_many(place):
    folder, recipe, _ = place
    run = stop_early(place, "twice")
    before = (run / "history.jsonl").read_text()
    with hold(RunFolder(run)):
        for second in (
            lambda: kft.train(recipe, run=run, resume=True, quiet=True),
            lambda: kft.evaluate(run, quiet=True),
        ):
            with pytest.raises(RunError, match="another process is at work in this run folder"):
                second()
    assert (run / "history.jsonl").read_text() == before
    kft.train(recipe, run=run, resume=True, quiet=True)
    assert len(events_of(run)) == len(events_of(folder / "whole")) and last_weights(run) == last_weights(
        folder / "whole"
    )


def test_a_finished_run_is_scored_again(place):
    folder, recipe, whole = place
    shutil.copytree(folder / "whole", folder / "finished")
    result = kft.train(recipe, run=folder / "finished", resume=True, quiet=True)
    assert as_document(result.evaluation) == as_document(whole.evaluation)
    assert (folder / "finished" / "history.jsonl").read_text() == (folder / "whole" / "history.jsonl").read_text()


@pytest.mark.slow
def test_without_a_run_it_begins_and_without_a_name_it_takes_the_latest(place, monkeypatch, capsys):
    folder, recipe, _ = place
    monkeypatch.chdir(folder)
    assert kft.train(recipe, resume=True).run.name == "recipe-1"
    assert "nothing to go on from: the run begins" in capsys.readouterr().err
    assert kft.train(recipe, resume=True).run.name == "recipe-1"
    assert "resumed    after the last phase" in capsys.readouterr().err


def test_another_recipe_and_other_data_are_refused_with_the_difference(place, tiny_folder):
    folder, recipe, _ = place
    with pytest.raises(RunError) as caught:
        kft.train(recipe, run=folder / "whole", resume=True, overrides=["train.batch_size=8", "seed=3"])
    text = str(caught.value)
    assert "seed: 0 then, 3 now; train.batch_size: 16 then, 8 now" in text and "--resume takes that one" in text
    kept = (folder / "reviews.csv").read_text()
    try:
        (folder / "reviews.csv").write_text(kept.replace("great", "lovely"))
        with pytest.raises(RunError, match="the data have changed since the run was begun"):
            kft.train(recipe, run=folder / "whole", resume=True)
    finally:
        (folder / "reviews.csv").write_text(kept)
    # When and where checkpoints are written changes no result.
    kft.train(recipe, run=folder / "whole", resume=True, overrides=["train.checkpoints.keep=3"], quiet=True)


def test_a_folder_that_is_no_run_is_refused(place):
    folder, recipe, _ = place
    (folder / "thesis").mkdir()
    (folder / "thesis" / "chapter1.txt").write_text("years of work")
    with pytest.raises(RunError, match="a run is never overwritten"):
        kft.train(recipe, run=folder / "thesis", resume=True)
    with pytest.raises(RunError) as caught:
        kft.train(recipe, run=folder / "whole")
    assert "--resume goes on where that run stopped" in str(caught.value)


@pytest.mark.slow
def test_checkpoints_that_cannot_be_reached_are_one_message(place):
    folder, recipe, _ = place
    run = stop_early(place, "blocked", after=1)
    shutil.move(run / "checkpoints", run / "aside")
    (run / "checkpoints").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="a file or folder cannot be read"):
        kft.train(recipe, run=run, resume=True, quiet=True)
    (run / "checkpoints").unlink()
    shutil.move(run / "aside", run / "checkpoints")
    kft.train(recipe, run=run, resume=True, quiet=True)
    assert last_weights(run) == last_weights(folder / "whole")


@pytest.mark.slow
def test_checkpoints_in_an_object_store_outlive_the_machine(place, capsys):
    """The run folder is lost with its disk; memory:// stands for gs://."""
    folder, recipe, whole = place
    setting = [f"train.checkpoints.folder=memory://{folder.name}/last"]
    run = stop_early(place, "cloud", overrides=setting)
    shutil.rmtree(run)
    result = kft.train(recipe, run=run, resume=True, overrides=setting)
    assert "resumed    in phase top" in capsys.readouterr().err
    assert as_document(result.evaluation) == as_document(whole.evaluation)
    assert not list((run / "checkpoints").glob("last*"))
    best, expected = (load_checkpoint(path / "checkpoints", "best") for path in (run, folder / "whole"))
    assert best.state == expected.state
    with pytest.raises(RunError, match="the folder for checkpoints holds those of another run"):
        kft.train(recipe, run=folder / "another", overrides=setting)
    with pytest.raises(RunError, match="the checkpoint belongs to another run"):
        kft.train(recipe, run=folder / "third", resume=True, overrides=[*setting, "seed=9"])


def test_a_callback_that_cannot_give_its_state_is_named(place, capsys):
    _, recipe, _ = place
    run = stop_early(place, "forgetful")
    kft.train(recipe, run=run, resume=True, callbacks=[keras.callbacks.EarlyStopping(monitor="val_loss", patience=9)])
    assert "EarlyStopping cannot give their state" in capsys.readouterr().err


@pytest.mark.slow
def test_several_updates_a_call_and_parts_of_a_batch(place):
    """Five batches are two calls, of 3 and of 2; callbacks see the last of each, as Keras has it."""
    folder, recipe, _ = place
    seen = []

    class Counts(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, logs["loss"]))

    settings = ["train.steps_per_call=3", "train.gradient_accumulation=4"]
    result = kft.train(recipe, run=folder / "grouped", overrides=settings, callbacks=[Counts()], quiet=True)
    assert [batch for batch, _ in seen] == [2, 4] * 3, "66 rows are 5 batches, and 2 calls an epoch"
    events = events_of(result.run)
    assert [event["step"] for event in events if event.get("phase") == "top" and "step" in event] == [0, 5, 10, 15]


def test_several_workers_need_a_folder_they_share(place, monkeypatch):
    _, recipe, _ = place
    cluster = {"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    with pytest.raises(UsageError, match="several workers need one run folder"):
        kft.train(recipe)


@pytest.mark.slow
def test_a_run_whose_checkpoints_are_elsewhere_is_not_begun_anew(place):
    """The folder was named at the start, relative to the recipe, and forgotten; the command kft prints still works."""
    folder, recipe, _ = place
    run = stop_early(place, "elsewhere", after=1, overrides=["train.checkpoints.folder=lasts"])
    history = (run / "history.jsonl").read_text()
    with pytest.raises(RunError, match="the run has trained, but the checkpoint to go on from is not there") as caught:
        kft.train(recipe, run=run, resume=True)
    assert f"--set train.checkpoints.folder={folder}/lasts" in str(caught.value)
    assert (run / "history.jsonl").read_text() == history
    kft.train(run / "recipe.yaml", run=run, resume=True, quiet=True)
    whole = json.loads((folder / "whole" / "checkpoints" / "last.json").read_text())
    assert json.loads((folder / "lasts" / "last.json").read_text())["arrays"] == whole["arrays"]
    shutil.rmtree(folder / "lasts")
    with pytest.raises(RunError, match="the run has trained") as caught:
        kft.train(run / "recipe.yaml", run=run, resume=True)
    assert "restore that folder, or train again with another --run DIR" in str(caught.value)


def test_a_folder_for_checkpoints_that_holds_something_else_is_refused(place):
    folder, recipe, _ = place
    (folder / "models").mkdir()
    (folder / "models" / "model.safetensors").write_text("mine")
    for resume in (False, True):
        with pytest.raises(RunError, match="the folder for checkpoints holds something else") as caught:
            kft.train(recipe, run=folder / "no", overrides=["train.checkpoints.folder=models"], resume=resume)
        assert "received: model.safetensors" in str(caught.value)
        shutil.rmtree(folder / "no", ignore_errors=True)


def test_the_run_folders_own_checkpoints_in_another_spelling_are_its_own(place, monkeypatch):
    folder, recipe, _ = place
    (folder / "real" / "checkpoints").mkdir(parents=True)
    (folder / "link").symlink_to(folder / "real")
    named = kft.load_recipe(recipe, ["train.checkpoints.folder=link/checkpoints"])
    monkeypatch.chdir(folder)
    for spelled in ("real", "link", folder / "real"):
        run = RunFolder(Path(spelled))
        assert last_folder(named, run) == str(run.checkpoints)


def test_what_a_kill_left_before_the_first_file_is_no_run(tmp_path):
    (tmp_path / ".recipe.yaml.123.tmp").write_text("half")
    refuse_taken(tmp_path)
    (tmp_path / "chapter1.txt").touch()
    with pytest.raises(RunError, match="a run is never overwritten"):
        refuse_taken(tmp_path)


@pytest.mark.slow
def test_what_a_callback_does_on_an_epochs_beginning_is_done_when_going_on_there(place):
    folder, recipe, _ = place

    def scheduler():
        return keras.callbacks.LearningRateScheduler(lambda epoch, rate: [1e-3, 3e-4, 1e-4][epoch])

    runs = [folder / "scheduled", folder / "scheduled-cut"]
    kft.train(recipe, run=runs[0], callbacks=[scheduler()], quiet=True)
    with pytest.raises(OSError, match="the power went"):
        kft.train(recipe, run=runs[1], callbacks=[scheduler(), Fails(2)], quiet=True)
    kft.train(recipe, run=runs[1], callbacks=[scheduler()], resume=True, quiet=True)
    assert last_weights(runs[0]) == last_weights(runs[1])
    rates = [[event["lr"] for event in events_of(run) if "lr" in event] for run in runs]
    assert rates[0] == rates[1] and len(set(rates[0])) == 3


@pytest.mark.slow
def test_a_run_that_a_callback_stopped_stays_stopped(place):
    """Killed after the epoch that ended it, before its phase was over: the later phase is not run after all."""
    folder, recipe, _ = place
    phases = "[{name: top, unfreeze: top-1, epochs: 2, lr: 1.0e-3}, {name: all, unfreeze: all, epochs: 2, lr: 1.0e-3}]"

    class Stops(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

        def get_state(self):
            return {}

        def set_state(self, state):
            pass

    def go(run, **kwargs):
        kft.train(recipe, run=run, overrides=[f"train.phases={phases}"], callbacks=[Stops()], quiet=True, **kwargs)
        return [(event["phase"], event["stopped"]) for event in events_of(run) if event["event"] == "phase_end"]

    assert go(folder / "ended") == [("top", "callback")]
    whole = last_weights(folder / "ended")
    (folder / "ended" / "checkpoints" / "last.json").unlink()
    state = json.loads((folder / "ended" / "checkpoints" / "last-1.json").read_text())["state"]
    assert state["phase"] == 0 and state["fit"]["stopped"] == "callback" and state["callbacks"]["stopped"]
    assert go(folder / "ended", resume=True) == [("top", "callback")]
    assert last_weights(folder / "ended") == whole
