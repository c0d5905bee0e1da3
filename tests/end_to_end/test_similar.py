"""`data.keep_together: similar`, from a recipe to a split, with features of the recipe's own backbone."""

from kft.api.reading import load
from tests import tiny


def test_the_backbone_says_what_is_similar(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    tiny.write_table(tmp_path / "reviews.csv", 60)
    recipe = {
        "task": "text-classification",
        "data": {"train": str(tmp_path / "reviews.csv"), "valid": "20%", "test": "20%", "keep_together": "similar"},
        "model": {"backbone": str(tiny_folder), "max_tokens": 32},
    }
    _, split = load(recipe, (), None, "one")
    assert "groups of similar rows kept on one side" in split.how
    assert len(split.valid) and len(split.test)
    assert any((tmp_path / "cache" / "features").iterdir())  # which training finds there
    again, other = (
        load({**recipe, "model": {**recipe["model"], **more}}, (), None, "one")[1]
        for more in ({}, {"weights": "random"})
    )
    assert again.split_hash == other.split_hash == split.split_hash
