"""What is seen of rows that an artifact answers: the same at export, in production, and of rows answered before."""

import json

import numpy as np
import pytest

from kft.api.reading import split_of
from kft.deploy.load import open_artifact
from kft.deploy.watching import watch
from kft.errors import DataError, RunError
from kft.monitor.gauges.all_gauges import GAUGES
from kft.monitor.reference import MOST_BYTES, NAME, load_reference
from kft.records.run_folder import open_run
from kft.tasks.recipes import load_recipe
from tests.deploy.conftest import ODD

TEXTS = [*ODD, "the battery is great", "the phone is awful and broken", "? ! ? !", "the battery is great"]


@pytest.fixture(scope="module")
def opened(shipped):
    return open_artifact(shipped)


def test_the_reference_is_of_the_test_rows(opened, shipped):
    reference, parity = opened.reference, opened.about.parity
    assert (shipped / NAME).stat().st_size < MOST_BYTES
    assert reference.n_test == parity.n and reference.n_valid > 100 and reference.labels == ("negative", "positive")
    kinds = {GAUGES[name].kind for name in reference.gauges}
    assert kinds == {"input", "vocabulary", "scores", "classes", "foreign", "broken"}
    assert {"unknown_tokens", "surprise", "withheld", "distance", "direction_4", "cut"} <= set(reference.gauges)
    assert all(edges.gaps.sum() == reference.n_test + 1 for name, edges in reference.edges.items() if name == "tokens")
    accuracy = (reference.scores.truth == reference.scores.label).mean()
    assert accuracy == pytest.approx(opened.about.metrics["accuracy"].value, abs=1e-6)
    assert reference.vectors.shape == (parity.n, 32) and reference.known.vectors.shape == (reference.n_valid, 32)
    assert b"battery" not in (shipped / NAME).read_bytes()


def test_rows_are_seen_as_they_are_answered(opened):
    answers, seen = opened.see(TEXTS)
    assert answers == opened.predict(TEXTS) and len(seen) == len(TEXTS)
    assert set(opened.reference.gauges) <= set(seen.values)
    assert [opened.about.labels[place] for place in seen.label] == [answer["label"] for answer in answers]
    np.testing.assert_allclose(seen.confidence, [answer["confidence"] for answer in answers])
    assert seen.abstain.tolist() == [answer["abstain"] for answer in answers]
    assert seen.values["copy"].tolist() == [0] * 6 + [1]
    assert seen.values["script"][2] == 0 and seen.values["cut"].tolist() == [0, 1, 0, 0, 0, 0, 0]
    assert seen.values["new_tokens"][3] == 0 and seen.values["capitals"][0] > 0.2


def test_a_row_is_seen_alike_alone_and_when_it_was_answered_before(opened):
    looked = opened.watcher.look(TEXTS)
    _, whole = opened.see(TEXTS)
    again = opened.watcher.seen(TEXTS, looked)
    for name, values in whole.values.items():
        np.testing.assert_array_equal(values, again.values[name], err_msg=name)
    before = whole.keys[:0]
    for place, text in enumerate(TEXTS):
        _, alone = opened.see([text], before)
        before = np.concatenate([before, alone.keys])
        for name, values in alone.values.items():
            np.testing.assert_allclose(values, whole.values[name][place], atol=1e-5, err_msg=name)


def test_the_test_rows_lie_within_their_own_edges(opened, shipped_run):
    test = split_of(load_recipe(open_run(shipped_run).recipe), None).test
    _, seen = opened.see(test.inputs)
    rng = np.random.default_rng(0)
    for name, edges in opened.reference.edges.items():
        if name == "unusable":  # no split has such rows: all the data say how many are usual
            continue
        counts, known = edges.count(seen.values[name], rng), np.isfinite(seen.values[name]).sum()
        assert counts.sum() == known == edges.gaps.sum() - 1, name
        expected = known * edges.gaps / edges.gaps.sum()
        assert (np.abs(counts - expected) <= 5 * np.sqrt(expected) + 5).all(), name


def test_what_cannot_be_used_is_told_or_left_out(opened):
    inputs = ["the battery is great", " ", "the phone", "\ud83d", ""]
    with pytest.raises(DataError, match="empty text"):
        opened.see(inputs)
    with pytest.raises(DataError, match="empty text") as caught:
        opened.see([*["the phone"] * 300, " "])
    assert caught.value.where == "row 301"
    found = opened.see_usable(inputs * 100)
    assert found.places.tolist()[:3] == [0, 2, 5] and len(found.answers) == len(found.seen) == 200
    assert found.unusable[1] == "empty text" and len(found.unusable) == 300 and "surrogate" in found.unusable[3]
    none = opened.see_usable(["", " "])
    assert none.answers == [] and len(none.seen) == 0 and set(none.unusable) == {0, 1}


def test_an_artifact_of_an_older_kft_is_refused_by_name(shipped, tmp_path):
    import shutil

    from kft.records.shipped import read_about, write_about

    folder = shutil.copytree(shipped, tmp_path / "old")
    (folder / NAME).unlink()
    write_about(folder, read_about(shipped))
    old = open_artifact(folder)
    assert old.predict(["the phone"])
    with pytest.raises(RunError, match="this artifact cannot be watched") as caught:
        old.see(["the phone"])
    assert caught.value.next_step == "export the run again"


@pytest.mark.slow
def test_examples_go_along_where_they_are_wanted(shipped_run, tmp_path, kft_cli):
    code, _, err = kft_cli("export", shipped_run, tmp_path / "new", "--keep-examples", "5")
    assert code == 0, err
    lines = [json.loads(line) for line in (tmp_path / "new" / "examples.jsonl").read_text().splitlines()]
    assert len(lines) == 5 and all(isinstance(line["input"], str) and "label" in line["answer"] for line in lines)
    assert "examples.jsonl" in open_artifact(tmp_path / "new").about.files
    (said,) = (line for line in err.splitlines() if line.startswith("reference "))
    reference = load_reference(tmp_path / "new" / NAME)
    rows = f"{reference.n_test:,} test rows and {reference.n_valid:,} valid rows"
    size = (tmp_path / "new" / NAME).stat().st_size
    assert said == f"reference  {len(reference.gauges)} gauges of {rows}, {size / 1e6:.2f} MB, for kft monitor"
    assert f"next       kft promote {tmp_path / 'new'} NAME puts it on a shelf" in err
    code, _, err = kft_cli("export", shipped_run, tmp_path / "more", "--keep-examples", "-1")
    assert code == 2 and "--keep-examples" in err


def test_it_can_be_looked_at_without_what_is_known(opened):
    bare = watch(opened.watcher.model)
    _, seen = bare.see(["the phone"])
    assert "tokens" in seen.values and not {"surprise", "distance"} & set(seen.values)
