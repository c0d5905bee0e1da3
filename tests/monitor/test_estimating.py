"""What is estimated of the latest rows, by the form of the answers."""

import numpy as np
import pytest

from kft.errors import DataError
from kft.monitor.edges import fit_edges
from kft.monitor.estimating import estimate, read_chances, read_classes, read_numbers, read_truth, refuse_unknown
from kft.monitor.latest import Latest
from kft.monitor.reference import Reference
from kft.monitor.seen import Seen

NUMBERS = Reference("text-regression", (), 50, {"value": fit_edges(np.arange(50.0), 0, 0)})


def seen_numbers(values):
    return Seen({"value": values, "unusable": np.isnan(values) * 1.0}, np.zeros(len(values), np.uint64))


def test_of_numbers_the_mean_error_comes_from_labels():
    rng = np.random.default_rng(0)
    values = rng.normal(size=400)
    values[::40] = np.nan  # could not be answered
    errors = rng.exponential(0.5, 400)
    cells = [f"{value + errors[at]}" if at % 4 == 1 else "" for at, value in enumerate(values)]
    latest = Latest()
    latest.add(np.zeros(400, np.int64), seen_numbers(values), {"truth": read_truth(cells, NUMBERS, "stars")})
    found, shares = estimate(NUMBERS, latest.columns())
    assert shares is None and found.metric == "mae" and found.n == 390 and found.labels == 100
    assert found.value == pytest.approx(errors[1::4].mean()) and found.low < found.value < found.high


def test_of_numbers_nothing_is_estimated_without_labels():
    latest = Latest()
    latest.add(np.zeros(40, np.int64), seen_numbers(np.arange(40.0)), {})
    found, _ = estimate(NUMBERS, latest.columns())
    assert found.value is None and "without labels its error cannot be estimated" in found.line
    assert found.line.startswith("mae not estimated")


@pytest.mark.parametrize("cell", ["four", "nan", "inf"])
def test_a_label_that_is_no_number_is_refused(cell):
    with pytest.raises(DataError, match="a label is no number, and the artifact answers numbers") as failed:
        read_numbers(["1", "", cell], "stars")
    assert failed.value.where == "--labels stars" and failed.value.received == cell


def test_of_spans_nothing_is_estimated_and_that_is_said():
    found, shares = estimate(Reference("token-tagging", ("a",), 50, {}), {})
    assert found.line.startswith("accuracy not estimated: for token-tagging") and shares is None


def test_labels_that_differ_in_form_alone_are_one_as_in_training():
    cells = [True, "TRUE", "true\u200b", 1.0, "1", "'=b", "caf\u0065\u0301", "new", float("nan")]
    labels = ("true", "1", "=b", "caf\u00e9", "other")
    assert read_classes(cells, labels).tolist() == [0, 0, 0, 1, 1, 2, 3, -2, -1]


def test_a_label_of_another_case_is_refused_not_counted_as_wrong():
    with pytest.raises(DataError, match="some labels are the artifact's in another spelling") as failed:
        read_classes(["positive", "Positive", ""], ("negative", "positive"), "truth")
    assert failed.value.where == "--labels truth"
    assert failed.value.received == ("known in another spelling: 'positive' and 'Positive'")


def test_labels_that_the_artifact_does_not_know_are_told():
    truth = read_classes(["a", "new", "", "b"], ("a", "b"))
    said = "1 of 3 labels are none that the artifact can answer: counted as wrong"
    assert refuse_unknown(truth, ("a", "b"), "truth") == said
    assert refuse_unknown(truth[[0, 2, 3]], ("a", "b"), "truth") == ""


@pytest.mark.parametrize("cell", ["0,0512", "5 %", "inf"])
def test_a_chance_that_a_spreadsheet_has_rewritten_is_refused(cell):
    with pytest.raises(DataError, match="a chance with which a row was drawn is no number") as failed:
        read_chances(["0.3", "", cell], "inclusion_probability")
    assert failed.value.where == "column 'inclusion_probability', row 3" and failed.value.received == cell
