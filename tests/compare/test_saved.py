"""A comparison that is cut short goes on; what is done is kept, and belongs to one recipe, split and versions."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import kft
from kft.answer.decide import Temperature
from kft.compare.saved import UNFINISHED, FittedApproach, Saved, read_saved
from kft.errors import RunError
from kft.records.compare import Cost, LabelCurve, Slope
from kft.records.estimate import Estimate
from tests import forked
from tests.compare.tables import LIGHT, write_recipe

IDENTITY = {"recipe": "a" * 64, "versions": {"kft": "1"}}
CURVE = LabelCurve((20, 40, 80), (0.5, 0.6, 0.7), 160, Estimate(0.8, 0.7, 0.9), Estimate(0.1, 0.0, 0.2))
SLOPE = Slope((40, 80), (0.6, 0.7), Estimate(0.1, 0.0, 0.2), 20, 3.5)
COST = Cost(1.5, 1.0, 0.0, 100.0, 12, 48, 48)


def fitted(name="linear", retained=None, known=None):
    answers = np.array([[0.1, 0.9], [0.8, 0.2]])
    chosen = {"C": np.float64(3), "ngrams": 7}
    curve, slope = (CURVE, SLOPE) if retained else (None, None)
    fitted = Temperature(1.2, 2), known, 0.9, retained, curve, slope
    return FittedApproach(name, answers, answers[:1], COST, "why", chosen, 2.5, *fitted)


def test_what_is_kept_is_read_back(tmp_path):
    saved = Saved(lambda: tmp_path, IDENTITY)
    saved.keep(fitted(known=np.eye(2)))
    saved.keep(fitted("top", Estimate(0.9, 0.8, 1.0)))
    found = read_saved(tmp_path, IDENTITY)
    assert list(found) == ["linear", "top"]
    assert found["linear"].chosen == {"C": 3.0, "ngrams": 7} and found["linear"].cost == COST
    assert found["linear"].temperature == Temperature(1.2, 2)
    assert found["top"].retained == Estimate(0.9, 0.8, 1.0)
    np.testing.assert_array_equal(found["top"].valid, fitted().valid)
    assert found["top"].known is None and found["top"].curve == CURVE and found["linear"].curve is None
    assert found["top"].slope == SLOPE and found["linear"].slope is None
    np.testing.assert_array_equal(found["linear"].known, np.eye(2))


def test_spans_are_read_back(tmp_path):
    answers = np.empty(3, object)
    answers[:] = [((0, 4, "PER", 0.75),), (), ((1, 2, "LOC", 0.5), (3, 5, "PER", 1.0))]
    Saved(lambda: tmp_path, IDENTITY).keep(replace(fitted(), valid=answers, known=answers, test=answers[:1]))
    found = read_saved(tmp_path, IDENTITY)["linear"]
    assert found.valid.tolist() == answers.tolist() == found.known.tolist()
    assert found.test.tolist() == answers[:1].tolist()


def test_one_that_is_damaged_is_done_again(tmp_path):
    saved = Saved(lambda: tmp_path, IDENTITY)
    saved.keep(fitted())
    saved.keep(fitted("probe"))
    whole = (tmp_path / UNFINISHED / "probe.npz").read_bytes()
    for cut in (b"", whole[:100], whole[: len(whole) // 2], b"no archive"):
        (tmp_path / UNFINISHED / "probe.npz").write_bytes(cut)
        assert list(read_saved(tmp_path, IDENTITY)) == ["linear"]


def test_another_recipe_or_other_versions_are_refused(tmp_path):
    Saved(lambda: tmp_path, IDENTITY).keep(fitted())
    with pytest.raises(RunError) as error:
        read_saved(tmp_path, IDENTITY | {"recipe": "b" * 64})
    assert "begun with another recipe" in str(error.value) and "bbbbbbbbbbbb" in str(error.value)
    with pytest.raises(RunError, match="begun with another versions"):
        read_saved(tmp_path, IDENTITY | {"versions": {"kft": "2"}})
    with pytest.raises(RunError, match="no comparison to go on with"):
        read_saved(tmp_path / "elsewhere", IDENTITY)


@pytest.fixture
def light(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    return write_recipe(tmp_path, tiny_folder)


@pytest.mark.slow
def test_ctrl_c_and_a_kill_lose_nothing_that_was_done(light, tmp_path):
    whole = kft.compare(light, approaches=LIGHT.split(","), run=tmp_path / "whole", quiet=True)
    cut, asked = tmp_path / "cut", ("--approaches", LIGHT, "--run", tmp_path / "cut", "--devices", "one")
    ended = forked.run("tests.compare.cut_short", cut / UNFINISHED / "linear.npz", "SIGINT", light, *asked)
    assert ended.returncode == 130, ended.stderr
    assert "linear" in ended.stderr and f"kft compare {cut}/recipe.yaml --run {cut} --resume" in ended.stderr
    before = (cut / UNFINISHED / "linear.npz").stat().st_mtime_ns
    ended = forked.run(
        "tests.compare.cut_short", cut / UNFINISHED / "retrieval.npz", "SIGKILL", light, *asked, "--resume"
    )
    assert ended.returncode == -9
    assert (cut / UNFINISHED / "linear.npz").stat().st_mtime_ns == before
    assert not (cut / "compare.json").exists()
    shutil.copytree(cut, tmp_path / "other")
    resumed = kft.compare(light, approaches=LIGHT.split(","), run=cut, resume=True, quiet=True)
    assert resumed.verdict == whole.verdict and not (cut / UNFINISHED).exists()
    for one, other in zip(resumed.approaches, whole.approaches, strict=True):
        assert (one.name, one.metrics, one.valid, one.paired, one.chosen) == (
            *(other.name, other.metrics, other.valid, other.paired, other.chosen),
        )
    assert json.loads((cut / "compare.json").read_text())["verdict"]["approach"] == whole.verdict.approach
    with pytest.raises(RunError, match="this comparison is finished"):
        kft.compare(light, run=cut, resume=True, quiet=True)
    with pytest.raises(RunError, match="begun with another recipe"):
        kft.compare(light, run=tmp_path / "other", overrides=["seed=5"], resume=True, quiet=True)
