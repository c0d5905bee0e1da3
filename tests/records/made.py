"""Documents made up for tests."""

from dataclasses import replace

from kft.records.receipt import Counts, Receipt

RECEIPT = Receipt(
    created="2026-11-25T12:00:00+00:00",
    command=("kft", "train", "recipe.yaml"),
    seed=0,
    recipe_hash="a" * 64,
    split_hash="b" * 64,
    data_hash="c" * 64,
    weights_hash="d" * 64,
    backbone="minilm-l6",
    labels=("bad", "good"),
    mean=0.0,
    std=1.0,
    shares=(0.5, 0.5),
    text_column="text",
    pair_column=None,
    label_column="label",
    n=Counts(1000, 100, 240),
    set_aside=0,
    phases=(
        {"name": "probe", "unfreeze": "none", "solver": "lbfgs", "epochs": None, "lr": None},
        {"name": "top", "unfreeze": "top-2", "solver": "adamw", "epochs": 3, "lr": 1e-4},
    ),
    versions={"python": "3.11", "kft": "0.1.0", "tensorflow": "2.21.0"},
    devices=("CPU:0",),
    strategy="CPU:0",
)


def receipt(**values):
    """A receipt, with other values where they are named."""
    return replace(RECEIPT, **values)
