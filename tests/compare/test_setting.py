"""What is answered out of fold: all labelled rows, groups and copies whole; what cannot be is refused."""

import numpy as np
import pytest

from kft.compare.answered import answer_labelled
from kft.compare.compare import looks, reached
from kft.compare.linear import fit_linear, fit_majority
from kft.errors import DataError
from kft.features.views import blend
from tests import tiny
from tests.compare.settings import ROWS, TRAIN, setting_of


def test_every_labelled_row_is_answered_once_and_groups_stay_whole():
    groups = np.array([f"g{row % 50}" for row in range(ROWS)])
    judged = setting_of(groups=groups).judged
    assert judged.rows.tolist() == list(range(ROWS)) and judged.valid.tolist() == list(range(TRAIN, ROWS))
    for group in set(groups):
        assert len(set(judged.fold_of[groups == group])) == 1


def test_copies_stay_in_one_fold():
    texts, _ = tiny.texts_and_labels(ROWS)
    texts[190] = texts[3]
    judged = setting_of(texts).judged
    assert judged.fold_of[190] == judged.fold_of[3]


def test_rows_that_all_hang_together_are_refused():
    with pytest.raises(DataError, match="all examples hang together") as refused:
        _ = setting_of(groups=np.array(["one"] * ROWS)).judged
    assert refused.value.received == "200 examples of one group"


def test_of_very_many_rows_a_draw_with_all_of_valid_is_answered(monkeypatch):
    monkeypatch.setattr(blend, "MOST_ROWS", 100)
    setting = setting_of()
    assert len(setting.judged.rows) == 100
    assert setting.judged.rows[setting.judged.valid].tolist() == list(range(TRAIN, ROWS))
    found = answer_labelled(setting, "linear", fit_linear(setting))
    assert found.known.shape == (100, 2) and found.valid.shape == (40, 2)
    np.testing.assert_array_equal(found.known[setting.judged.valid], found.valid)


def test_labels_by_lot_are_not_learned_by_heart():
    """Fitted on the very rows it would be right on nearly all of them; out of fold, on half."""
    labels = np.random.default_rng(0).choice(["no", "yes"], ROWS)
    setting = setting_of(labels=labels)
    solution = fit_linear(setting)
    found = reached(setting, answer_labelled(setting, "linear", solution))
    assert 0.35 < found.known < 0.65
    assert setting.metric.value(setting.truth(setting.known), solution.answers(setting, setting.known)) > 0.7


def test_a_verdict_rests_on_so_many_differences():
    setting = setting_of()
    constant = answer_labelled(setting, "majority", fit_majority(setting))
    trained = type(constant)(constant.temperature, constant.valid, None)
    assert looks({"majority": constant, "linear": constant, "probe": constant}) == 2
    assert looks({"majority": constant, "linear": constant, "probe": constant, "top": trained}) == 5
