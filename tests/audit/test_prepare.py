"""The audit's vectors: computed once for it and for training, whoever is first; and what else a view holds."""

import json

import numpy as np
import pytest

import kft
from kft.api.reading import load
from kft.audit.prepare import prepare_view
from kft.errors import ModelError
from kft.feed.shards import SUFFIX, open_shard
from kft.train.progress import Progress
from kft.train.start import load_for
from tests import tiny

QUIET = Progress(quiet=True)


def view_of(path, overrides=(), **settings):
    recipe, split = load(path, overrides, None)
    return prepare_view(recipe.spec, split, load_for(recipe.spec), QUIET, **settings)


def stored(cache):
    """Returns one line of key bytes an example, of all stores."""
    shards = [open_shard(path) for path in sorted(cache.rglob(f"*{SUFFIX}"))]
    return [bytes(key) for shard in shards for key in shard.keys]


@pytest.mark.parametrize("check_first", [True, False], ids=["check-first", "train-first"])
def test_each_example_is_computed_once(check_first, tiny_folder, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("KFT_CACHE", str(cache))
    path = tiny.recipe(tmp_path, tiny_folder, phases=[tiny.PROBE])

    def check():
        return view_of(path)

    def train():
        kft.train(path, run=tmp_path / "run", quiet=True)

    for work in (check, train) if check_first else (train, check):
        work()
    keys = stored(cache)
    assert len(list((cache / "features").iterdir())) == 1
    assert len(keys) == len(set(keys))
    distinct = len(set(view_of(path).all.inputs))
    assert len(keys) == distinct  # train, valid and test, each text once
    assert stored(cache) == keys


def test_a_view_holds_tokens_vectors_and_answers(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    path = tiny.recipe(tmp_path, tiny_folder)
    view = view_of(path, ["model.max_tokens=6"])
    for name in ("train", "valid", "test"):
        assert view.features[name].shape == (len(view.split.part(name)), tiny.WIDTH)
        words = [len(text.replace(".", " .").split()) + 2 for text in view.split.part(name).inputs]
        assert view.tokens[name].tolist() == words  # before the cut
    assert view.out_of_fold.shape == (len(view.known), 2)
    np.testing.assert_allclose(view.out_of_fold.sum(axis=1), 1)
    assert (view.out_of_fold.argmax(axis=1) == view.targets).mean() > 0.7
    assert view.strength > 0


def test_without_a_store_the_vectors_are_the_same(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    path = tiny.recipe(tmp_path, tiny_folder)
    first, second = view_of(path), view_of(path, ["features.store=off"])
    np.testing.assert_allclose(first.features["test"], second.features["test"], atol=1e-5)


def test_attention_pooling_has_learned_nothing_yet(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    path = tiny.recipe(tmp_path, tiny_folder)
    first, second = view_of(path), view_of(path, ["model.pooling=attention"])
    np.testing.assert_array_equal(first.features["test"], second.features["test"])


def test_without_features_only_tokens_are_counted(tiny_folder, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("KFT_CACHE", str(cache))
    view = view_of(tiny.recipe(tmp_path, tiny_folder), features=False)
    assert set(view.tokens) == {"train", "valid", "test"}
    assert view.features is None and view.out_of_fold is None
    assert not stored(cache)


def test_numbers_have_vectors_and_no_answers_out_of_fold(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    path = tiny.recipe(tmp_path, tiny_folder)
    table = (tmp_path / "reviews.csv").read_text().replace(",positive", ",1.5").replace(",negative", ",-1")
    (tmp_path / "reviews.csv").write_text(table)
    values = json.loads(path.read_text()) | {"task": "text-regression"}
    path.write_text(json.dumps(values))
    view = view_of(path)
    assert view.features is not None and view.out_of_fold is None and view.targets is None


def test_texts_longer_than_the_backbone_are_refused(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    path = tiny.recipe(tmp_path, tiny_folder)
    with (tmp_path / "reviews.csv").open("a") as file:
        file.writelines(f"{'battery ' * (80 + row)},positive\n" for row in range(20))
    with pytest.raises(ModelError, match="the backbone cannot take texts that long"):
        view_of(path)
