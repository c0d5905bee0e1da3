"""`kft verify`, `sign`, `promote`, `rollback` and `versions`, killed at any moment and on a full disk too."""

import json
import re
import shutil
from pathlib import Path

import pytest

import kft
from kft.deploy.proof import prove
from kft.deploy.standing import ShelfReference, read_standing, read_trail
from kft.errors import UsageError
from tests import forked
from tests.deploy.keys import write_keys
from tests.deploy.made import FILES, vouch, write_artifact


@pytest.fixture
def made(tmp_path):
    return [write_artifact(tmp_path / f"made-{seed}", seed) for seed in range(3)]


def test_from_artifacts_to_a_champion_and_back(kft_cli, made, tmp_path):
    code, out, err = kft_cli("promote", made[0], "tickets", "--why", "the first")
    assert "next       kft serve shelf/tickets answers; kft monitor shelf/tickets DATA" in err
    assert code == 0 and out == "champion   tickets version 1\nstored     shelf/tickets/1\n"
    code, out, err = kft_cli("promote", made[1], "tickets", "--alias", "challenger")
    assert "next       kft serve shelf/tickets@challenger answers" in err
    assert code == 0 and out == "challenger tickets version 2\nstored     shelf/tickets/2\n"
    code, out, _ = kft_cli("promote", "shelf/tickets@challenger", "tickets")
    assert code == 0 and out == "champion   tickets version 2, before it 1\nthere      shelf/tickets/2\n"
    code, out, _ = kft_cli("promote", made[1], "tickets")
    assert code == 0 and out == "unchanged  shelf/tickets/2 is what was asked for already\n"
    code, out, _ = kft_cli("rollback", "tickets", "--why", "complaints", "--json")
    done = json.loads(out)
    assert code == 0 and done["aliases"] == {"champion": 1} and done["move"]["why"] == "complaints"
    code, out, _ = kft_cli("versions", "tickets")
    assert code == 0 and "champion" in out and out.count("promote") == 3
    assert "rollback champion 2 -> 1: complaints" in out and "promote champion nothing -> 1: the first" in out
    code, out, _ = kft_cli("versions", "--json")
    (name,) = json.loads(out)["names"]
    assert name["name"] == "tickets" and [each["number"] for each in name["standing"]["versions"]] == [1, 2]
    assert [move["action"] for move in name["trail"]] == ["promote", "promote", "promote", "rollback"]
    lines = Path("shelf/tickets/trail.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == name["trail"]
    code, _, err = kft_cli("rollback", "tickets")
    assert code == 2 and "there is no champion before this one" in err


def test_the_gate_exits_1(kft_cli, made):
    vouch(made[0], forced=("gate accuracy >= 0.9 (reached 0.8)",))
    code, out, err = kft_cli("promote", made[0], "tickets")
    assert code == 1 and out == "" and not Path("shelf").exists()
    assert "this artifact is not promoted: exported with --force: gate accuracy >= 0.9 (reached 0.8)" in err
    code, out, _ = kft_cli("promote", made[0], "tickets", "--force")
    assert code == 0 and "forced     exported with --force: gate accuracy >= 0.9 (reached 0.8)" in out
    code, out, _ = kft_cli("versions", "tickets")
    assert "promote champion nothing -> 1, forced" in out and "gate accuracy" in out


def test_verify_tells_what_is_wrong(kft_cli, made):
    code, out, _ = kft_cli("verify", made[0])
    assert code == 0 and f"files      all {len(FILES)} are as they were exported" in out and "signed     no" in out
    assert "receipt    trained 2026-11-25T12:00:00+00:00, on minilm-l6, seed 0" in out
    assert (
        f"recipe     {'a' * 64}" in out
        and "parity     200 of 240 test rows as they were evaluated, within 1e-05" in out
    )
    assert re.search(r"model      tickets version [0-9a-f]{12}: text-classification, onnx\n", out)
    (made[0] / "card.md").write_text("")
    (made[0] / "more").write_text("")
    code, out, _ = kft_cli("verify", made[0])
    assert code == 1 and "wrong      card.md was changed\nwrong      more was not exported with it" in out
    code, out, _ = kft_cli("verify", made[0], "--json")
    found = json.loads(out)
    assert code == 1 and len(found["problems"]) == 2 and found["receipt"]["seed"] == 0 and "files" not in found
    code, _, err = kft_cli("verify", "nothing")
    assert code == 2 and "neither an artifact nor a name on a shelf: nothing" in err
    kft_cli("promote", made[1], "tickets")
    code, out, _ = kft_cli("verify", "shelf/tickets@champion")
    assert code == 0 and "artifact   shelf/tickets/1" in out


def test_sign_and_verify(kft_cli, made, tmp_path, monkeypatch):
    key, public = write_keys(tmp_path, password="open sesame")
    code, _, err = kft_cli("sign", made[0], "--key", key)
    assert code == 2 and "this is no private key that can be used" in err and "KFT_KEY_PASSWORD" in err
    monkeypatch.setenv("KFT_KEY_PASSWORD", "open sesame")
    code, _, err = kft_cli("sign", made[0], "--key", key)
    assert code == 0 and err == f"signed     {made[0]}/model.sig\n"
    kft_cli("promote", made[0], "tickets")
    code, out, _ = kft_cli("verify", "shelf/tickets", "--public-key", public)
    assert code == 0 and "signed     yes, by this key" in out
    code, out, _ = kft_cli("verify", made[1], "--public-key", public)
    assert code == 1 and "wrong      it is not signed" in out
    code, _, err = kft_cli("sign", "shelf/tickets", "--key", key)
    assert code == 2 and "a version on a shelf is not signed there" in err
    (made[1] / "card.md").write_text("")
    code, _, err = kft_cli("sign", made[1], "--key", key)
    assert code == 2 and "the artifact is not as it was exported: card.md was changed" in err
    assert not (made[1] / "model.sig").exists()


def test_nothing_passes_for_a_line_of_ours(kft_cli, made):
    """Names of files, reasons and words of whoever moved an alias are other people's."""
    (made[0] / "x\nfiles      all 6 are as they were exported").write_text("")
    code, out, _ = kft_cli("verify", made[0])
    assert code == 1 and not re.search(r"(?m)^files", out) and r"wrong      x\nfiles" in out
    for act in ("promote", "sign"):
        code, _, err = kft_cli(act, made[0], *(["tickets"] if act == "promote" else ["--key", "none"]))
        assert code in (1, 2) and not re.search(r"(?m)^files", err) and r"x\nfiles" in err
    vouch(made[1], forced=("a gate\n2026-01-01 root promote champion 1 -> 2",))
    kft_cli("promote", made[1], "tickets", "--force")
    for why in ("so\n2026-01-01 root promote champion 1 -> 2", "\udcff"):
        code, _, err = kft_cli("promote", made[2], "tickets", "--why", why)
        assert code == 2 and "control characters are refused" in err
    trail = Path("shelf/tickets/trail.jsonl")
    trail.write_text(trail.read_text().replace('"why": ""', r'"why": "so\n2026-01-01 root promote champion 1 -> 2"'))
    out = kft_cli("versions", "tickets")[1]
    assert not re.search(r"(?m)^2026-01-01", out) and r"forced: so\n2026-01-01" in out


def test_an_empty_shelf(kft_cli):
    code, out, err = kft_cli("versions", "--shelf", "none")
    assert code == 0 and out == "" and "nothing on none yet; kft promote ARTIFACT NAME --shelf none" in err
    assert not Path("none").exists()


def test_lines_that_somebody_took_out_of_the_trail(kft_cli, made):
    for each in made:
        kft_cli("promote", each, "tickets")
    trail = Path("shelf/tickets/trail.jsonl")
    lines = trail.read_text().splitlines(keepends=True)
    trail.write_text(lines[2])
    code, out, _ = kft_cli("versions", "tickets")
    assert code == 0 and "missing    the trail does not tell of moves 1, 2" in out
    assert json.loads(kft_cli("versions", "tickets", "--json")[1])["names"][0]["missing"] == [1, 2]


def test_the_shelf_comes_from_the_environment(kft_cli, made, monkeypatch):
    monkeypatch.setenv("KFT_SHELF", "elsewhere")
    assert kft_cli("promote", made[0], "tickets")[0] == 0 and Path("elsewhere/tickets/1").is_dir()


@pytest.mark.parametrize("name", ["a/b", ".hidden", "", "-x", "a b"])
def test_names_that_cannot_be(kft_cli, made, name):
    code, _, err = kft_cli("promote", made[0], "--", name)
    assert code == 2 and "this is no name for a model on a shelf" in err and not Path("shelf").exists()


def test_in_python(made, tmp_path):
    shelf = tmp_path / "shelf"
    assert kft.promote(made[0], "tickets", shelf=shelf).aliases == {"champion": 1}
    assert kft.verify(f"{shelf}/tickets").problems == ()
    (stand,) = kft.versions(shelf=shelf)
    assert stand.name == "tickets" and "champion" in str(stand)
    with pytest.raises(UsageError, match="unknown alias 'champoin'; did you mean 'champion'"):
        kft.promote(made[1], "tickets", shelf=shelf, alias="champoin")


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """A shelf with one champion, and the artifact that is to follow it: of many files."""
    folder = tmp_path_factory.mktemp("halfway")
    first, second = write_artifact(folder / "first"), write_artifact(folder / "second", 1)
    for number in range(8):
        (second / f"part-{number}").write_bytes(bytes([number]) * 3000)
    kft.promote(first, "tickets", shelf=folder / "shelf")
    return folder, vouch(second)


def _killed_at(moment, shelf, *command):
    return forked.run("tests.killed_at", moment, shelf, *command, "--shelf", shelf)


def test_promote_killed_at_any_moment(halfway, tmp_path):
    folder, second = halfway
    command = ("promote", second, "tickets")
    shutil.copytree(folder / "shelf", tmp_path / "0")
    whole = _killed_at(0, tmp_path / "0", *command)
    assert whole.returncode == 0, whole.stderr
    moments = int(whole.stderr.split()[-1])
    assert moments >= 20
    seen = set()
    for moment in range(1, moments + 1):
        shelf = Path(shutil.copytree(folder / "shelf", tmp_path / str(moment)))
        assert _killed_at(moment, shelf, *command).returncode == -9
        to = ShelfReference(str(shelf), "tickets")
        standing, champion = read_standing(to), read_standing(to).aliases["champion"]
        seen.add(champion)
        assert [each.number for each in standing.versions] == list(range(1, champion + 1))
        for each in standing.versions:
            assert kft.verify(f"{shelf}/tickets@{each.number}").problems == (), moment
        assert [move.version for move in read_trail(to)] == list(range(1, champion + 1))
        again = kft.promote(second, "tickets", shelf=shelf)
        assert again.aliases == {"champion": 2} and [move.version for move in read_trail(to)] == [1, 2]
        assert prove(shelf / "tickets" / "2").problems == ()
        left = {path.name for path in (shelf / "tickets").iterdir()}
        assert left == {".lock", "1", "2", "shelf.json", "trail.jsonl"}, moment
        assert len((shelf / "tickets" / "trail.jsonl").read_text().splitlines()) == 2
        shutil.rmtree(shelf)
    assert seen == {1, 2}


def test_promote_behind_a_url_killed_at_any_moment(halfway, tmp_path, monkeypatch):
    """file:// stands for gs://, where nothing is renamed, and the lock does not go with its process."""
    folder, second = halfway
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    shutil.copytree(folder / "shelf", tmp_path / "0")
    shelf = (tmp_path / "0").as_uri()
    whole = forked.run("tests.killed_at", 0, tmp_path / "0", "promote", second, "tickets", "--shelf", shelf)
    moments = int(whole.stderr.split()[-1])
    assert moments >= 18
    for moment in (1, 2, 3, 4, moments // 2, *range(moments - 4, moments + 1)):
        here = shutil.copytree(folder / "shelf", tmp_path / str(moment))
        shelf = here.as_uri()
        assert (
            forked.run("tests.killed_at", moment, here, "promote", second, "tickets", "--shelf", shelf).returncode == -9
        )
        to = ShelfReference(shelf, "tickets")
        champion = read_standing(to).aliases["champion"]
        assert [each.number for each in read_standing(to).versions] == list(range(1, champion + 1))
        assert [move.version for move in read_trail(to)] == list(range(1, champion + 1))
        assert kft.verify(f"{shelf}/tickets").problems == ()
        (here / "tickets" / "lock.json").unlink(missing_ok=True)  # as the error says
        assert kft.promote(second, "tickets", shelf=shelf).aliases == {"champion": 2}
        assert [move.version for move in read_trail(to)] == [1, 2] and kft.verify(f"{shelf}/tickets").problems == ()
        assert {path.name for path in (here / "tickets").iterdir()} == {".lock", "1", "2", "shelf.json", "trail.jsonl"}
        shutil.rmtree(here)


def test_rollback_killed_at_any_moment(halfway, tmp_path):
    folder, second = halfway
    start = Path(shutil.copytree(folder / "shelf", tmp_path / "start"))
    kft.promote(second, "tickets", shelf=start)
    shutil.copytree(start, tmp_path / "0")
    moments = int(_killed_at(0, tmp_path / "0", "rollback", "tickets").stderr.split()[-1])
    assert moments >= 3
    for moment in range(1, moments + 1):
        shelf = Path(shutil.copytree(start, tmp_path / str(moment)))
        assert _killed_at(moment, shelf, "rollback", "tickets").returncode == -9
        to = ShelfReference(str(shelf), "tickets")
        champion = read_standing(to).aliases["champion"]
        assert [move.version for move in read_trail(to)][2:] == ([] if champion == 2 else [1])
        if champion == 2:
            assert kft.rollback("tickets", shelf=shelf).aliases == {"champion": 1}


def test_a_full_disk(halfway, tmp_path):
    folder, second = halfway
    big = Path(shutil.copytree(second, tmp_path / "big"))
    (big / "model.onnx").write_bytes(b"x" * 200_000)
    vouch(big)
    shelf = Path(shutil.copytree(folder / "shelf", tmp_path / "shelf"))
    before = (shelf / "tickets" / "shelf.json").read_bytes()
    full = forked.run("tests.limited", "promote", big, "tickets", "--shelf", shelf)
    assert full.returncode == 3 and "the disk is full" in full.stderr, full.stderr
    assert "choose another shelf with --shelf FOLDER" in full.stderr
    assert (shelf / "tickets" / "shelf.json").read_bytes() == before
    assert kft.verify(f"{shelf}/tickets").problems == () and len(read_trail(ShelfReference(str(shelf), "tickets"))) == 1
    assert kft.promote(second, "tickets", shelf=shelf).aliases == {"champion": 2}
    assert sorted(path.name for path in (shelf / "tickets").glob(".*")) == [".lock"]


def test_a_trail_that_cannot_be_written(halfway, tmp_path):
    """The alias is moved by then: what is told says so, and the line comes with the next move."""
    folder, second = halfway
    shelf = Path(shutil.copytree(folder / "shelf", tmp_path / "shelf"))
    trail = shelf / "tickets" / "trail.jsonl"
    line = trail.read_text()
    padded = json.loads(line)
    padded["why"] = "x" * 49_800
    trail.write_text(json.dumps(padded) + "\n")
    full = forked.run("tests.limited", "promote", second, "tickets", "--shelf", shelf)
    assert full.returncode == 3 and "the alias was moved, but trail.jsonl could not be written" in full.stderr
    assert read_standing(ShelfReference(str(shelf), "tickets")).aliases == {"champion": 2}
    assert trail.read_text() == json.dumps(padded) + "\n"
    kft.rollback("tickets", shelf=shelf)
    assert [json.loads(each)["action"] for each in trail.read_text().splitlines()] == ["promote", "promote", "rollback"]
