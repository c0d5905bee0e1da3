"""Long work: what has become of it is told from files, to a page and to a server that are started again too."""

import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest

from kft.errors import RunError, StorageError
from kft.ui.jobs import CommandJob, Jobs
from kft.ui.telling import epochs_of, for_the_page, last_note, said_error, told
from tests.waiting import wait_until


def until_ended(jobs, job):
    wait_until(lambda: jobs.ended(job) is not None)


@pytest.fixture
def ended(folder):
    """A training that ended, as its files tell it."""

    def make(code, *, out="", log=""):
        place = folder / ".kft-ui" / "0007-train"
        place.mkdir(parents=True, exist_ok=True)
        job = CommandJob(
            "0007-train", "train", "a.yaml", "runs/a-1", "kft train a.yaml --run runs/a-1", 2**22 + 1, 1, time.time()
        )
        (place / "job.json").write_text(json.dumps(vars(job)))
        (place / "out.json").write_text(out)
        (place / "log.txt").write_text(log)
        if code is not None:
            (place / "code").write_text(str(code))
        return told(Jobs(folder), Jobs(folder).get("0007-train"))

    return make


def test_a_refusal_is_told_in_the_words_of_the_command(folder):
    jobs = Jobs(folder)
    job = jobs.start("check", ["missing.yaml"], recipe="missing.yaml")
    with pytest.raises(RunError, match="something else is still at work here") as refused:
        jobs.start("train", ["missing.yaml"], recipe="missing.yaml")
    assert refused.value.received == "kft check missing.yaml" and "wait until it is done" in refused.value.next_step
    until_ended(jobs, job)
    found = told(Jobs(folder), job)  # another server
    assert found["state"] == "refused" and found["result"] is None
    assert "missing.yaml" in str(found["error"]) and found["error"]["next_step"]


def test_nothing_goes_on_that_nobody_could_know_of(folder, monkeypatch):
    started = []

    def full(source, target):
        started.append(json.loads(Path(source).read_text())["pid"])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("kft.records.files.os.replace", full)
    with pytest.raises(StorageError, match="the disk is full"):
        Jobs(folder).start("train", ["missing.yaml"], recipe="missing.yaml", run="runs/a-1")
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)
    assert list((folder / ".kft-ui").iterdir()) == []


def test_a_killed_process_is_told_with_its_signal(folder):
    jobs = Jobs(folder)
    job = jobs.start("train", ["missing.yaml"], recipe="missing.yaml", run="runs/a-1")
    assert jobs.state(job) == "running" and Jobs(folder).state(job) == "running"
    os.kill(job.pid, signal.SIGKILL)
    until_ended(jobs, job)
    found = told(jobs, job)
    assert found["state"] == "killed" and found["resumable"]
    assert found["error"]["problem"] == "the training was killed from outside, before it could say why"
    assert "SIGKILL, mostly because the memory was used up" in found["error"]["received"]
    assert "Go on where it stopped" in found["error"]["next_step"]


@pytest.mark.parametrize(
    ("code", "out", "state", "problem"),
    [
        (0, '{"run": "runs/a-1"}', "done", ""),
        (1, '{"findings": []}', "done", ""),
        (None, '{"run": "runs/a-1"}', "done", ""),  # it ended while no server looked
        (None, "", "gone", "the training is gone without a word"),
        (0, "", "failed", "the training ended without a word of why"),
        (0, '{"run": ', "failed", "the training ended without a word of why"),
        (3, "", "failed", "the training ended without a word of why"),
        (143, "", "stopped", "the training was stopped, as it was asked to"),
        (130, "", "stopped", "the training was stopped, as it was asked to"),
        (137, "", "killed", "the training was killed from outside"),
        (-11, "", "killed", "the training was killed from outside"),
    ],
)
def test_each_end_is_told(ended, code, out, state, problem):
    found = ended(code, out=out)
    assert found["state"] == state
    assert found["resumable"] == (state != "done")
    assert (found["error"] or {}).get("problem", "").startswith(problem)
    assert state == "done" or "Go on where it stopped" in found["error"]["next_step"]


def test_a_refusal_that_no_server_saw_is_told_in_its_own_words(ended):
    found = ended(None, log="error no column 'queue'\n  where:    a.csv\n")
    assert found["state"] == "gone" and found["error"]["problem"] == "no column 'queue'"


def test_a_process_of_the_same_number_is_another_one(folder, ended):
    ended(None)
    job = Jobs(folder).get("0007-train")
    mine = CommandJob(**{**vars(job), "pid": os.getpid()})  # alive, and born at another time
    assert Jobs(folder).state(mine) == "gone"
    Jobs(folder).stop(mine)  # and so this process goes on


def test_names_of_jobs_lead_nowhere_else(page):
    for name in ("0001-train%2f..", "0001-rm", "x"):
        assert page.get(f"/jobs/{name}").status_code in (404, 422)


def test_an_error_keeps_its_parts_and_lines():
    log = "data       3 rows\nerror the recipe is not valid\n  where:    a.yaml\n  received: one\n            two\n"
    parts = {"problem": "the recipe is not valid", "where": "a.yaml", "received": "one\ntwo", "next_step": "mend it"}
    assert said_error(log + "  next:     mend it\n") == parts
    assert said_error("an error was not there") is None


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        ("kft init ./a b.csv --label COLUMN, with one of: x, y", "choose the label under “Columns”, one of: x, y"),
        ("lists: kft init a.csv --task text-multi-label", "lists: choose text-multi-label under “What is learnt”"),
        ("save the table as csv in UTF-8", "save the table as csv in UTF-8"),
    ],
)
def test_a_next_step_names_what_the_page_has(step, shown):
    assert for_the_page(step) == shown


def test_epochs_are_read_while_they_are_written(folder):
    from kft.records.run_folder import RunFolder

    run = RunFolder(folder / "runs" / "a-1")
    assert epochs_of(run) == []
    run.path.mkdir(parents=True)
    line = {"event": "epoch", "phase": "full", "epoch": 1, "step": 9, "loss": float("nan"), "is_best": True}
    line |= {"valid_loss": 0.5, "valid_accuracy": 0.75}
    run.history.write_text(
        json.dumps({"event": "phase", "phase": "full"}) + "\n" + json.dumps(line) + '\n{"event": "ep'
    )
    assert epochs_of(run) == [
        {
            "phase": "full",
            "epoch": 1,
            "loss": None,
            "valid_loss": 0.5,
            "metric": "accuracy",
            "value": 0.75,
            "is_best": True,
        }
    ]


def test_the_last_note_is_no_row_of_a_table():
    log = "backbone   minilm-l6, 22,713,216 parameters\nfull 1/3  loss 0.5\n  stem   1,000\n"
    assert last_note(log) == "backbone: minilm-l6, 22,713,216 parameters"
