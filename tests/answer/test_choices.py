"""model.choices: what is written is one of them, whatever the model finds likely, and how sure it is stays honest."""

import json
from dataclasses import replace

import numpy as np
import pytest

import kft
from kft.answer.load import load_artifact, read_run
from kft.answer.write import SamplingParams, make_writer, writer_on
from kft.errors import DataError, ModelError, RecipeError, UsageError
from kft.model.language import next_token_logits
from kft.model.prompts import PromptReader
from kft.records.run_folder import open_run
from kft.tasks.decode import log_softmax
from kft.tasks.recipes import load_recipe
from tests import decoder

CHOICES = ("red", "red old", "blue")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return kft.load_backbone(str(decoder.write_backbone(tmp_path_factory.mktemp("choices") / "backbone")))


@pytest.fixture(scope="module")
def reader(backbone):
    return PromptReader(backbone.tokenizer, "{prompt}\n", 24, 12, choices=CHOICES)


@pytest.fixture(scope="module")
def writer(backbone, reader):
    return writer_on(backbone.model, {}, reader, rows=4)


def likelihood(backbone, reader, prompt, answer):
    """Of an answer and its end, a token each, all read anew."""
    (ids,), _ = reader.prompts([prompt])
    (said,), _ = reader.responses([answer])
    row = np.concatenate([ids, said]).astype(np.int32)[None]
    hidden = backbone.model({"token_ids": row, "padding_mask": np.ones_like(row)}, training=False)
    places = np.arange(len(ids) - 1, row.shape[1] - 1)[None]
    logits = np.asarray(next_token_logits(backbone.model, hidden, places))[0]
    return log_softmax(logits)[np.arange(len(said)), said]


def test_nothing_else_is_written_and_each_of_them_can_be(backbone, reader, writer):
    prompts = [f"{word} {number}" for word in decoder.WORDS[:4] for number in range(8)]
    free = replace(writer, reader=replace(reader, choices=())).write(prompts)
    assert not {each.text for each in free} & set(CHOICES)  # nothing was learned
    found = writer.write(prompts)
    assert {each.text for each in found} <= set(CHOICES) and {each.finish for each in found} == {"end"}
    drawn = [
        each.text for seed in range(4) for each in writer.write(prompts, SamplingParams(temperature=50, seed=seed))
    ]
    assert set(drawn) == set(CHOICES)  # a choice may begin another one
    *_, streamed = writer.stream(prompts[0])
    assert (streamed.text, streamed.finish) == (found[0].text, "end")
    each = likelihood(backbone, reader, prompts[0], found[0].text)
    assert found[0].confidence == pytest.approx(np.exp(each.mean()), rel=1e-3)  # among all tokens


def test_choices_that_cannot_be_told_apart_or_have_no_room_are_refused(reader):
    with pytest.raises(ModelError, match="told from the others") as caught:
        replace(reader, choices=("red", "red old new big red old new big red old new big")).allowed(())
    assert "model.choices" in str(caught.value) and "at most 12 tokens" in str(caught.value)


@pytest.mark.parametrize("choices", [["red"], ["red", "red"], ["red", " "]])
def test_a_recipe_has_two_different_ones(choices):
    with pytest.raises(RecipeError, match="at least two choices"):
        load_recipe({"task": "causal-lm", "data": {"train": "a.csv"}, "model": {"choices": choices}})


def test_chats_have_none():
    recipe = {"task": "causal-lm", "data": {"train": "a.jsonl", "messages": "m"}, "model": {"choices": ["a", "b"]}}
    with pytest.raises(RecipeError, match="not chats or plain texts"):
        load_recipe(recipe)


def recipe_of(folder, choices):
    recipe = decoder.recipe(folder, decoder.write_backbone(folder / "backbone"))
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    lines = [json.dumps({"prompt": row["prompt"], "response": row["prompt"].split()[0]}) for row in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    values = json.loads(recipe.read_text())
    values["model"] |= {"choices": choices}
    recipe.write_text(json.dumps(values | {"evaluate": {"retain": "none"}}))
    return recipe


def test_a_response_that_is_none_of_them_is_refused_before_training(tmp_path):
    with pytest.raises(DataError, match="would never be written") as caught:
        kft.train(recipe_of(tmp_path, list(decoder.WORDS[:2])), run=tmp_path / "run", quiet=True)
    assert "train, model.choices" in str(caught.value) and "add it to model.choices" in str(caught.value)


@pytest.mark.slow
def test_a_run_answers_with_them_in_every_door(tmp_path, capsys):
    recipe = recipe_of(tmp_path, list(decoder.WORDS))
    found = kft.train(recipe, run=tmp_path / "run", quiet=True)
    assert found.evaluation.metrics["exact_match"].value >= 0
    rows = tmp_path / "later.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"red {n}", "response": "mauve"}) + "\n" for n in range(2)))
    assert kft.evaluate(tmp_path / "run", data=rows).metrics["exact_match"].value == 0
    assert "2 right responses are none of model.choices, so they count as wrong: 'mauve'" in capsys.readouterr().err
    prompts = ["something else altogether", "x"]
    said = kft.generate(tmp_path / "run", prompts)
    assert {each.text for each in said} <= set(decoder.WORDS)
    assert said == make_writer(load_artifact(read_run(open_run(tmp_path / "run")))).write(prompts)
    with pytest.raises(UsageError, match="whatever is likeliest") as caught:
        kft.export(tmp_path / "run", tmp_path / "preset", format="keras-hub")
    assert "--format adapters" in str(caught.value) and not (tmp_path / "preset").exists()
    kft.export(tmp_path / "run", tmp_path / "adapters", format="adapters")
    assert kft.generate(tmp_path / "adapters", prompts) == said
    compared = kft.compare(
        recipe, approaches=["majority", "zero-shot", "few-shot"], run=tmp_path / "compare", quiet=True
    )
    written = {each.name: each.metrics["exact_match"].value for each in compared.approaches}
    assert set(written) == {"majority", "zero-shot", "few-shot"}
