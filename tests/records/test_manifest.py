"""The manifest of a run: what was changed, is missing or was put there is told, and honest changes are not."""

import json
import shutil

import pytest

from kft.errors import RunError
from kft.records.document import write_document
from kft.records.manifest import (
    ALL,
    ANSWERS,
    START,
    begin,
    forget_results,
    is_intact,
    replace_sealed,
    require_intact,
    seal,
    sealing,
)
from kft.records.run_folder import RunFolder
from tests.records import made


@pytest.fixture
def run(tmp_path):
    """A run folder whose files stand for the real ones; the manifest does not look inside."""
    run = RunFolder(tmp_path / "run")
    for name in ALL:
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text(f"content of {name}")
    write_document(run.receipt, made.receipt(manifest=True))
    begin(run)
    seal(run, set(ALL) - set(START))
    return run


@pytest.mark.parametrize("name", ALL)
def test_a_file_that_was_changed_is_named_and_so_is_one_that_is_gone(run, name):
    assert require_intact(run, ALL) == ""
    path = run.path / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    with pytest.raises(RunError, match=f"{name} was changed after it was written") as failed:
        require_intact(run, ALL)
    assert f"kft evaluate {run.path}" in str(failed.value) or "train again" in str(failed.value)
    assert not is_intact(run, name)
    path.unlink()
    with pytest.raises(RunError, match=f"{name} is missing"):
        require_intact(run, ALL)
    path.write_bytes(content)
    assert require_intact(run, ALL) == ""


def test_what_somebody_else_put_there_is_told(run):
    (run.path / "calibration.json").unlink()
    seal(run, ("calibration.json",))
    assert require_intact(run, ANSWERS) == ""
    (run.path / "calibration.json").write_text("{}")
    with pytest.raises(RunError, match=r"calibration\.json was not written by this run") as failed:
        require_intact(run, ANSWERS)
    assert f"delete {run.path / 'calibration.json'}; kft evaluate {run.path}" in str(failed.value)


def test_a_manifest_that_is_gone_is_told_and_a_run_of_an_earlier_kft_is_read(run):
    run.manifest.unlink()
    with pytest.raises(RunError, match=r"manifest\.json is missing"):
        require_intact(run, ANSWERS)
    values = json.loads(run.receipt.read_text())
    del values["manifest"]
    run.receipt.write_text(json.dumps(values))
    assert "nothing says whether its files are as they were" in require_intact(run, ANSWERS)
    seal(run, ("metrics.json",))
    assert not run.manifest.exists(), "nobody vouches for what nobody knows"


def test_an_honest_change_is_vouched_for_and_another_is_not(run):
    run.confusion.write_text("changed by hand")
    with sealing(run, ("metrics.json", "confusion.csv")):
        replaced = run.path / "new"
        replaced.write_text("anew")
        replaced.rename(run.metrics)
        assert not is_intact(run, "metrics.json"), "while it is written, nobody vouches for it"
    assert is_intact(run, "metrics.json") and not is_intact(run, "confusion.csv")


def test_what_fails_while_it_is_written_is_vouched_for_no_more(run):
    with pytest.raises(RuntimeError), sealing(run, ("metrics.json",)):
        raise RuntimeError
    with pytest.raises(RunError, match="not completely"):
        require_intact(run, ("metrics.json",))


def test_a_file_that_is_replaced_is_right_before_and_after(run, monkeypatch):
    old, told = run.receipt.read_text(), []
    new = old + " "
    from kft.records import manifest

    def write(path, content):
        told.append(is_intact(run, "receipt.json"))
        path.write_text(content)
        told.append(is_intact(run, "receipt.json"))

    monkeypatch.setattr(manifest, "write_file", write)
    replace_sealed(run, "receipt.json", new)
    assert told == [True, True] and is_intact(run, "receipt.json")
    run.receipt.write_text(old)
    assert not is_intact(run, "receipt.json")


def test_results_are_forgotten_before_training_goes_on(run):
    forget_results(run)
    left = {path.name for path in run.path.iterdir()}
    assert left == {*START, "checkpoints", "history.jsonl", "manifest.json"}
    assert require_intact(run, ALL) == ""


def test_a_copy_of_a_run_is_as_good(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "elsewhere")
    assert require_intact(RunFolder(tmp_path / "elsewhere"), ALL) == ""
