"""A language model that is prompted: what prompts say, what is chosen, what is refused; on a tiny random decoder."""

import json

import numpy as np
import pytest

import kft
from kft.compare.language_model import asked_identity
from kft.compare.prompting import LabelScores, Manner, PromptSetting, _minutes_each, too_long, unfit
from kft.compare.prompts import Prompter, Shot, in_one_line, label_words, nearest_shots, shipped_templates
from kft.compare.reading import read_comparison
from kft.compare.saved import read_saved
from kft.errors import ModelError, RecipeError, RunError
from kft.model.likelihood import Work
from kft.model.tokenizers import load_tokenizer
from kft.recipe.comparing import CompareSpec, TemplateSpec
from kft.tasks.recipes import load_recipe
from tests import decoder as byte_decoder
from tests.compare.settings import setting_of
from tests.compare.tables import write_recipe
from tests.compare.words_decoder import TEMPLATE, write_decoder

PLAIN = TemplateSpec.model_validate(TEMPLATE)
LABELS = ("negative", "positive")


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return write_decoder(tmp_path_factory.mktemp("decoder") / "folder")


@pytest.fixture(scope="module")
def prompter(decoder):
    return Prompter(PLAIN, LABELS, load_tokenizer(decoder, "qwen3"), 24)


@pytest.fixture(scope="module")
def compared(decoder, tmp_path_factory):
    """A comparison on the decoder itself, and its folder."""
    folder = tmp_path_factory.mktemp("compared")
    asked = {"templates": [TEMPLATE], "shots": 2}
    path = write_recipe(folder, decoder, 80, compare=asked)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KFT_CACHE", str(folder / "cache"))
        yield kft.compare(path, approaches=["majority", "prompting"], run=folder / "run", quiet=True), folder / "run"


def test_what_is_chosen_on_valid_and_what_it_cost(compared):
    result, run = compared
    majority, asked = result.approaches
    assert asked.name == "prompting" and asked.skipped is None and asked.rows == 16
    chosen = asked.chosen
    tried = [(each["examples"], each["score"], each["calibrated"]) for each in chosen["tried"]]
    # Labels of one token each: the mean is the sum.
    assert tried == [(how, "sum", free) for how in ("none", "fixed", "retrieved") for free in (False, True)]
    best = max(chosen["tried"], key=lambda each: each["accuracy"])
    assert {name: chosen[name] for name in ("examples", "score", "calibrated")} == {
        name: best[name] for name in ("examples", "score", "calibrated")
    }
    assert best["accuracy"] == round(asked.valid["accuracy"].value, 4)  # valid's 16 rows are all chosen by
    assert chosen["label_words"] == {"negative": "negative", "positive": "positive"} and chosen["chosen_on"] == 16
    assert asked.cost.trained_parameters == 0 and asked.cost.bytes > 4 * 40 * 16 and asked.cost.examples_per_second > 0
    assert asked.risk.overfitting_gap is None and asked.risk.ece is not None
    assert set(asked.paired) == {"valid", "test"} and set(majority.paired) >= {"valid", "test"}
    assert json.loads((run / "compare.json").read_text())["approaches"][1]["chosen"]["language_model"]


@pytest.fixture(scope="module")
def setting(decoder):
    found = setting_of()
    asked = {"templates": [TEMPLATE, {**TEMPLATE, "name": "long", "instruction": "very " * 70}], "shots": 2}
    values = {"task": "text-classification", "data": {"train": "a.csv"}, "model": {"backbone": str(decoder)}}
    found.__dict__["spec"] = load_recipe({**values, "compare": asked}).spec
    return found


def test_answers_are_the_likelihoods_of_whole_prompts(setting):
    """Fixed and retrieved examples, calibrated: as if each prompt were weighed by itself."""
    asking, rows = PromptSetting(setting), setting.split.valid.take(np.arange(3))
    vectors = setting.seen_of(setting.split.valid).vectors[:3]
    prompter = asking.prompter(PLAIN)
    for examples in ("fixed", "retrieved"):
        found = asking.score(Manner(PLAIN, examples), rows, free=True, vectors=vectors)
        shots = asking.shots_of(Manner(PLAIN, examples), rows, vectors)
        assert {len(each) for each in shots} == {2} and found.shortened == 0
        for row, text in enumerate(rows.inputs):
            free = found.free[0][0] if examples == "fixed" else found.free[row][0]
            for said, scores in ((text, found.sums[row]), ("N/A", free)):
                tokens, _ = prompter.tokens_of([said], [shots[row]])
                alone = asking.weigh.of([tokens], prompter.label_tokens)[0][0]
                np.testing.assert_allclose(scores, alone, atol=1e-4, err_msg=f"{examples} {said}")


def test_a_template_that_is_too_long_is_left_out_and_too_dear_is_said_by_size(setting):
    asking = PromptSetting(setting)
    with pytest.raises(ModelError) as error:
        asking.score(Manner(asking.manners[1].template, "none"), setting.split.valid, free=False)
    assert "longer than what the language model reads" in str(error.value)
    assert "compare.templates, long" in str(error.value) and "at most 64, before the label's words" in str(error.value)
    assert too_long(setting, 60) == ""
    assert too_long(setting, 0).endswith("minutes by its size (2 classes, 2 examples), over --budget 0")
    calibrated, nearest = setting.spec.compare, Manner(asking.manners[0].template, "retrieved")
    dear = _minutes_each(asking, nearest)
    setting.__dict__["spec"] = setting.spec.model_copy(
        update={"compare": calibrated.model_copy(update={"calibrate": "never"})}
    )
    assert _minutes_each(asking, nearest) < dear  # each prompt is weighed without content too
    setting.__dict__["spec"] = setting.spec.model_copy(update={"compare": calibrated})


def test_calibration_divides_by_what_labels_get_without_a_text():
    sums = np.log([[0.6, 0.3], [0.5, 0.4]])
    free = np.log([[[0.8, 0.2], [0.6, 0.4]]])
    found = LabelScores(sums, free, np.array([1, 2]), Work(0, 0, 0), 0)
    shares = np.exp(found.logits("sum", True))
    np.testing.assert_allclose(
        shares / shares.sum(1, keepdims=True), [[6 / 13, 7 / 13], [5 / 14.333333, 9.333333 / 14.333333]], rtol=1e-6
    )
    np.testing.assert_allclose(found.logits("sum", False), sums)
    np.testing.assert_allclose(found.logits("mean", False), sums / [1, 2])
    far = LabelScores(sums, np.array([[[0.0, -2000.0], [0.0, -1800.0]]]), np.array([1, 2]), Work(0, 0, 0), 0)
    np.testing.assert_allclose(far.logits("sum", True)[:, 1] - sums[:, 1], [1800 + np.log(2)] * 2)


def test_prompts_and_the_tokens_of_labels(prompter):
    (row,), shortened = prompter.tokens_of(["great phone"], [[Shot("poor", 0)]])
    words = prompter.tokenizer.tokenizer.decode(row.tolist())
    assert words == "Text : poor Label : negative Text : great phone Label :" and shortened == 0
    assert prompter.label_tokens.tokens == ((7,), (6,))
    rows, shortened = prompter.tokens_of(["great"] * 2, [[Shot("poor very very very", 0), Shot("lovely", 1)] * 2, []])
    assert shortened == 1 and list(map(len, rows)) == [20, 5]  # the first examples gave way
    listed = Prompter(shipped_templates()[3], LABELS, prompter.tokenizer, 24)
    assert listed.text_of("x", []).startswith("Each text belongs to one of these: negative, positive.\n\nText: x")


def test_a_label_that_begins_another_gets_an_end(prompter):
    alike = Prompter(PLAIN, ("good", "good one"), prompter.tokenizer, 24)
    # This tokenizer has no token for a line's end: both stay as they are, and the longer is never the likelier by sum.
    assert alike.label_tokens.tokens[1][:1] == alike.label_tokens.tokens[0]


def test_texts_are_one_line_and_cut(prompter):
    assert in_one_line(["great\n\n phone", "a " * 9], prompter.tokenizer, 3) == (["great phone", "a a a"], 1)


def test_the_nearest_example_stands_last():
    known = np.array([[1, 0], [0, 1], [0.8, 0.6]])
    assert nearest_shots(np.array([[1.0, 0.0]]), known, 2).tolist() == [[2, 0]]


def test_what_cannot_be_asked_says_why(decoder, tiny_folder, tmp_path):
    values = {"task": "text-classification", "data": {"train": "a.csv"}}

    def setting_with(labels=None, **compare):
        found = setting_of(labels=labels)
        backbone = {"model": {"backbone": str(tiny_folder)}, "compare": compare}
        found.__dict__["spec"] = load_recipe({**values, **backbone}).spec
        return found

    needed = unfit(setting_with())
    assert needed.endswith("reads texts and writes none: name a decoder, such as --language-model gemma3-270m")
    assert unfit(setting_with(["1", "0"] * 100)) == "label names such as '0' say nothing"
    alike = unfit(setting_with(label_words={"positive": "fine", "negative": "fine"}))
    assert alike == "two labels have the words 'fine': compare.label_words tells them apart"
    with pytest.raises(ModelError) as error:
        setting_with(language_model=str(tiny_folder)).language_model  # noqa: B018
    assert "no language model" in str(error.value) and "compare.language_model" in str(error.value)
    found = setting_with(language_model=str(decoder))
    assert unfit(found) == "" and found.language_model.name == str(decoder)


def test_label_words_of_no_label_and_templates_that_say_nothing_are_refused():
    with pytest.raises(RecipeError, match="the data have no such label"):
        label_words(CompareSpec(label_words={"neutral": "so so"}), LABELS)
    assert label_words(CompareSpec(label_words={"positive": "great"}), LABELS) == ("negative", "great")
    values = {"task": "text-classification", "data": {"train": "a.csv"}}
    for example in ("{label}: {text}", "{text}{label}", "{text} {text}: {label}", "{text}:"):
        with pytest.raises(RecipeError, match=r"and \{label\} at the end"):
            load_recipe({**values, "compare": {"templates": [{"name": "odd", "example": example}]}})


def test_one_begun_when_prompting_meant_names_is_refused_and_one_finished_is_read(compared, setting, tmp_path):
    then = {"recipe": "a"}
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "identity.json").write_text(json.dumps(then))
    with pytest.raises(RunError, match="begun with another way of prompting"):
        read_saved(tmp_path, then | asked_identity(setting, None))
    _, run = compared
    values = json.loads((run / "compare.json").read_text())
    del values["approaches"][1]["chosen"]["language_model"]
    values["verdict"]["approach"] = "prompting"
    old = tmp_path / "old"
    old.mkdir()
    (old / "compare.json").write_text(json.dumps(values))
    (old / "recipe.yaml").write_bytes((run / "recipe.yaml").read_bytes())
    found = read_comparison(old)
    assert [each.name for each in found.approaches] == ["majority", "names"] and found.verdict.approach == "names"
    assert [each.name for each in read_comparison(run).approaches] == ["majority", "prompting"]
    values["approaches"][1] = {"name": "prompting", "skipped": "labels such as '0' say nothing"}
    values["verdict"]["approach"] = "majority"
    (old / "compare.json").write_text(json.dumps(values))
    assert [each.name for each in read_comparison(old).approaches] == ["majority", "prompting"]
    recipe = "\n".join((run / "recipe.yaml").read_text().split("\ncompare:")[:1])
    (old / "recipe.yaml").write_text(recipe + "\n")
    assert [each.name for each in read_comparison(old).approaches] == ["majority", "names"]


def test_a_text_that_spells_a_token_of_control_is_read_as_its_letters(tmp_path):
    tokenizer = load_tokenizer(byte_decoder.write_backbone(tmp_path), "gpt2")
    end = tokenizer.tokenizer.token_to_id(byte_decoder.END)
    (row,), _ = Prompter(shipped_templates()[0], LABELS, tokenizer, 128).tokens_of([f"{byte_decoder.END} hi"], [[]])
    assert end not in row and tokenizer.tokenizer.decode(row.tolist()) == f"Text: {byte_decoder.END} hi\nLabel:"
