"""Real weights tuned on few rows: a sane rate keeps what they knew, ten times that rate loses most of it."""

import numpy as np
import pandas as pd
import pytest

import kft
from kft.api.reading import load
from kft.recipe.shipped import recipes_folder


@pytest.fixture(scope="module")
def tune(tmp_path_factory):
    """Trains all blocks on 350 sentences of product reviews, from the probe; returns the evaluation."""
    folder = tmp_path_factory.mktemp("rates")
    _, split = load(recipes_folder() / "sentiment" / "product_reviews.yaml", (), None)
    parts = (split.train, split.valid, split.test)
    rows = [pair for part in parts for pair in zip(part.inputs, part.labels, strict=True)]
    np.random.default_rng(0).shuffle(rows)
    pd.DataFrame(rows[:700], columns=["text", "label"]).to_csv(folder / "few.csv", index=False)

    def run(rate):
        probe = {"name": "probe", "unfreeze": "none", "solver": "lbfgs"}
        deep = {"name": "deep", "unfreeze": "top-6", "epochs": 4, "lr": rate}
        recipe = {
            "task": "text-classification",
            "data": {"train": str(folder / "few.csv"), "valid": "20%", "test": "30%"},
            "model": {"backbone": "minilm-l6"},
            "train": {"phases": [probe, deep]},
        }
        return kft.train(recipe, run=folder / f"{rate:g}", quiet=True).evaluation

    return run


@pytest.mark.slow
def test_the_meter_and_the_overfitting_warning_show_it(tune):
    sane, hot = tune(1e-4), tune(1e-3)
    kept, lost = (found.forgetting.dropped or found.forgetting.kept for found in (sane, hot))
    assert kept.retained.low > 0.8 and not sane.forgetting.warnings
    assert lost.retained.high < 0.6 < kept.retained.low
    (warning,) = hot.forgetting.warnings
    assert warning.startswith("deep, epoch 4, not kept: ") and "a lower lr" in warning
    assert any("the validation loss rose" in text for text in hot.overfitting.beside)  # the probe is kept
