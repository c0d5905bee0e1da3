"""`kft clean`: what ended runs no longer need goes, after asking; all but going on works as before."""

import io
import json
import shutil
import sys
from dataclasses import replace

import pytest

import kft
from kft.deploy.place import building
from kft.errors import RunError
from kft.records.document import as_document
from kft.records.lock import hold
from kft.records.run_folder import open_run
from kft.train.checkpoint import CheckpointWriter, load_checkpoint


@pytest.fixture
def folder(trained, tmp_path):
    """A run that has ended, and one that was interrupted in its last phase."""
    for name in ("ended", "cut"):
        shutil.copytree(trained.run, tmp_path / "runs" / name)
    checkpoints = tmp_path / "runs" / "cut" / "checkpoints"
    last = load_checkpoint(checkpoints, "last")
    with CheckpointWriter(checkpoints) as writer:
        writer.save("last", replace(last, state={**last.state, "phase": 1}), keep=2)
    return tmp_path / "runs"


def files(folder):
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_it_asks_and_takes_what_ended_runs_alone_do_not_need(folder, kft_cli, monkeypatch):
    before = files(folder)
    code, out, err = kft_cli("clean", folder)
    assert code == 2 and "nothing is removed unasked" in err and f"kft clean {folder} --yes" in err
    assert kft_cli("clean", folder, "--json")[0] == 2 and files(folder) == before
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    code, out, err = kft_cli("clean", folder)
    assert code == 0 and "nothing was removed" in out and "Remove" in err and files(folder) == before
    assert "cut: training has not ended: --resume goes on with it" in " ".join(out.split())
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    found = kft.find_leftovers(folder)
    code, out, err = kft_cli("clean", folder)
    after = files(folder)
    assert code == 0, err
    assert {name for name in before if name not in after} == {
        name for name in before if name.startswith("ended/checkpoints/") and name not in after
    }
    assert not list((folder / "ended" / "checkpoints").glob("last*")) and "ended/checkpoints/best.json" in after
    assert [each.path for each in found.spare] == [str(folder / "ended")]
    assert found.bytes == sum(before.values()) - sum(after.values()) + after["ended/cleaned.json"] > 0
    code, out, _ = kft_cli("clean", folder, "--yes", "--json")
    said = json.loads(out)
    assert code == 0 and said["removed"] == [] and said["bytes"] == 0 and list(said["kept"]) == [str(folder / "cut")]


def test_figures_and_answers_are_as_before_and_going_on_is_refused_by_name(folder, trained):
    (gone,) = kft.clean(folder).spare
    again = kft.evaluate(gone.path, quiet=True)
    assert as_document(again) == as_document(trained.evaluation)
    assert (folder / "ended" / "predictions.csv").read_text() == (trained.run / "predictions.csv").read_text()
    with pytest.raises(
        RunError, match="the run has ended, and kft clean has removed what it would go on from"
    ) as caught:
        kft.train(trained.run.parent / "recipe.yaml", run=gone.path, resume=True, quiet=True)
    assert f"kft evaluate {gone.path} scores it again" in str(caught.value)


@pytest.mark.slow
def test_it_is_reported_exported_and_retrained_as_before(folder, trained, tmp_path):
    from tests import tiny

    kft.clean(folder)
    cleaned = folder / "ended"
    assert kft.report(cleaned, quiet=True) and (cleaned / "report.html").is_file()
    told = [
        kft.export(run, tmp_path / name, force=True, quiet=True) for run, name in ((cleaned, "a"), (trained.run, "b"))
    ]
    assert told[0].checkpoint == told[1].checkpoint and told[0].metrics == told[1].metrics
    texts = ["the battery is superb", "a terrible screen"]
    assert kft.load(cleaned).predict(texts) == kft.load(trained.run).predict(texts)
    rows = tiny.write_table(tmp_path / "more.csv", 120, seed=5)
    assert kft.retrain(cleaned, rows, run=tmp_path / "next", quiet=True).found.ruling
    assert {each.path for each in kft.clean(tmp_path / "next").spare}, "its candidates have ended too"


def test_what_is_at_work_or_damaged_stays(folder):
    run = open_run(folder / "ended")
    with hold(run):
        assert kft.find_leftovers(run.path).kept == {str(run.path): "a process is at work in it"}
    best = json.loads((run.checkpoints / "best.json").read_text())["arrays"]["weights"]["file"]
    (run.checkpoints / best).write_bytes(b"half")
    before = files(folder)
    found = kft.clean(run.path)
    assert not found.spare and "the checkpoint is damaged" in found.kept[str(run.path)] and files(folder) == before
    (run.path / "metrics.json").unlink()
    assert "the test split is not scored yet" in kft.find_leftovers(run.path).kept[str(run.path)]


def test_a_run_that_links_lead_to_is_counted_once(folder):
    (folder / "again").symlink_to("ended")
    (folder.parent / "other").symlink_to("runs")
    (spare,) = kft.find_leftovers(folder.parent).spare
    before = files(folder / "ended")
    (gone,) = kft.clean(folder).spare
    after = files(folder / "ended")
    assert gone.bytes == spare.bytes == sum(before.values()) - sum(after.values()) + after["cleaned.json"]


def test_an_export_that_was_killed_goes_and_one_at_work_stays(tmp_path):
    for others in ("notes.tmp", ".mine.tmp", ".shipped.tmp"):
        (tmp_path / others).mkdir()
        (tmp_path / others / "kept").touch()
    with building(tmp_path / "shipped") as made:
        (made / "model.onnx").write_bytes(b"0" * 1000)
        assert kft.find_leftovers(tmp_path).spare == ()
        shutil.copytree(made, tmp_path / "run" / ".killed.kft.tmp")
    (tmp_path / "link").symlink_to("run")
    assert [(each.what, each.bytes) for each in kft.clean(tmp_path).spare] == [("an export that was killed", 1000)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(".mine.tmp", ".shipped.tmp", "link", "notes.tmp", "run", "shipped")
    ]
    assert len(list(tmp_path.glob("*.tmp/kept"))) == 3, "what is called alike and is nobody's export stays as it is"
