"""`kft verify`: whatever is not as it was exported is found and named."""

import hashlib
import json
import os

import pytest

from kft.deploy.proof import prove, require_whole
from kft.errors import RunError
from kft.records.shipped import read_about
from tests.deploy.made import FILES, vouch, write_artifact
from tests.records.made import RECEIPT


def test_what_was_exported_is_whole(tmp_path):
    proof = prove(write_artifact(tmp_path / "a"))
    assert proof.problems == () and proof.n == len(FILES) and proof.signed == "no" and proof.forced == ()
    assert proof.model == f"tickets version {proof.about.version}: text-classification, onnx"
    assert (
        proof.receipt == RECEIPT
        and proof.digest == hashlib.sha256((tmp_path / "a" / "artifact.json").read_bytes()).hexdigest()
    )
    assert read_about(tmp_path / "a") == proof.about


@pytest.mark.parametrize("name", [*FILES, "artifact.json"])
@pytest.mark.parametrize("how", ["a byte", "gone", "cut", "longer"])
def test_a_change_of_any_file_is_found(tmp_path, name, how):
    path = write_artifact(tmp_path / "a") / name
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif name == "artifact.json":
        text = content.decode()
        path.write_text(
            {
                "a byte": text.replace('"tickets"', '"tickeds"'),
                "cut": text.replace(', "numpy"', "").replace('"set_aside": 0,', '"set_aside": 1,'),
                "longer": text.replace('"task"', '"more": 1, "task"'),
            }[how]
        )
    else:
        changed = {"a byte": bytes([content[0] ^ 1]) + content[1:], "cut": content[:-1], "longer": content + b"\n"}
        path.write_bytes(changed[how])
    if name == "artifact.json" and how == "gone":
        with pytest.raises(RunError, match="no artifact here"):
            prove(tmp_path / "a")
        return
    said = "is missing" if how == "gone" else "was changed"
    assert prove(tmp_path / "a").problems == (f"{name} {said}",)
    for read in (require_whole, read_about):
        with pytest.raises(RunError, match=f"the artifact is not as it was exported: {name} {said}"):
            read(tmp_path / "a")


def test_what_does_not_belong_there_is_found(tmp_path):
    folder = write_artifact(tmp_path / "a")
    (folder / "tokenizers.py").write_text("a module that run.py would import")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("")
    (folder / "link").symlink_to(folder / "card.md")
    os.mkfifo(folder / "pipe")
    assert set(prove(folder).problems) == {
        "tokenizers.py was not exported with it",
        ".git/config was not exported with it",
        "link is a link, not a file",
        "pipe is a device or pipe, not a file",
    }


def test_a_file_that_became_a_link_is_found(tmp_path):
    folder = write_artifact(tmp_path / "a")
    (folder / "card.md").rename(tmp_path / "card.md")
    (folder / "card.md").symlink_to(tmp_path / "card.md")
    assert prove(folder).problems == ("card.md is a link, not a file", "card.md is missing")


def test_names_outside_the_folder_are_not_believed(tmp_path):
    folder = write_artifact(tmp_path / "a")
    values = json.loads((folder / "artifact.json").read_text())
    values["files"]["../secret"] = values["files"]["card.md"]
    (folder / "artifact.json").write_text(json.dumps(values))
    assert "artifact.json names ../secret, which is no file of an artifact" in prove(folder).problems


def test_many_problems_are_told_in_short(tmp_path):
    folder = write_artifact(tmp_path / "a")
    for number in range(7):
        (folder / f"{number}.txt").write_text("")
    with pytest.raises(RunError, match=r"4\.txt was not exported with it and 2 more\n"):
        require_whole(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 2}, "artifact.json was written by a newer kft"),
        ({"schema_version": "1"}, "artifact.json is damaged"),
        ({"name": 3}, "artifact.json is damaged"),
        ({"files": None}, "artifact.json is damaged"),
    ],
)
def test_what_this_kft_cannot_read_is_refused(tmp_path, change, said):
    path = write_artifact(tmp_path / "a") / "artifact.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    for read in (prove, read_about):
        with pytest.raises(RunError) as caught:
            read(tmp_path / "a")
        assert caught.value.problem == said and caught.value.exit_code == 2


def test_without_its_files_it_vouches_for_nothing(tmp_path):
    path = write_artifact(tmp_path / "a") / "artifact.json"
    values = json.loads(path.read_text())
    del values["files"], values["digest"]
    path.write_text(json.dumps(values))
    assert prove(tmp_path / "a").problems[0] == "artifact.json was changed"
    with pytest.raises(RunError, match=r"artifact\.json was changed"):
        read_about(tmp_path / "a")


def test_no_json_at_all_is_refused(tmp_path):
    folder = write_artifact(tmp_path / "a")
    (folder / "artifact.json").write_text('{"name": ')
    with pytest.raises(RunError, match=r"artifact\.json cannot be read: Expecting value"):
        prove(folder)


def test_forced_is_told_and_is_no_damage(tmp_path):
    proof = prove(vouch(write_artifact(tmp_path / "a"), forced=("gate accuracy >= 0.9 (reached 0.8)",)))
    assert proof.forced == ("gate accuracy >= 0.9 (reached 0.8)",) and proof.problems == ()
