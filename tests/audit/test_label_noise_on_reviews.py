"""Planted label errors in real data with soft labels, seen by real weights."""

from dataclasses import replace

import numpy as np
import pytest

from kft.api.reading import load
from kft.audit.checks.label_noise import find_label_noise
from kft.audit.prepare import prepare_view
from kft.features.folds import out_of_fold
from kft.recipe.shipped import recipes_folder
from kft.train.progress import Progress
from kft.train.start import load_for


@pytest.mark.slow
def test_flipped_reviews_are_among_the_most_suspect():
    recipe, split = load(recipes_folder() / "sentiment" / "product_reviews.yaml", (), None)
    view = prepare_view(recipe.spec, split, load_for(recipe.spec), Progress(quiet=True))
    rng = np.random.default_rng(0)
    targets, rows = view.targets.copy(), len(view.targets)
    wrong = rng.choice(rows, round(0.08 * rows), replace=False)
    targets[wrong] = (targets[wrong] + rng.integers(1, 3, len(wrong))) % 3
    labels = np.array(split.labels, dtype=object)[targets]
    cut = len(split.train)
    flipped = replace(
        split, train=replace(split.train, labels=labels[:cut]), valid=replace(split.valid, labels=labels[cut:])
    )
    answers = out_of_fold(view.known_features, targets, 3, view.known.groups).probabilities
    (finding,) = find_label_noise(replace(view, split=flipped, out_of_fold=answers))
    suspect = finding.rows[: round(0.04 * rows)]
    planted = set(view.known.ids[wrong])
    assert len(planted.intersection(suspect)) / len(suspect) >= 0.4
    (clean,) = find_label_noise(view)
    assert clean.severity != "error" and clean.score < 0.1
