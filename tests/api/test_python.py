"""kft from Python: data without a recipe, arguments that cannot be meant, and results in a plain terminal."""

import re

import pandas as pd
import pytest

import kft
from kft.api.reading import as_recipe
from kft.errors import UsageError
from tests import tiny


def frame(rows=40, seed=0):
    texts, labels = tiny.texts_and_labels(rows, seed=seed)
    return pd.DataFrame({"review": texts, "stars": labels, "id": range(rows)})


def test_data_without_a_recipe_get_the_plainest_one(tmp_path, monkeypatch):
    recipe, frames = as_recipe(frame(), (), None)
    assert recipe.spec.task == "text-classification" and list(frames) == ["train"]
    recipe, frames = as_recipe({"train": frame(), "test": frame(seed=1)}, (), None)
    assert list(frames) == ["train", "test"]
    photos = pd.DataFrame({"image": ["a.jpg"], "label": ["x"]})
    assert as_recipe(None, (), photos)[0].spec.task == "image-classification"
    monkeypatch.chdir(tmp_path)
    frame().to_csv("reviews.csv", index=False)
    recipe, frames = as_recipe(None, ["data.text=review"], "reviews.csv")
    assert frames is None and recipe.spec.data.train == "reviews.csv" and recipe.spec.data.text == "review"


def test_a_frame_is_trained_on_by_naming_its_columns(tmp_path, monkeypatch, tiny_folder):
    monkeypatch.chdir(tmp_path)
    settings = [
        f"model.backbone={tiny_folder}",
        'train.phases=[{"name": "probe", "unfreeze": "none", "solver": "lbfgs"}]',
    ]
    result = kft.train(frame(60), text="review", label="stars", overrides=settings, quiet=True)
    assert result.evaluation.labels == ("negative", "positive")
    again = kft.evaluate(result.run, data=frame(60), quiet=True)
    assert again.metrics["accuracy"] == result.evaluation.metrics["accuracy"]
    for shown in (repr(result), repr(kft.load(result.run)), repr(kft.load_recipe(result.run / "recipe.yaml"))):
        lines = shown.split("\n")
        assert len(lines) <= 45 and max(map(len, lines)) <= 120 and "object at 0x" not in shown
    assert "this model" in repr(result) and re.search(r"accuracy +macro F1", repr(result))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kft.train(42), ["kft.train cannot take this as 'recipe'", "recipe=42", "a DataFrame"]),
        (lambda: kft.train(), ["there is nothing to learn from", "kft.train(frame, text="]),
        (lambda: kft.train(frame(), txt="review"), ["no argument 'txt'; did you mean 'text'?", "txt='review'"]),
        (lambda: kft.train("r.yaml", text="review"), ["for data without a recipe", "overrides=['data.text=review']"]),
        (lambda: kft.train("r.yaml", data="a.csv"), ["a recipe names its own files", "data.train=a.csv"]),
        (lambda: kft.train("r.yaml", data=5), ["kft.train cannot take this as 'data'", "data=5", "a DataFrame"]),
        (lambda: kft.train("r.yaml", overrides="seed=1"), ["'overrides'", "overrides='seed=1'", "a list of settings"]),
        (
            lambda: kft.train({"train": frame(), "tset": frame()}),
            ["'tset' is not a split", "'valid', 'test' and 'unlabelled'"],
        ),
        (lambda: kft.train({"test": frame()}), ["no DataFrame to train on"]),
        (lambda: kft.train(frame(), text="review", label="star"), ["star", "did you mean"]),
        (lambda: kft.train(frame(), task="text-clasification"), ["text-clasification", "text-classification"]),
        (lambda: kft.predict(), ["kft.predict: missing a required argument: 'run'"]),
        (lambda: kft.predict(7, "a"), ["kft.predict cannot take this as 'run'", "run=7"]),
        (lambda: kft.load("nowhere"), ["nowhere"]),
        (lambda: kft.evaluate("nowhere", devices=2), ["'devices'", "devices=2"]),
    ],
)
def test_a_wrong_argument_is_an_error_of_kft(call, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kft.KftError) as failed:
        call()
    for word in words:
        assert word in str(failed.value)


def test_public_functions_stay_themselves():
    assert kft.train is kft.train and kft.train.__name__ == "train" and "Trains a recipe" in kft.train.__doc__
    assert issubclass(UsageError, kft.KftError)


def test_a_text_beyond_the_positions_is_cut_where_training_never_came_to_it(champion):
    model = kft.load(champion)  # its recipe has the default of 128 tokens, its backbone 64 positions
    long, short = "the battery is great " * 40, "the battery is great " * 15
    with pytest.warns(UserWarning, match=r"^1 text is longer than what the model reads"):
        assert [answer.label for answer in model.predict([long, short])] == ["positive"] * 2
    assert model.predict("great")[0].label == "positive"  # warns of nothing, or the test fails
