"""Names above and beside plots do not lie on each other."""

import re
from itertools import pairwise

import numpy as np
import pytest

from kft.records.history import EpochDone
from kft.report import run_plots


def epochs(*phases):
    return [
        EpochDone(name, epoch, 0, {"valid_loss": 1 / (1 + epoch)}, True) for name, n in phases for epoch in range(n)
    ]


def place(svg, name):
    """Where a text stands: its left end and its height, in points."""
    (found,) = re.findall(rf"<text[^>]*>{re.escape(name)}</text>", svg)
    return tuple(map(float, re.search(r"x=\"([\d.]+)\" y=\"([\d.]+)\"", found).groups()))


@pytest.mark.parametrize(
    "phases", [(("probe", 1), ("top", 13)), (("probe", 1), ("a-long-name", 1), ("b-long-name", 9))]
)
def test_names_of_short_phases_stand_on_lines_of_their_own(phases):
    (curve,) = run_plots.curves_of(epochs(*phases), "valid_loss")
    svg = str(run_plots.training_plot(curve))
    found = {name: place(svg, name) for name, _ in phases}
    for one, other in pairwise(found):
        (left, height), (right, above) = found[one], found[other]
        assert abs(height - above) >= 8 or right - left >= 4 * len(one)


def test_a_small_confusion_matrix_names_its_columns_and_a_large_one_counts_them():
    svg = str(run_plots.confusion_plot(["cat", "dog"], np.array([[5, 1], [0, 3]])))
    assert svg.count(">cat<") == 2 and svg.count(">dog<") == 2
    names = [f"class-{place}" for place in range(20)]
    svg = str(run_plots.confusion_plot(names, np.eye(20, dtype=int)))
    assert svg.count(">class-3 4<") == 1 and ">20<" in svg
