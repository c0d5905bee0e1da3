"""The file of `kft queue`, labelled, without the rows that were not drawn: it still stands for all of them."""

import numpy as np

from kft.monitor.estimates.labelled import estimate_with_labels
from kft.monitor.estimates.scores import UNLABELLED, Scores
from kft.monitor.queueing import Worth, draw, least_sure


def world(rows, seed):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1, rows)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    truth = (rng.random(rows) > 0.5 + 0.8 * (confidence - 0.5)).astype(int)  # overconfident
    return probabilities, truth


def test_labels_of_the_file_alone_cover_the_truth_of_all_rows():
    reference = Scores(*world(400, 1)[:1], np.zeros(400, int), world(400, 1)[1])
    covered, bent, halves = [], [], []
    for seed in range(200):
        probabilities, truth = world(1500, 100 + seed)
        right = (truth == 0).mean()
        drawn = draw(Worth(least_sure(probabilities)), np.arange(1500), None, 150, random_share=0.3, seed=seed)
        mine = Scores(probabilities[drawn.places], np.zeros(150, int), truth[drawn.places])
        found = estimate_with_labels(reference, mine, drawn.chance)
        assert found.n == round((1 / drawn.chance).sum()) and 800 < found.n < 2500
        covered.append(found.low <= right <= found.high)
        bent.append(mine.right.mean() - right)
        # Whoever stops half-way has labelled a fair half.
        part = np.where(np.arange(150) < 75, mine.truth, UNLABELLED)
        half = estimate_with_labels(reference, Scores(mine.probabilities, mine.label, part), drawn.chance)
        halves.append(half.low <= right <= half.high)
    assert np.mean(bent) < -0.07
    assert np.mean(covered) >= 0.92 and np.mean(halves) >= 0.92
