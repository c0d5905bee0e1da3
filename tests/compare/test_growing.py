"""The learning curve of an approach: nested parts, groups whole, and none where it would say nothing."""

import numpy as np

from kft.compare.growing import label_curve, why_no_curve
from kft.compare.setting import OutOfFoldRows, Setting
from kft.data.examples import Examples
from kft.features.views.blend import Folding
from kft.split.data_split import Selection
from kft.tasks.classes import CLASSES
from kft.tasks.recipes import load_recipe
from kft.tasks.task import AnswerSpace
from kft.train.progress import Progress

ROWS = 400


def setting_of(rows=ROWS, groups=None):
    ids = np.array([str(row) for row in range(rows)])
    labels = np.array(["no", "yes"] * (rows // 2), object)
    examples = Examples(ids, [f"text {row}" for row in range(rows)], labels, groups)
    parts = np.arange(rows) < rows * 3 // 4, np.arange(rows) >= rows * 3 // 4
    train, valid = (examples.take(np.flatnonzero(part)) for part in parts)
    spec = load_recipe({"task": "text-classification", "data": {"train": "a.csv"}}).spec
    setting = Setting(spec, Selection(train, valid, CLASSES, AnswerSpace(("no", "yes"))), Progress(quiet=True))
    folding = Folding(np.arange(rows) % 2, groups, 0)
    whole = np.arange(rows)
    vars(setting)["judged"] = OutOfFoldRows(whole, folding.deal(whole), np.flatnonzero(parts[1]), folding)
    return setting


def learner(setting, seen):
    """Is right on 1 - 2 / sqrt(rows) of those asked, and keeps what it was given."""

    def relearn(known, asked):
        seen.append((known, asked))
        targets = setting.judged_truth[asked]
        wrong = np.random.default_rng(len(known)).random(len(asked)) < 2 / np.sqrt(len(known))
        return np.eye(2)[np.where(wrong, 1 - targets, targets)]

    return relearn


def test_parts_are_nested_and_held_out_rows_stay_unseen():
    setting, seen = setting_of(), []
    relearn = learner(setting, seen)
    curve = label_curve(setting, relearn, relearn(np.arange(320), np.arange(ROWS)))
    assert curve.sizes == (80, 160, 320) and curve.forecast_size == 640
    assert curve.accuracy[0] < curve.accuracy[-1] <= curve.forecast.high
    parts = seen[1:]
    assert len(parts) == 6
    for (quarter, asked), (half, again) in zip(parts[::2], parts[1::2], strict=True):
        assert set(quarter) < set(half) and not set(half) & set(asked) and np.array_equal(asked, again)
        assert abs((quarter % 2).mean() - 0.5) < 0.05


def test_rows_of_one_group_are_never_on_both_sides():
    groups = np.array([f"g{row // 4}" for row in range(ROWS)])
    setting, seen = setting_of(groups=groups), []
    relearn = learner(setting, seen)
    label_curve(setting, relearn, relearn(np.arange(320), np.arange(ROWS)))
    for known, asked in seen[1:]:
        assert not set(groups[known]) & set(groups[asked])


def test_too_few_rows_have_no_curve():
    assert why_no_curve(setting_of()) == ""
    assert why_no_curve(setting_of(16)) == "a quarter of the rows is 1.6 a class, too few for a learning curve"
