"""Out of scope with real weights: how well a run tells what it was never trained on, held at what was measured."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kft
from kft import assets
from kft.answer.load import load_artifact, read_run
from kft.metrics.ranking import AUROC
from kft.recipe.shipped import recipes_folder
from kft.records.run_folder import RunFolder

BANKING77 = os.environ.get("KFT_BANKING77")
PROBE = {"name": "probe", "unfreeze": "none", "solver": "lbfgs"}
FLAG = "evaluate.out_of_scope.keep=0.95"


def scores(run: Path, texts) -> np.ndarray:
    """Returns how foreign the run finds each text."""
    artifact = load_artifact(read_run(RunFolder(run)))
    raw, vectors = artifact.answers_and_vectors(list(texts))
    return artifact.decisions.scope.score(vectors, artifact.decisions.temperature.apply(raw))


def auroc(run: Path, inside, outside) -> float:
    marks = np.repeat([0, 1], [len(inside), len(outside)])
    return AUROC.value(marks, scores(run, [*inside, *outside]))


def sentences(name: str) -> list[str]:
    """Returns the texts of one of the packaged data sets."""
    table = pd.read_csv(assets.locate(f"package:{name}", Path()), sep="\t", names=["id", "rating", "text"], quoting=3)
    return table["text"].tolist()


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """A probe for the sentiment of product reviews, and the sentences of its test split."""
    run = tmp_path_factory.mktemp("reviews") / "run"
    phases = "[{name: probe, unfreeze: none, solver: lbfgs}]"
    overrides = [f"train.phases={phases}", FLAG]
    result = kft.train(recipes_folder() / "sentiment/product_reviews.yaml", overrides=overrides, run=run, quiet=True)
    splits = pd.read_parquet(run / "splits.parquet")
    test = set(splits.loc[splits["split"] == "test", "id"])
    table = pd.read_csv(
        assets.locate("package:reviews-ratings", Path()), sep="\t", names=["id", "rating", "text"], quoting=3
    )
    return result, table.loc[table["id"].isin(test), "text"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("editorials-ratings", 0.92), ("films-ratings", 0.87)])
def test_sentences_of_other_sources_look_foreign_to_a_model_of_product_reviews(reviews, name, least):
    result, test = reviews
    outside = sentences(name)[::5]
    assert auroc(result.run, test, outside) >= least
    flagged = np.mean([answer.why.startswith("unlike") for answer in kft.predict(result.run, outside)])
    in_scope = result.evaluation.out_of_scope.flagged
    assert in_scope.low <= 0.06 and flagged > 2 * in_scope.value


@pytest.mark.slow
@pytest.mark.skipif(BANKING77 is None, reason="KFT_BANKING77 names no folder with BANKING77's train.csv and test.csv")
def test_intents_that_were_left_out_look_foreign(tmp_path):
    train, test = (pd.read_csv(Path(BANKING77) / f"{name}.csv") for name in ("train", "test"))
    foreign = np.random.default_rng(0).choice(np.unique(train["label"]), 15, replace=False)
    known, outside = train[~train["label"].isin(foreign)], test["label"].isin(foreign)
    recipe = {
        "task": "text-classification",
        "data": {"train": "dataframe", "test": "dataframe", "text": "text", "label": "label"},
        "model": {"backbone": "minilm-l6"},
        "train": {"phases": [PROBE]},
    }
    frames = {"train": known, "test": test[~outside]}
    result = kft.train(recipe, data=frames, overrides=[FLAG], run=tmp_path / "run", quiet=True)
    assert auroc(result.run, test.loc[~outside, "text"], test.loc[outside, "text"]) >= 0.90
    assert result.evaluation.out_of_scope.flagged.low <= 0.05
    flagged = np.mean([answer.abstain for answer in kft.predict(result.run, test.loc[outside, "text"].tolist())])
    assert flagged > 0.4
