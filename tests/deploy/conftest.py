"""Runs that are shipped: each is trained once, with all that decides an answer fitted."""

import numpy as np
import pandas as pd
import pytest

import kft
from kft.deploy.standing import ShelfReference
from tests import tiny
from tests.deploy.made import write_artifact

ODD = (
    "The BATTERY is caf\u00e9 &amp; great!",
    "  a very\tlong text " + "the phone is awful " * 30,
    "\u4e2d\u6587 great \U0001f600",
)


@pytest.fixture(scope="session")
def shipped_run(tiny_folder, tmp_path_factory):
    """One class of two, tuned, with a temperature, a threshold and a scope; its texts are of all kinds."""
    folder = tmp_path_factory.mktemp("shipped-run")
    texts, labels = tiny.texts_and_labels(400)
    rng = np.random.default_rng(0)
    silent = rng.random(len(texts)) < 0.2
    plain = ["the phone is a phone" if yes else text for text, yes in zip(texts, silent, strict=True)]
    rows = [*zip(plain, labels, strict=True), *zip(ODD * 4, ("positive", "negative", "positive") * 4, strict=True)]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "rows.csv", index=False)
    recipe = {
        "name": "tiny",
        "task": "text-classification",
        "data": {"train": "rows.csv", "valid": "40%", "test": "30%", "html": "unescape", "keep_together": "nothing"},
        "model": {"backbone": str(tiny_folder), "max_tokens": 24},
        "train": {"phases": [tiny.PROBE, {"name": "deep", "unfreeze": "top-1", "epochs": 1, "lr": 1e-3}]},
        "evaluate": {"threshold": {"costs": {"wrong": 10, "abstain": 1}}, "out_of_scope": {"keep": 0.9}},
    }
    return kft.train(kft.load_recipe(recipe, base=folder), run=folder / "run", quiet=True).run


@pytest.fixture(scope="session")
def shipped(shipped_run, tmp_path_factory):
    """That run as an artifact, by the command; a wheel lies beside it."""
    from kft.cli import main as cli_main

    folder = tmp_path_factory.mktemp("shipped") / "onnx"
    assert cli_main.run(["export", str(shipped_run), str(folder), "--format", "onnx", "--wheel", "--quiet"]) == 0
    return folder


@pytest.fixture(params=["disk", "url", "folders behind a url"])
def to(request, tmp_path, monkeypatch):
    """A name on a shelf; memory:// stands for gs://, file:// for a store that has folders."""
    if request.param == "disk":
        return ShelfReference(str(tmp_path / "shelf"), "tickets")
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    place = f"memory://{tmp_path.name}" if request.param == "url" else tmp_path.as_uri()
    return ShelfReference(f"{place}/shelf", "tickets")


@pytest.fixture
def made(tmp_path):
    """Five artifacts."""
    return [str(write_artifact(tmp_path / f"made-{seed}", seed)) for seed in range(5)]
