"""Approaches where responses are written: what a prompt says, what is chosen, what the verdict says; a tiny decoder."""

import json

import numpy as np
import pandas as pd
import pytest

import kft
from kft.answer.load import load_artifact, read_run
from kft.answer.write import SamplingParams, make_writer
from kft.api import comparing
from kft.api.reading import load
from kft.compare.reading import read_comparison
from kft.compare.saved import FittedApproach
from kft.compare.verdict import Lead, Reached, decide
from kft.compare.written_judging import metric_of, outcome_of
from kft.compare.written_names import NAMES, names_of, refuse_unheeded
from kft.compare.written_prompts import PromptFormat, fit_prompts, forms_of, nearest_by_words
from kft.compare.written_setting import WritingSetting
from kft.compare.written_tuning import kind_of, phases_for
from kft.errors import ModelError, RecipeError, RunError, UsageError
from kft.model.prompts import PromptReader
from kft.model.tokenizers import load_tokenizer
from kft.records.estimate import Estimate
from kft.records.run_folder import open_run
from kft.tasks.cells import as_objects
from kft.tasks.recipes import load_recipe
from tests import decoder

FORM = {"name": "plain", "example": ["Text: {text}", "JSON: {label}"]}
COMPARE = {"shots": 1, "templates": [FORM]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def recipe(folder):
    path = decoder.recipe(folder, decoder.write_backbone(folder / "backbone"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "compare": COMPARE}))
    return path


@pytest.fixture(scope="module")
def compared(recipe, folder):
    return kft.compare(recipe, approaches=["zero-shot", "majority", "retrieval"], run=folder / "run", quiet=True)


def test_one_table_the_cheapest_first_by_what_was_written(compared):
    assert [each.name for each in compared.approaches] == ["majority", "retrieval", "zero-shot"]
    assert compared.metric == "slot_f1" and compared.n == 8
    majority, retrieval, asked = compared.approaches
    assert {"exact_match", "token_f1", "json_valid", "field_accuracy"} <= set(asked.metrics) == set(asked.valid)
    assert majority.chosen["response"].startswith('{"first": ') and majority.metrics["json_valid"].value == 1
    assert asked.metrics["json_valid"].value == 0  # nothing was learned
    assert asked.chosen["form"]["name"] == "plain" and asked.chosen["stop"] == "\n\n" and asked.chosen["shots"] == 0
    assert 10 < asked.cost.prompt_tokens < 64 and majority.cost.prompt_tokens == 0
    assert retrieval.rows == 8 and set(retrieval.paired) == {"valid", "test"}
    why = compared.verdict.why
    assert why.startswith(("nothing beats the constant response", "looking up the nearest"))


def test_the_folder_is_read_back_and_the_table_shows_prompt_tokens(compared):
    found = read_comparison(compared.run)
    assert found.metric == "slot_f1" and found.verdict.best == compared.verdict.best
    assert "prompt tokens" in (compared.run / "compare.md").read_text()
    assert not (compared.run / "unfinished").exists()


def test_what_was_done_is_not_done_again(recipe, folder, compared, monkeypatch):
    monkeypatch.setattr(comparing, "drop_saved", lambda folder: None)
    first = kft.compare(recipe, approaches=["majority", "retrieval"], run=folder / "cut", quiet=True)
    (first.run / "compare.json").unlink()
    again = kft.compare(recipe, approaches=["majority", "retrieval"], run=folder / "cut", quiet=True, resume=True)
    assert again.approaches == first.approaches
    with pytest.raises(RunError, match="another way of prompting"):
        kft.compare(
            recipe, overrides=["compare.shots=2"], approaches=["majority"], run=first.run, quiet=True, resume=True
        )


def test_a_response_of_test_that_is_no_json_takes_nothing_from_what_valid_was_decided_by(recipe, folder):
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    parts = {"train": rows[:20], "valid": rows[20:30], "test": [*rows[30:], {**rows[0], "response": "none"}]}
    _, split = load(recipe, (), {name: pd.DataFrame(own) for name, own in parts.items()})
    given = WritingSetting(
        split=split.without_test(),
        test=split.test,
        **dict.fromkeys(("spec", "progress", "budget", "backbone", "saved")),
    )
    said = {name: as_objects(['{"first": "red"}'] * len(parts[name])) for name in ("valid", "test")}
    done = FittedApproach("majority", cost=None, forgetting_why="", chosen={}, seconds=1, **said)
    found = outcome_of(given, split.test, done, done, 1)
    assert "json_valid" in found.valid and "json_valid" not in found.metrics  # of 11, one is no object
    assert 0 < found.metrics["slot_f1"].value < 1 and metric_of(given).name == "slot_f1"


@pytest.mark.slow
def test_a_tuned_run_takes_the_place_of_training(recipe, folder):
    run = kft.train(recipe, run=folder / "tuned", quiet=True).run
    found = kft.compare(recipe, approaches=["few-shot", "lora"], tuned=[run], run=folder / "with", quiet=True)
    asked, lora = found.approaches
    assert asked.chosen["shots"] == 1 and asked.cost.prompt_tokens > lora.cost.prompt_tokens
    artifact = load_artifact(read_run(open_run(run)))
    assert lora.chosen["checkpoint"] == artifact.checkpoint and lora.cost.trained_parameters == 2048
    kept = json.loads((run / "metrics.json").read_text())["metrics"]
    for name in ("exact_match", "token_f1", "json_valid"):
        assert lora.metrics[name].value == kept[name]["value"]
    trained = kft.compare(recipe, approaches=["lora"], run=folder / "trained", quiet=True)
    assert trained.approaches[0].metrics["token_f1"].value == pytest.approx(lora.metrics["token_f1"].value)
    with pytest.raises(UsageError, match="takes no approach's place"):
        kft.compare(recipe, approaches=["lora"], tuned=[run, run], run=folder / "twice", quiet=True)
    assert len(make_writer(artifact).write(["red"], SamplingParams(max_tokens=2))) == 1


@pytest.mark.slow
def test_with_passages_and_without_stand_side_by_side(recipe, folder):
    values = json.loads(recipe.read_text())
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    (folder / "given.jsonl").write_text(
        "".join(json.dumps({**row, "context": [f"It is {row['response']}"]}) + "\n" for row in rows)
    )
    values["data"] |= {"train": "given.jsonl", "context": "context"}
    values["model"] |= {"max_tokens": 120}
    (folder / "given.yaml").write_text(json.dumps(values))
    run = kft.train(folder / "given.yaml", run=folder / "given", quiet=True).run
    asked = ["zero-shot", "zero-shot+passages", "lora+passages"]
    found = kft.compare(folder / "given.yaml", approaches=asked, tuned=[run], run=folder / "side", quiet=True)
    alone, given, tuned = found.approaches
    assert [each.name for each in found.approaches] == asked
    more = given.cost.prompt_tokens - alone.cost.prompt_tokens
    assert more == pytest.approx(len('[1] It is {"first": "red"}\n\n'), abs=2)
    kept = json.loads((run / "metrics.json").read_text())["metrics"]
    assert tuned.metrics["token_f1"].value == kept["token_f1"]["value"] and tuned.cost.trained_parameters == 2048


def test_a_prompt_is_written_and_ends_where_the_next_example_would_begin():
    form = PromptFormat("plain", "Be brief.", "Q: ", "\nA:")
    assert form.text_of("c", [("a", "b")]) == "Be brief.\n\nQ: a\nA: b\n\nQ: c\nA:"
    assert form.end(["x"]) == "\n\n" and form.end(["x\n\ny"]) == "\n\nQ: "
    assert PromptFormat("own", "", "", "\n").gap == "" and form.gap == " "


def test_forms_name_the_keys_of_responses_and_the_recipes_own_stands_first():
    spec = load_recipe({"task": "causal-lm", "data": {"train": "a.jsonl"}, "model": {"template": "T {prompt}:"}}).spec
    named = {form.name: form for form in forms_of(spec, ['{"a": 1, "b": 2}'])}
    assert next(iter(named)) == "model.template" and (named["model.template"].head, named["model.template"].tail) == (
        "T ",
        ":",
    )
    assert named["fields"].instruction.endswith("with the keys a, b.")
    chat = spec.model_copy(update={"model": spec.model.model_copy(update={"template": "gemma"})})
    assert "model.template" not in {form.name for form in forms_of(chat, ["plain"])}
    assert "fields" not in {form.name for form in forms_of(spec, ['{"a": 1}', "plain"])}


def test_examples_give_way_and_a_prompt_that_is_too_long_is_refused(recipe):
    tokenizer = load_tokenizer(recipe.parent / "backbone", "gpt2")
    reader, form = PromptReader(tokenizer, "{prompt}", 30, 8), PromptFormat("plain", "", "Q:", "\nA:")
    found = fit_prompts(form, ["abc", "de"], [[("f" * 9, "g"), ("h", "i")], []], reader)
    assert found.texts[0] == "Q:h\nA: i\n\nQ:abc\nA:" and found.shortened == 1
    assert found.tokens.tolist() == [len(text) for text in found.texts]
    with pytest.raises(ModelError, match="longer than what the language model reads") as caught:
        fit_prompts(form, ["x" * 40], [[]], reader)
    assert "compare.templates, plain" in str(caught.value)


def test_the_nearest_row_stands_last():
    found = nearest_by_words(["an old red hat"], ["blue shoes", "a red hat", "an old red coat and hat"], 2)
    assert found.shape == (1, 2) and set(found[0].tolist()) == {1, 2}


def test_the_order_of_work_is_said_and_the_rival_is_the_best_untuned():
    reached = {"majority": 0.1, "zero-shot": 0.2, "few-shot": 0.4, "retrieved-shots": 0.3, "lora": 0.9}

    def lead(first, second):
        gap = reached[first] - reached[second]
        return Lead(Estimate(gap, gap - 0.05, gap + 0.05), 100, False)

    said = {name: Reached(value) for name, value in reached.items()}
    verdict = decide(said, lead, metric="field_accuracy", alike=(), baseline="the constant response")
    assert verdict.approach == "lora" and "over few-shot, the best without it" in verdict.why
    assert "the right prompt has 0.400, the right retrieval 0.300, and then comes fine-tuning" in verdict.why
    nothing = decide({"majority": Reached(0.1)}, lead, metric="x", alike=(), baseline="the constant response")
    assert nothing.approach == "majority" and "nothing beats the constant response" in nothing.why


def test_what_does_not_apply_is_refused_by_name(recipe, folder):
    with pytest.raises(UsageError, match="no such approach where responses are written"):
        names_of(["probe"], grounded=True)
    assert names_of(["lora", "majority"], grounded=False) == ["majority", "lora"]
    assert len(names_of(None, grounded=False)) == 8 and names_of(None, grounded=True) == list(NAMES)
    with pytest.raises(UsageError, match="there are no passages to answer from"):
        names_of(["lora+passages"], grounded=False)
    values = {"task": "causal-lm", "data": {"train": "a.jsonl"}}
    with pytest.raises(RecipeError, match="the backbone itself is prompted") as caught:
        refuse_unheeded(load_recipe({**values, "compare": {"calibrate": "never", "language_model": "x"}}).spec)
    assert "compare.language_model, compare.calibrate" in str(caught.value)
    with pytest.raises(UsageError, match="what more labels would bring is not measured"):
        kft.compare(recipe, approaches=["lora"], curve="tuned", run=folder / "no", quiet=True)


def test_a_chat_is_refused_by_name():
    chats = load_recipe({"task": "causal-lm", "data": {"train": "a.jsonl", "messages": "messages"}})
    with pytest.raises(RecipeError, match="examples are not put into chats yet"):
        refuse_unheeded(chats.spec)


def test_the_recipes_own_phases_are_taken_where_they_are_of_the_kind():
    asked = {"task": "causal-lm", "data": {"train": "a.jsonl"}}
    phase = {"name": "mine", "unfreeze": {"lora": {"rank": 4}}, "epochs": 1, "lr": 1e-3}
    spec = load_recipe({**asked, "train": {"phases": [phase]}}).spec
    assert kind_of(spec.train.phases) == "lora" and [each.name for each in phases_for(spec, "lora")] == ["mine"]
    assert [str(each.unfreeze) for each in phases_for(spec, "full")] == ["all"]
    assert np.isfinite(phases_for(spec, "top")[0].lr)
