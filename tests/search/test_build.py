"""Building: what is stored, updates that compute only what is new, kills, and what is refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

import kft
from kft.deploy.load import open_artifact
from kft.errors import DataError, RunError, UsageError
from kft.search import build
from kft.search.build import IndexSpec, build_index
from kft.search.contents import StoredDocument, write_texts
from kft.search.documents import find_documents
from kft.search.embedding import KnownVectors, embed
from tests import forked
from tests.search.made import write_model


def files(dest):
    """The content of an index, but for when it was built."""
    about = json.loads((dest / "index.json").read_text())
    folder = dest / about["folder"]
    content = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return content, {key: value for key, value in about.items() if key not in ("created", "digest")}


def test_what_is_stored(built, model, table):
    about = built.about
    assert (about.documents, about.passages, built.computed) == (40, 40, 40)
    assert (built.added, built.changed, built.removed) == (40, 0, 0)
    index = kft.open_index(built.index).index
    vectors = index.contents.vectors
    assert vectors.dtype == np.float16 and np.allclose(np.linalg.norm(vectors.astype(float), axis=1), 1, atol=2e-3)
    expected = open_artifact(model).vectors([table["text"][3]])[0]
    assert vectors[3].astype(float) @ expected / np.linalg.norm(expected) == pytest.approx(1, abs=1e-3)
    assert sorted(path.name for path in built.index.iterdir() if path.name[0] != ".") == ["000001", "index.json"]


def test_long_documents_become_passages_with_their_places(model, tmp_path):
    text = "The refund of the invoice is a payment.\n\n" + "My parcel and the courier in customs. " * 8
    done = kft.index(model, pd.DataFrame({"id": ["a"], "text": [text]}), tmp_path / "i", passage_tokens=16, quiet=True)
    found = kft.open_index(tmp_path / "i").search("refund invoice").results[0]
    assert done.about.passages > 4
    assert found.text == text[found.start : found.stop] == "The refund of the invoice is a payment."


def test_an_update_computes_what_is_new_and_equals_an_index_built_at_once(model, table, tmp_path):
    dest = tmp_path / "index"
    kft.index(model, table[:30], dest, quiet=True)
    after = table[5:].assign(text=[f"{text} Customs." if row == 7 else text for row, text in table["text"][5:].items()])
    done = kft.index(model, after, dest, update=True, quiet=True)
    assert (done.added, done.changed, done.removed, done.computed) == (10, 1, 5, 11)
    fresh = kft.index(model, after, tmp_path / "fresh", quiet=True)
    (one, _), (two, _) = files(dest), files(tmp_path / "fresh")
    vectors = [kft.open_index(each).index.contents.vectors.astype(float) for each in (dest, fresh.index)]
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-3
    assert {name: each for name, each in one.items() if name != "vectors.npy"} == {
        name: each for name, each in two.items() if name != "vectors.npy"
    }
    assert not (dest / "000001").exists()


def test_an_update_keeps_its_queries_and_tells_which_are_lost(built, model, table, tmp_path):
    dest = shutil.copytree(built.index, tmp_path / "index")
    done = kft.index(model, table[4:], dest, update=True, quiet=True)
    assert done.queries_lost == 4 and done.about.weighing.queries == 33
    assert done.about.promise.error == 0.3


def test_an_update_that_takes_most_documents_out_has_to_be_meant(built, model, table, tmp_path):
    dest = shutil.copytree(built.index, tmp_path / "index")
    before = files(dest)
    with pytest.raises(DataError, match="the update would take 30 of 40 documents out"):
        kft.index(model, table[:10], dest, update=True, quiet=True)
    assert files(dest) == before
    assert kft.index(model, table[:10], dest, update=True, remove_many=True, quiet=True).removed == 30


def test_texts_that_repeat_are_computed_once(model, tmp_path):
    table = pd.DataFrame({"id": list("abc"), "text": ["my guitar", "my guitar", "my violin"]})
    assert kft.index(model, table, tmp_path / "i", quiet=True).computed == 2


def test_killed_anywhere_it_goes_on_and_ends_equal(model, table, queries, tmp_path):
    table.to_csv(tmp_path / "rows.csv", index=False)
    queries.to_csv(tmp_path / "queries.csv", index=False)
    command = ["index", model, tmp_path / "rows.csv", "--queries", tmp_path / "queries.csv", "--quiet", "-o"]
    whole = forked.run("tests.killed_at", 0, tmp_path / "whole", *command, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    changes = int(whole.stderr.strip().splitlines()[-1])
    assert changes > 20
    for number, at in enumerate(np.linspace(2, changes, 5).astype(int)):
        dest = tmp_path / f"killed-{number}"
        assert forked.run("tests.killed_at", at, dest, *command, dest).returncode == -9
        if (dest / "index.json").exists():  # it was whole already
            kft.open_index(dest)
            again = forked.run("tests.killed_at", 0, dest, *command, dest, "--update")
        else:
            again = forked.run("tests.killed_at", 0, dest, *command, dest)
        assert again.returncode == 0, again.stderr
        assert files(dest)[0] == files(tmp_path / "whole")[0]


def test_blocks_of_another_model_or_damaged_ones_are_not_taken(model, table, tmp_path):
    ours, other = open_artifact(model), open_artifact(write_model(tmp_path / "other", 1))
    wanted, dest = IndexSpec(find_documents(table)), tmp_path / "index"
    blocks = dest / "unfinished" / "blocks"
    texts = write_texts(tmp_path / "texts", iter(StoredDocument(str(n), f"text {n}", [(0, 6)]) for n in range(3)))
    embed(texts, other, KnownVectors.read(blocks, other.about.digest))
    (damaged,) = blocks.rglob("*.npy")
    mine = KnownVectors.read(blocks, ours.about.digest).blocks
    mine.mkdir()
    (mine / "00000000.npy").write_bytes(damaged.read_bytes()[:-1])
    (mine / "00000001.npy").write_bytes(b"nothing")
    assert not KnownVectors.read(blocks, ours.about.digest).places
    assert len(KnownVectors.read(blocks, other.about.digest).places) == 3
    done = build_index(wanted, ours, dest)
    assert done.computed == 40 and not blocks.exists()


def test_what_is_refused_leaves_nothing(model, table, tmp_path):
    dest = tmp_path / "index"
    with pytest.raises(DataError, match="1 document cannot be used"):
        kft.index(model, pd.DataFrame({"id": ["a", "b"], "text": ["fine", " "]}), dest, quiet=True)
    with pytest.raises(DataError, match="no document can be used"):
        kft.index(model, pd.DataFrame({"id": ["b"], "text": [" "]}), dest, skip_unusable=True, quiet=True)
    with pytest.raises(UsageError, match="no share of errors"):
        kft.index(model, table, dest, error=1.5, quiet=True)
    assert not (dest / "index.json").exists()
    done = kft.index(
        model, pd.DataFrame({"id": ["a", "b"], "text": ["fine", " "]}), dest, skip_unusable=True, quiet=True
    )
    assert [(each.document, each.why) for each in done.about.left_out] == [("b", "empty text")]


def test_a_folder_that_is_taken(built, model, table, tmp_path):
    with pytest.raises(RunError, match="there is an index already"):
        kft.index(model, table, built.index, quiet=True)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="the folder is not empty, and no index"):
        kft.index(model, table, tmp_path, quiet=True)
    with pytest.raises(RunError, match="no index here"):
        kft.index(model, table, tmp_path / "none", update=True, quiet=True)


def test_one_process_at_a_time(built, model, table):
    with FileLock(str(built.index / ".lock")), pytest.raises(RunError, match="another process is at work"):
        kft.index(model, table, built.index, update=True, quiet=True)


@pytest.mark.parametrize("update", [False, True])
def test_an_index_that_another_process_has_built_meanwhile_is_not_replaced(model, table, tmp_path, monkeypatch, update):
    dest, plan = tmp_path / "index", build._plan
    if update:
        kft.index(model, table[:9], dest, quiet=True)

    def planned(*given):  # between the look at the folder and the lock, another one begins and ends
        monkeypatch.setattr(build, "_plan", plan)
        kft.index(model, table[:12], dest, update=update, quiet=True)
        return plan(*given)

    monkeypatch.setattr(build, "_plan", planned)
    with pytest.raises(RunError, match="another process has built or changed this index meanwhile"):
        kft.index(model, table[:10], dest, update=update, quiet=True)
    assert kft.open_index(dest).index.about.documents == 12


def test_another_model_cannot_update(built, table, tmp_path):
    with pytest.raises(RunError, match="the artifact is not the one that made this index"):
        kft.index(write_model(tmp_path / "other", 1), table, built.index, update=True, quiet=True)


def test_a_model_without_vectors_is_refused(table, tmp_path):
    model = write_model(tmp_path / "other", outputs=("probabilities",))
    with pytest.raises(UsageError, match="the model gives no vector of a text"):
        kft.index(model, table, tmp_path / "index", quiet=True)
