"""The fourth question: what ships, what a monitor said last, what retraining came to, or the command that tells."""

import shutil
from dataclasses import replace
from hashlib import sha256

import pytest

from kft.api.reporting import report
from kft.errors import RunError
from kft.records.document import read_document, write_document
from kft.records.estimate import Estimate
from kft.records.exported import Exported, Exports, read_exports
from kft.records.monitored import MonitorResult
from kft.records.retrained import Duel, NewRows, Retraining, Ruling
from kft.records.run_folder import RunFolder
from kft.report.card import render_card
from kft.report.questions import four_questions
from kft.report.record import read_record
from kft.report.run_page import render_run
from tests.report import runs
from tests.watched import accuracy, watched


@pytest.fixture
def run(tmp_path):
    return runs.write_run(tmp_path / "runs" / "reviews-1")


def evidence(record):
    (question,) = (each for each in four_questions(record) if each.name == "maintainable")
    return {each.text: each.tone for each in question.evidence}


def said(record, words):
    (found,) = ((text, tone) for text, tone in evidence(record).items() if words in text)
    return found


def export(run, *, version="3f9c2a7d1b20", reference=True, **changes):
    folder = run.path.parent.parent / f"artifact-{version}"
    folder.mkdir()
    (folder / "artifact.json").write_text("{}")
    made = Exported(str(folder), "reviews", version, "onnx", "2026-11-20T10:00:00+00:00", reference)
    write_document(run.exported, Exports((*read_exports(run), replace(made, **changes))))
    return folder


def retrained(run, *, passes, folder="reviews-retrain-1"):
    """retrain.json of a challenger beside a run."""
    (run.checkpoints).mkdir(exist_ok=True)
    (run.checkpoints / "best.json").write_text('{"champion": 1}')
    best = sha256((run.checkpoints / "best.json").read_bytes()).hexdigest()
    place = run.path.parent / folder / "warm"
    place.mkdir(parents=True)
    level = Estimate(0.7, 0.6, 0.8)
    duel = Duel("old", 240, "accuracy", True, level, level, Estimate(0.0, -0.01, 0.01))
    found = Retraining(
        champion=str(run.path),
        champion_checkpoint=best,
        challenger=str(place),
        challenger_checkpoint="e" * 64,
        rows=NewRows("new.csv", "new.csv", 100, 60, 20, 20, 0, 0, 0, 0, 0, 0),
        start="warm",
        start_why="valid",
        candidates=(),
        old=duel,
        new=replace(duel, part="new"),
        failed_gates=(),
        ruling=Ruling(passes, 0.01, ("on new rows it is better",) if passes else ("on new rows it is not better",)),
    )
    write_document(place / "retrain.json", found)
    return place


def test_where_nothing_is_known_it_says_which_command_tells(run):
    record = read_record(run)
    text, tone = said(record, "exported model")
    assert tone == "missing" and f"kft export {run.path} DEST" in text
    text, tone = said(record, "has been asked since")
    assert tone == "missing" and "kft monitor ARTIFACT DATA --state watch -o watch" in text
    assert f"kft report {run.path} --monitor watch" in text
    text, tone = said(record, "a next run")
    assert tone == "missing" and f"kft retrain {run.path} --with LABELLED_FILE" in text
    card = render_card(record)
    assert "kft monitor ARTIFACT DATA --state watch -o watch, then kft report reviews-1 --monitor watch" in card
    assert str(run.path.parent) not in card


def test_a_card_that_goes_along_tells_of_its_own_artifact(run):
    export(run)
    ships = Exported("", "reviews", "", "litert", "2026-11-22T10:00:00+00:00", reference=True)
    card = render_card(replace(read_record(run), ships=ships))
    assert "it was exported as litert, on 2026-11-22, with a reference" in card
    assert "an exported model with proof" not in card and "kft export" not in card
    assert "kft monitor ARTIFACT DATA" in card and str(run.path.parent) not in card


def test_an_artifact_with_a_reference_without_one_forced_or_gone(run):
    folder = export(run)
    assert said(read_record(run), "exported as onnx") == (
        "it was exported as onnx, version 3f9c2a7d1b20, on 2026-11-20, with a reference that new rows are held against",
        "good",
    )
    assert f"kft monitor {folder} DATA" in said(read_record(run), "has been asked since")[0]
    (folder / "artifact.json").unlink()
    text, tone = said(read_record(run), "exported model")
    assert tone == "missing" and text.endswith(f"{folder} is not there any more")
    export(run, version="aaaa", reference=False)
    assert said(read_record(run), "without a reference")[1] == "warning"
    export(run, version="bbbb", forced=("gate accuracy fails",))
    assert said(read_record(run), "though gate accuracy fails")[1] == "warning"


def test_what_the_monitor_said_last(run):
    record = read_record(run)
    calm = replace(record, monitored=watched(shift=0.0))
    assert said(calm, "no alarm") == (
        "2,880 rows in 24 windows were watched: no alarm, of which any is false with a chance of 1 %",
        "good",
    )
    drift = replace(record, monitored=watched())
    text, tone = said(drift, "has changed")
    assert tone == "warning" and "since 2026-11-13" in text and "next: label what is new: kft queue" in text
    text, tone = said(drift, "2,880 new rows")
    assert tone == "error" and "0.684 [0.641, 0.722]" in text and "0.787 [0.759, 0.814] on the test rows" in text
    refused = accuracy(value=None, low=None, high=None, refused=("the inputs are too foreign",))
    text, tone = said(replace(record, monitored=watched(accuracy=refused)), "how good it is by now")
    assert (text, tone) == ("how good it is by now: the inputs are too foreign", "missing")
    fine = accuracy(value=0.78, low=0.75, high=0.8)
    assert said(replace(record, monitored=watched(accuracy=fine)), "2,880 new rows")[1] == "good"
    fallen = accuracy(value=0.72, low=0.65, high=0.79)  # below the interval on the test rows, though it may be chance
    assert said(replace(record, monitored=watched(accuracy=fallen)), "2,880 new rows")[1] == "warning"
    assert said(replace(record, monitored=watched(rows=0)), "no row has come")[1] == "missing"
    assert "has changed" in render_run(drift) and "has changed" in render_card(drift)


def test_what_retraining_came_to(run):
    place = retrained(run, passes=False)
    assert said(read_record(run), "a challenger was tried") == (
        "a challenger was tried and is not better (reviews-retrain-1): on new rows it is not better",
        "good",
    )
    retrained(run, passes=True, folder="reviews-retrain-2")
    text, tone = said(read_record(run), "a challenger is better")
    assert tone == "warning" and "reviews-retrain-2" in text
    (place / "retrain.json").write_text("{")  # of another folder: it says nothing of this run
    assert not [text for text in evidence(read_record(run)) if "was tried" in text]
    # A champion that was a challenger lies in a folder of its own retraining: the next one lies beside that.
    own = run.path.parent / "reviews-retrain-0" / "warm"
    shutil.copytree(run.path, own)
    (own / "retrain.json").write_bytes((run.path.parent / "reviews-retrain-2" / "warm" / "retrain.json").read_bytes())
    assert "reviews-retrain-2" in said(read_record(RunFolder(own)), "a challenger is better")[0]
    # Trained again since, the champion is another model.
    (run.checkpoints / "best.json").write_text('{"champion": 2}')
    assert said(read_record(run), "a next run")[1] == "missing"
    # The challenger's own report.
    found = read_record(run)
    own = run.path.parent / "reviews-retrain-2" / "warm" / "retrain.json"
    run.retrained.write_bytes(own.read_bytes())
    text, tone = said(read_record(run), "it was retrained from")
    assert tone == "good" and text.endswith("on new rows it is better") and found.challenged is None


def test_a_monitor_is_read_back_and_one_of_another_artifact_is_refused(run, tmp_path):
    result = watched()
    write_document(tmp_path / "watch" / "monitor.json", result)
    with pytest.raises(RunError, match="watches an artifact of another run") as error:
        report(run.path, monitor=tmp_path / "watch", quiet=True)
    assert "an artifact of this run, which has none" in str(error.value)
    export(run, version="other")
    with pytest.raises(RunError, match="watches an artifact of another run") as error:
        report(run.path, monitor=tmp_path / "watch", quiet=True)
    assert "expected: one of other" in str(error.value)
    with pytest.raises(RunError, match=r"no monitor\.json") as error:
        report(run.path, monitor=tmp_path, quiet=True)
    assert "kft monitor ARTIFACT DATA -o" in str(error.value)
    again = read_document(MonitorResult, tmp_path / "watch" / "monitor.json")
    assert (again.alarms, again.windows, again.accuracy) == (result.alarms, result.windows, result.accuracy)
