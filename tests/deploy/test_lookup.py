"""What a text names: an artifact, a version on a shelf, or neither."""

import shutil
from pathlib import Path

import fsspec
import pytest

from kft.data.remote import remote_root
from kft.deploy.lookup import artifact_of, resolve
from kft.deploy.shelf import Wish, promote, rollback
from kft.deploy.standing import ShelfReference
from kft.errors import RunError, UsageError
from tests.deploy.made import at


def test_what_is_not_there_is_named(to, made):
    promote(made[0], to, Wish())
    for pick, said in (("challenger", "tickets has no challenger"), (7, "tickets has no version 7")):
        with pytest.raises(RunError) as caught:
            at(to, pick)
        assert caught.value.problem == said and caught.value.expected == "champion (1), a version of 1"
    with pytest.raises(RunError, match=r"no ticket on this shelf; did you mean tickets\?") as caught:
        resolve(f"{to.shelf}/ticket")
    assert caught.value.received == "tickets"
    with pytest.raises(RunError, match="neither an artifact nor a name on a shelf: "):
        rollback(ShelfReference(f"{to.shelf}-2", "tickets"))


@pytest.mark.parametrize("named", ["table.csv", "table.csv/x"])
def test_a_file_is_no_artifact(tmp_path, named):
    (tmp_path / "table.csv").write_text("text\nhello\n")
    with pytest.raises(RunError, match="neither an artifact nor a name on a shelf"):
        resolve(tmp_path / named)


def test_a_folder_is_an_artifact_or_a_run_or_nothing(made, tmp_path):
    assert resolve(made[0]) == Path(made[0])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text("")
    with pytest.raises(RunError, match="this is a run, not an artifact") as caught:
        resolve(tmp_path / "run")
    assert "kft export" in caught.value.next_step
    with pytest.raises(RunError, match=r"neither an artifact nor a name on a shelf: .*/nothing"):
        resolve(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_what_names_an_artifact_and_what_does_not(to, made, tmp_path):
    promote(made[0], to, Wish())
    assert artifact_of(made[0]) == Path(made[0])
    assert artifact_of(f"{to.shelf}/tickets") == artifact_of(f"{to.shelf}/tickets@1") == at(to)
    (tmp_path / "run").mkdir()
    (tmp_path / "run@2").mkdir()
    for other in ("run", "run@2", "nothing"):
        assert artifact_of(tmp_path / other) is None
    with pytest.raises(UsageError, match="unknown alias 'champoin'"):
        artifact_of(f"{to.shelf}/tickets@champoin")


def test_an_artifact_behind_a_url(made, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    url = f"memory://{tmp_path.name}/plain"
    fsspec.filesystem("memory").put(made[0] + "/", url, recursive=True)
    assert (resolve(url) / "model.onnx").read_bytes() == Path(made[0], "model.onnx").read_bytes()


def test_behind_a_url_a_version_is_fetched_once(made, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    to = ShelfReference(f"memory://{tmp_path.name}/shelf", "tickets")
    promote(made[0], to, Wish())
    folder = at(to)
    store = fsspec.filesystem("memory")
    store.mv(f"{to.shelf}/tickets/1/model.onnx", f"{to.shelf}/aside")
    assert at(to) == folder, "the store is not asked for its files again"
    store.mv(f"{to.shelf}/aside", f"{to.shelf}/tickets/1/model.onnx")
    shutil.rmtree(remote_root())  # kft cache prune
    assert (at(to) / "model.onnx").read_bytes() == Path(made[0], "model.onnx").read_bytes()
