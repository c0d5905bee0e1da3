"""The shelf: versions, aliases and the trail, on this disk and behind a URL."""

import hashlib
import multiprocessing
import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from kft.deploy import holding, lookup, shelf
from kft.deploy.shelf import Wish, promote, rollback
from kft.deploy.signing import SIGNATURE, sign_files
from kft.deploy.standing import ShelfReference, names_on, read_standing, read_trail
from kft.errors import GateError, RunError, StorageError, UsageError
from kft.records.metrics import GateResult
from tests.deploy.keys import write_keys
from tests.deploy.made import FILES, at, vouch, write_artifact


def test_versions_count_up_and_aliases_name_them(to, made):
    first = promote(made[0], to, Wish(why="the first"))
    assert (first.stored, first.move.version, first.move.previous) == (True, 1, None)
    promote(made[1], to, Wish("challenger"))
    assert dict(read_standing(to).aliases) == {"champion": 1, "challenger": 2}
    assert (at(to) / "model.onnx").read_bytes() == Path(made[0], "model.onnx").read_bytes()
    assert (at(to, "challenger") / "model.onnx").read_bytes() == Path(made[1], "model.onnx").read_bytes()
    for name in (*FILES, "artifact.json"):
        assert (at(to, 2) / name).read_bytes() == Path(made[1], name).read_bytes()
    won = promote(f"{to.shelf}/{to.name}@challenger", to, Wish(why="it is better"))
    assert (won.stored, won.move.version, won.move.previous) == (False, 2, 1)
    assert dict(read_standing(to).aliases) == {"champion": 2}, "what has won challenges nobody"
    trail = read_trail(to)
    assert [(m.number, m.action, m.alias, m.previous, m.version, m.why) for m in trail] == [
        (1, "promote", "champion", None, 1, "the first"),
        (2, "promote", "challenger", None, 2, ""),
        (3, "promote", "champion", 1, 2, "it is better"),
    ]
    assert all("@" in m.who and m.at and len(m.artifact) == 64 for m in trail) and trail[0].source == made[0]
    assert names_on(to.shelf) == ("tickets",)


def test_the_same_content_is_not_stored_twice(to, made, tmp_path):
    promote(made[0], to, Wish())
    promote(made[1], to, Wish())
    copy = shutil.copytree(made[0], tmp_path / "another name")
    again = promote(str(copy), to, Wish())
    assert (again.stored, again.move.version, again.move.previous) == (False, 1, 2)
    same = promote(made[0], to, Wish())
    assert same.move is None and len(read_trail(to)) == 3 and len(read_standing(to).versions) == 2


def test_rollback_goes_back_step_by_step(to, made):
    for each in made[:3]:
        promote(each, to, Wish())
    assert rollback(to, "complaints").move.version == 2
    assert rollback(to).move.version == 1
    with pytest.raises(RunError, match="there is no champion before this one") as caught:
        rollback(to)
    assert "version 1, the first champion" in caught.value.received
    promote(made[3], to, Wish())
    assert dict(read_standing(to).aliases) == {"champion": 4}
    assert rollback(to).move.version == 1, "the one before is the one that was champion, not the one that was stored"
    assert [(m.action, m.previous, m.version) for m in read_trail(to)][3:] == [
        ("rollback", 3, 2),
        ("rollback", 2, 1),
        ("promote", 1, 4),
        ("rollback", 4, 1),
    ]
    assert read_trail(to)[3].why == "complaints"


def test_the_gate(to, made):
    forced = str(write_artifact(Path(made[0]), 0, forced=("gate accuracy >= 0.9 (reached 0.8)",)))
    Path(made[1], "card.md").write_text("better than it is")
    for source, said in (
        (forced, "exported with --force: gate accuracy >= 0.9 (reached 0.8)"),
        (made[1], "card.md was changed"),
    ):
        with pytest.raises(GateError, match="this artifact is not promoted: ") as caught:
            promote(source, to, Wish())
        assert caught.value.received == said and caught.value.exit_code == 1
        with pytest.raises(RunError, match="neither an artifact nor a name on a shelf: "):
            read_standing(to)
    for number, source in enumerate((forced, made[1]), 1):
        done = promote(source, to, Wish(force=True))
        assert done.move.forced and read_standing(to).version(number).forced == done.move.forced
    assert read_trail(to)[1].forced == ("card.md was changed",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parity": None}, "nobody has held its answers against those that were evaluated"),
        ({"gates": {"accuracy": GateResult(">= 0.9", 0.8, False)}}, "gate accuracy >= 0.9 fails"),
    ],
)
def test_what_nobody_forced_is_no_way_around_the_gate(made, tmp_path, change, said):
    vouch(Path(made[0]), **change)
    with pytest.raises(GateError) as caught:
        promote(made[0], ShelfReference(str(tmp_path / "shelf"), "tickets"), Wish())
    assert caught.value.received == said


def test_what_cannot_answer_in_the_place_of_the_champion_is_refused_and_other_labels_are_told(to, made):
    assert promote(made[0], to, Wish()).changed == ""
    others = (
        ({"task": "text-regression", "labels": ()}, "text-regression on text in place of text-classification on text"),
        ({"labels": ("low", "high")}, "none of the labels of the model before, such as bad"),
    )
    for change, said in others:
        vouch(Path(made[1]), **change)
        for alias in ("champion", "challenger"):
            with pytest.raises(GateError) as caught:
                promote(made[1], to, Wish(alias))
            assert caught.value.received == said and len(read_standing(to).versions) == 1
    vouch(Path(made[1]), labels=("good", "news"))
    assert promote(made[1], to, Wish()).changed == "labels gone: bad; new: news"
    vouch(Path(made[2]), task="text-regression", labels=())
    assert promote(made[2], to, Wish(force=True)).move.forced == (
        "text-regression on text in place of text-classification on text",
    )


def test_a_damaged_copy_does_not_pass_for_the_whole_one(to, made, tmp_path):
    """Both have the same artifact.json."""
    damaged = shutil.copytree(made[0], tmp_path / "damaged")
    (damaged / "card.md").write_text("x")
    assert promote(str(damaged), to, Wish(force=True)).move.version == 1
    assert promote(made[0], to, Wish()).move.version == 2
    assert (at(to) / "card.md").read_bytes() == FILES["card.md"]
    assert promote(made[0], to, Wish("champion")).move is None


def test_a_version_that_was_damaged_on_the_shelf(made, tmp_path):
    to = ShelfReference(str(tmp_path / "shelf"), "tickets")
    promote(made[0], to, Wish())
    promote(made[1], to, Wish())
    (at(to, 1) / "card.md").write_text("x")
    with pytest.raises(RunError, match=r"card\.md was changed"):
        rollback(to)
    assert dict(read_standing(to).aliases) == {"champion": 2} and len(read_trail(to)) == 2
    again = promote(made[0], to, Wish())
    assert again.stored and again.move.version == 3
    (at(to) / "artifact.json").write_text("{}")
    with pytest.raises(RunError, match=r"version 3 of tickets is not what was promoted: artifact\.json was changed"):
        at(to)
    shutil.rmtree(tmp_path / "shelf" / "tickets" / "3")
    with pytest.raises(RunError, match="version 3 of tickets is not on the shelf any more"):
        at(to)


def test_a_champion_does_not_challenge_itself(to, made):
    promote(made[0], to, Wish())
    with pytest.raises(UsageError, match="version 1 of tickets is the champion: it cannot challenge itself"):
        promote(made[0], to, Wish("challenger"))


def test_a_signature_that_comes_later_joins_its_version(to, made, tmp_path):
    promote(made[0], to, Wish())
    key, _ = write_keys(tmp_path)
    sign_files(Path(made[0]), key)
    assert promote(made[0], to, Wish()).move is None
    lookup._fetched_once.cache_clear()
    assert (at(to) / SIGNATURE).read_bytes() == Path(made[0], SIGNATURE).read_bytes()
    promote(made[1], to, Wish())
    shutil.copytree(made[0], tmp_path / "unsigned", ignore=shutil.ignore_patterns(SIGNATURE))
    signature = promote(str(tmp_path / "unsigned"), to, Wish()).move.signature
    assert signature == hashlib.sha256(Path(made[0], SIGNATURE).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", r"shelf\.json cannot be read: Expecting property name"),
        (b'{"schema_version": 99}', r"shelf\.json was written by a newer kft"),
        (b'{"versions": 3}', r"shelf\.json is damaged"),
    ],
)
def test_a_damaged_shelf_is_refused(to, made, content, said):
    promote(made[0], to, Wish())
    to.storage.write("shelf.json", content)
    for act in (lambda: at(to), lambda: promote(made[1], to, Wish()), lambda: rollback(to), lambda: read_trail(to)):
        with pytest.raises(RunError, match=said):
            act()
    assert to.storage.read("shelf.json") == content


def test_a_damaged_trail_is_refused(to, made):
    promote(made[0], to, Wish())
    to.storage.append("trail.jsonl", b"what?\n")
    for act in (lambda: read_trail(to), lambda: promote(made[1], to, Wish())):
        with pytest.raises(RunError, match=r"trail\.jsonl is damaged") as caught:
            act()
        assert "line 2" in caught.value.where
    assert at(to).is_dir() and dict(read_standing(to).aliases) == {"champion": 1}


def test_a_shelf_that_is_lost_or_older_than_its_trail(to, made):
    """Else the next version would be written over one that the trail tells of."""
    promote(made[0], to, Wish())
    old = to.storage.read("shelf.json")
    promote(made[1], to, Wish())
    to.storage.write("shelf.json", old)
    with pytest.raises(RunError, match=r"trail\.jsonl tells of moves that shelf\.json does not know") as caught:
        promote(made[2], to, Wish())
    assert caught.value.received == "1 moves in shelf.json, 2 in trail.jsonl"
    to.storage.remove("shelf.json")
    with pytest.raises(RunError, match=r"trail\.jsonl tells of moves that shelf\.json does not know"):
        promote(made[2], to, Wish())
    for number in (1, 2):
        whole = Path(made[number - 1], "model.onnx").read_bytes()
        assert to.storage.read(f"{number}/model.onnx") == whole


def test_a_shelf_that_lost_all_but_its_versions(to, made):
    for each in made[:3]:
        promote(each, to, Wish())
    to.storage.remove("shelf.json")
    to.storage.remove("trail.jsonl")
    with pytest.raises(RunError, match=r"shelf\.json does not name folders that stand beside it") as caught:
        promote(made[3], to, Wish())
    assert caught.value.received == "2, 3, where version 1 would be the next"
    assert to.storage.read("1/model.onnx") == Path(made[0], "model.onnx").read_bytes()


def test_a_version_that_somebody_removed(to, made):
    promote(made[0], to, Wish())
    promote(made[1], to, Wish())
    to.storage.clear("1")
    lookup._fetched_once.cache_clear()
    for act in (lambda: at(to, 1), lambda: rollback(to)):
        with pytest.raises(RunError, match="version 1 of tickets is not on the shelf any more"):
            act()
    assert promote(made[0], to, Wish()).move.version == 3 and rollback(to).move.version == 2


def test_a_line_of_the_trail_that_a_killed_process_did_not_write(to, made):
    for each in made[:2]:
        promote(each, to, Wish())
    whole = to.storage.read("trail.jsonl")
    first = whole.splitlines(keepends=True)[0]
    for left in (first, first + b'{"number": 2, "at": "20'):
        to.storage.write("trail.jsonl", left)
        assert [move.number for move in read_trail(to)] == [1, 2] and to.storage.read("trail.jsonl") == left
        promote(made[1], to, Wish())  # changes nothing, but writes what is missing
        assert to.storage.read("trail.jsonl") == whole


def test_an_artifact_that_changes_while_it_is_copied(to, made, monkeypatch):
    promote(made[0], to, Wish())
    proved = shelf.prove

    def then_changed(*arguments):
        found = proved(*arguments)
        Path(made[1], "run.py").write_text("something else")
        return found

    monkeypatch.setattr(shelf, "prove", then_changed)
    with pytest.raises(RunError, match="the artifact was changed while it was copied"):
        promote(made[1], to, Wish())
    assert dict(read_standing(to).aliases) == {"champion": 1} and len(read_standing(to).versions) == 1


def _promote_each(seeds, shelf_, folder):
    for seed in seeds:
        promote(f"{folder}/made-{seed}", ShelfReference(shelf_, "tickets"), Wish())
    os._exit(0)


def test_two_processes_at_once(made, tmp_path):
    to = ShelfReference(str(tmp_path / "shelf"), "tickets")
    fork = multiprocessing.get_context("spawn")
    shares = ([0, 1, 2, 0, 1], [2, 3, 4, 3, 4])
    workers = [fork.Process(target=_promote_each, args=(share, to.shelf, str(tmp_path))) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    stands, trail = read_standing(to), read_trail(to)
    assert [version.number for version in stands.versions] == [1, 2, 3, 4, 5], "each content once"
    assert [move.number for move in trail] == list(range(1, len(trail) + 1)) and trail[-1] == stands.last
    for before, after in pairwise(trail):
        assert after.previous == before.version
    for version in stands.versions:
        at(to, version.number)


def test_behind_a_url_a_process_waits_for_the_other(made, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    to = ShelfReference(f"memory://{tmp_path.name}/shelf", "tickets")
    promote(made[0], to, Wish())
    assert to.storage.create("lock.json", b'{"pid": 7, "host": "elsewhere"}')
    monkeypatch.setattr(holding, "WAIT_SECONDS", 0.05)
    waited = []
    with pytest.raises(StorageError, match="another process holds this name on the shelf") as caught:
        promote(made[1], to, Wish(), lambda: waited.append(1))
    assert caught.value.received == '{"pid": 7, "host": "elsewhere"}' and waited == [1]
    assert caught.value.next_step.endswith(f"if it was killed, remove {to.shelf}/tickets/lock.json")
    assert dict(read_standing(to).aliases) == {"champion": 1}
    to.storage.remove("lock.json")
    assert promote(made[1], to, Wish()).move.version == 2 and to.storage.read("lock.json") is None


def test_a_shelf_that_cannot_be_written(made, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="a file cannot be written") as caught:
        promote(made[0], ShelfReference(str(tmp_path / "file"), "tickets"), Wish())
    assert caught.value.next_step == "choose another shelf with --shelf FOLDER"
