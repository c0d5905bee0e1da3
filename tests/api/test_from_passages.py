"""A run that answers from a column of passages: what stands in none, in metrics, tables, predictions and the page."""

import json

import numpy as np
import pandas as pd
import pytest

import kft
from kft.api.predicting import predict_file
from kft.errors import DataError, RecipeError, UsageError
from kft.metrics.language import OF_CONTEXT, Spoken, of_texts
from kft.tasks.recipes import load_recipe
from kft.tasks.responses import Grounded
from tests import decoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("passages")


@pytest.fixture(scope="module")
def run(folder):
    recipe = decoder.recipe(folder, decoder.write_backbone(folder / "backbone"), rows=30)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    for place, row in enumerate(rows):
        row["passage"] = ["It is " + json.loads(row["response"])["first"], "Or not."] if place % 5 else ""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = json.loads(recipe.read_text())
    values["data"] |= {"context": "passage"}
    values["model"] |= {"max_tokens": 96}
    values["train"]["phases"] = [{**decoder.LORA, "epochs": 1}]
    texts = [f"Text number {place} says something else." for place in range(30)]
    pd.DataFrame({"text": texts}).to_csv(folder / "general.csv", index=False)
    values |= {"evaluate": {"retain": {"data": "general.csv", "text": "text"}}}
    recipe.write_text(json.dumps(values))
    return kft.train(recipe, run=folder / "run", quiet=True).run


@pytest.mark.slow
def test_what_stands_in_no_passage_is_counted_for_all_and_the_right_responses_say_what_is_usual(run):
    found = json.loads((run / "metrics.json").read_text())
    assert set(OF_CONTEXT) <= set(found["metrics"]) and found["metrics"]["unsupported"]["value"] > 0.5
    beside = found["baselines"]
    assert set(OF_CONTEXT) <= set(beside["untuned"]) & set(beside["constant"])
    assert set(beside["right responses"]) == set(OF_CONTEXT) and beside["right responses"]["unsupported"]["value"] < 0.5
    kept = pd.read_csv(run / "predictions.csv", keep_default_na=False)
    assert any(json.loads(words) for words in kept["unsupported"])
    rows = [json.loads(line) for line in (run.parent / "rows.jsonl").read_text().splitlines()]
    empty = [not rows[int(name.rpartition(":")[2]) - 1]["passage"] for name in kept["id"]]
    assert kept["abstain"].tolist() == empty  # no passage: kft predict and kft generate do not answer


@pytest.mark.slow
def test_general_text_is_as_surprising_before_as_it_was_and_said_after(run):
    general = json.loads((run / "metrics.json").read_text())["general_text"]
    assert general["name"] == "general.csv" and general["n"] == 30
    assert general["ratio"]["value"] == pytest.approx(
        np.exp(np.log(general["after"]["value"]) - np.log(general["before"]["value"])), rel=1e-6
    )
    assert general["ratio"]["low"] <= general["ratio"]["value"] <= general["ratio"]["high"]


@pytest.mark.slow
def test_predict_takes_a_table_with_passages_and_declines_without(run, folder):
    asked = [{"prompt": "red old", "passage": ["It is red."]}, {"prompt": "red old", "passage": " "}]
    (folder / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    predict_file(run, folder / "asked.jsonl", folder / "said.jsonl")
    said = [json.loads(line) for line in (folder / "said.jsonl").read_text().splitlines()]
    assert said[0]["text"] and isinstance(said[0]["unsupported"], list) and not said[0]["abstain"]
    assert said[1]["abstain"] and said[1]["text"] == "" and said[1]["unsupported"] == []
    frame = pd.DataFrame(asked)
    assert [each.text for each in kft.predict(run, frame)] == [row["text"] for row in said]
    with pytest.raises(UsageError, match="a prompt alone has none"):
        kft.predict(run, ["red old"])
    with pytest.raises(DataError, match="no column 'passage', whose passages this run answers from"):
        kft.predict(run, frame[["prompt"]])


@pytest.mark.slow
def test_other_data_are_judged_with_their_passages(run, folder):
    rows = (folder / "rows.jsonl").read_text().splitlines()[:6]
    (folder / "other.jsonl").write_text("\n".join(rows) + "\n")
    found = kft.evaluate(run, data=folder / "other.jsonl", quiet=True)
    assert "unsupported" in found.metrics and "general_text" not in json.dumps(found.metrics, default=str)


@pytest.mark.slow
def test_the_page_shows_what_was_asked_beside_what_is_right_and_what_was_written(run):
    assert kft.report(run, quiet=True).missing == ""
    found = json.loads((run / "mistakes.json").read_text())
    first, *_ = found["mistakes"]
    assert found["n"] >= 5 and first["target"].startswith('{"first"') and first["neighbours"] == []
    assert [each["confidence"] for each in found["mistakes"]] == sorted(
        (each["confidence"] for each in found["mistakes"]), reverse=True
    )
    page = (run / "report.html").read_text()
    assert "the surest first" in page and "neither in the passages nor in the prompt" in page
    assert "kft retrain" not in page and "more rows in data.train, then kft train" in page  # which refuses the task
    assert "perplexity of general.csv, untuned" in page and "the same text, or the same JSON" in page


def test_gates_on_passages_need_some():
    asked = {"task": "causal-lm", "data": {"train": "a.jsonl"}, "evaluate": {"gates": {"unsupported": "<= 0.1"}}}
    with pytest.raises(RecipeError, match="needs passages that answers come from"):
        load_recipe(asked)


def test_words_are_pooled_over_answers_and_the_prompt_counts():
    asked = Grounded("Where is Oslo?", ("Bergen lies in the west.", "Lima."))
    answers = [Spoken(np.ones(1), np.ones(1), text) for text in ("Oslo lies in 3 Limas.", "in the west")]
    given = [Spoken(a.losses, a.hits, a.text, support=asked.supports(a.text, [0])) for a in answers]
    found = {name: metric.value(["", ""], given) for name, metric in of_texts(["", ""], given).items()}
    assert found["unsupported_numbers"] == 1 and found["unsupported"] == 2 / 5  # 3 and Limas; Oslo, lies, west
