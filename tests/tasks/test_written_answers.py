"""What a reader found of written answers: nothing found, true and 1, gates of what is not written, drafts."""

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from ruamel.yaml import YAML

from kft.api.drafting import draft
from kft.errors import KftError, RecipeError, UsageError
from kft.evaluate.evaluate import Scored, score
from kft.metrics import overlap
from kft.metrics.constant_response import constant_response
from kft.metrics.intervals import estimate_all
from kft.metrics.language import BESIDE_CONSTANT, OF_JSON, OF_TOKENS, Spoken, decided_by, of_texts, spoken
from kft.records.document import as_document
from kft.tasks.cells import as_objects
from kft.tasks.recipes import load_recipe
from kft.tasks.responses import RESPONSES
from kft.tasks.task import AnswerSpace


def figures(truth, said):
    return figures_of(truth, [Spoken(np.ones(1), np.ones(1), text) for text in said])


def figures_of(truth, answers):
    return {name: metric.value(truth, answers) for name, metric in of_texts(truth, answers).items()}


def test_a_response_that_finds_nothing_is_an_object_too():
    found = figures(["{}", '{"a": 1}'], ["{}", '{"a": 1}'])
    assert found["json_valid"] == found["field_accuracy"] == 1
    assert "field_accuracy" not in figures(["{}"], ["{}"])


def test_true_is_not_one():
    assert figures(['{"a": true}'], ['{"a": 1}'])["field_accuracy"] == 0
    assert figures(['{"a": [true]}'], ['{"a": [1]}'])["field_accuracy"] == 0


def test_what_python_alone_reads_is_no_json():
    found = figures(['{"a": 1, "b": 2}'], ['{"a": NaN, "b": 2}'])
    assert found["json_valid"] == found["field_accuracy"] == found["slot_f1"] == 0


def test_texts_without_words_are_the_same_or_not():
    found = figures(["\U0001f44d", "\u2192"], ["\U0001f44d", "\u2190"])
    assert found["token_f1"] == found["rouge_l"] == found["exact_match"] == 0.5


def test_gates_of_what_is_not_written_are_refused(tmp_path):
    asked = {
        "task": "causal-lm",
        "data": {"train": "rows.jsonl"},
        "model": {"backbone": "gemma3-270m"},
        "evaluate": {"write": False, "gates": {"exact_match": ">= 0.5"}},
    }
    with pytest.raises(RecipeError, match=r"needs evaluate\.write: true"):
        load_recipe(asked, base=tmp_path)


def test_a_draft_is_refused_with_the_recipe_to_copy(tmp_path):
    with pytest.raises(KftError, match="kft recipes copy knowledge/search"):
        draft("rows.csv", tmp_path / "recipe.yaml", task="text-embedding")


def test_prompts_and_chats_are_drafted_by_the_names_of_their_columns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"Ship {n} lamps.", "response": json.dumps({"item": "lamps", "n": n})} for n in range(30)]
    said = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "It is 2."}]
    files = {
        "rows": rows,
        "chats": [{"messages": said}] * 30,
        "labels": [{"text": "a", "label": "bc"[n % 2]} for n in range(9)],
    }
    for name, lines in files.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    look, lengths, text = draft("rows.jsonl", tmp_path / "rows.yaml")
    (tmp_path / "rows.yaml").write_text(text)
    spec = load_recipe(tmp_path / "rows.yaml").spec
    assert (spec.task, spec.data.text, spec.data.label) == ("causal-lm", "prompt", "response")
    assert spec.model.response_tokens == 32 and spec.model.max_tokens == lengths.drafted == 64
    assert dict(look.summary())["response"] == "column 'response', JSON objects of item, n"
    assert look.as_dict()["labels"] == {} and "{lora: {}}" in text and "--accept-terms gemma" in text
    commented = "\n".join(
        line.removeprefix("# ") for line in text[text.index("# train:") :].split("\n\n")[0].split("\n")
    )
    assert YAML(typ="safe").load(commented)["train"]["phases"][0]["unfreeze"] == {"lora": {}}
    (tmp_path / "chats.yaml").write_text(draft("chats.jsonl", tmp_path / "chats.yaml")[2])
    spec = load_recipe(tmp_path / "chats.yaml").spec
    assert (spec.data.messages, spec.data.text, spec.model.template) == ("messages", None, "gemma")
    assert draft("labels.jsonl", tmp_path / "labels.yaml")[0].task.name == "text-classification"


def scored(truth, said, constant):
    answers, constants = as_objects(spoken(said)), {name: as_objects(spoken(constant)) for name in BESIDE_CONSTANT}
    ids, same = [str(row) for row in range(len(truth))], as_objects(spoken([""] * len(truth)))
    given = Scored(RESPONSES, AnswerSpace(()), ids, as_objects(truth), answers, constant=constants,
                   rivals={"untuned": same})  # fmt: skip
    return score(given, split="test", shares=[], gates={})


def test_a_model_below_the_constant_response_is_told_so_by_metric():
    truth = [json.dumps({"a": [], "b": [row]}) for row in range(40)]
    constant = constant_response(truth)
    found = scored(truth, truth[:10] + ["{}"] * 30, [constant] * 40)
    assert set(found.baselines) == {"untuned", "constant"} and "token_log_loss" not in found.baselines["constant"]
    assert found.baselines["constant"]["field_accuracy"].value == 41 / 80
    assert found.gain_over_constant["field_accuracy"].value == pytest.approx((2 * 10 - 41) / 80)
    assert found.constant_wins[0] == (
        "field accuracy: the best single response of train, whatever the prompt, is better than this model, "
        "by more than chance"
    )
    right = scored(truth, truth, [constant] * 40)
    assert right.gain_over_constant["token_f1"].low > 0 and not right.constant_wins
    assert {"gain_over_constant", "baselines"} <= as_document(right).keys()


def test_the_constant_response_of_texts_is_the_nearest_to_all_and_not_the_most_frequent():
    assert constant_response(["no", "no", *(f"the parcel is sent on day {day}" for day in range(9))]).startswith("the")
    assert constant_response(["{}", "text"]) in ("{}", "text")


def f1_of(truth, said):
    return OF_JSON["slot_f1"].value(truth, spoken([said] * len(truth)))


def test_no_other_constant_object_has_a_higher_slot_f1():
    rng = np.random.default_rng(0)
    truth = []
    for _ in range(30):
        names = [name for name, share in zip("abcd", (0.9, 0.5, 0.3, 0.1), strict=True) if rng.random() < share]
        truth.append(json.dumps({"names": names, "kind": "xyz"[rng.integers(3)], "none": [], "in": {"size": None}}))
    best = constant_response(truth, "slot_f1")
    assert json.loads(best).keys() == json.loads(truth[0]).keys() and json.loads(best)["in"] == {"size": None}
    others = [
        json.dumps({"names": list(names), "kind": kind})
        for size in range(5)
        for names in combinations("abcd", size)
        for kind in ("x", "y", "z", None)
    ]
    assert f1_of(truth, best) == max(f1_of(truth, other) for other in others)
    assert constant_response(['{"a": true}', '{"a": 1}', '{"a": true}'], "slot_f1") == '{"a": true}'
    assert constant_response(["{}", "{}"], "slot_f1") == "{}"


def test_whoever_leaves_every_list_empty_does_not_win_by_what_decides():
    truth = [json.dumps({"a": [row] if row < 10 else [], "b": [], "c": []}) for row in range(40)]
    found = scored(truth, truth[:10] + ["{}"] * 30, [constant_response(truth)] * 40)
    assert found.gain_over_constant["field_accuracy"].value < 0 < found.gain_over_constant["slot_f1"].low
    assert decided_by(of_texts(truth, spoken(truth))).name == "slot_f1"


def test_calibrating_texts_is_refused_by_name(tmp_path):
    asked = {"task": "causal-lm", "data": {"train": "rows.jsonl"}, "model": {"backbone": "gemma3-270m"}}
    with pytest.raises(RecipeError, match=r"(?s)evaluate\.calibrate.*evaluate.abstain_at withholds .*: leave it out"):
        load_recipe({**asked, "evaluate": {"calibrate": "none"}}, base=tmp_path)
    assert load_recipe({**asked, "evaluate": {"calibrate": "temperature"}}, base=tmp_path)  # as a run writes it down


def test_an_answer_that_goes_round_in_circles_is_told_by_its_tokens():
    def said(*answers):
        return [replace(each, ids=np.array(ids)) for each, ids in zip(spoken("ab"), answers, strict=True)]

    found = figures_of(["a", "b"], said([7] * 20, [1, 2, 3]))
    assert found["answer_tokens"] == 11.5 and found["repeated_4_grams"] == pytest.approx(16 / 17 / 2)
    assert figures_of(["a", "b"], said([], range(9)))["repeated_4_grams"] == 0
    assert "answer_tokens" not in figures_of(["a", "b"], spoken("ab"))
    interval = estimate_all(["a", "b"], said([7] * 20, [1, 2, 3]), metrics=OF_TOKENS)["repeated_4_grams"]
    assert 0 <= interval.low < interval.value < interval.high <= 1


def test_overlap_is_of_any_script_and_left_out_or_refused_without_its_package(monkeypatch):
    found = figures(["красный дом", "ein grüner Apfel"], ["красный дом", "ein Apfel"])
    assert found["rouge_l"] == pytest.approx(0.9) and 0.5 < found["chrf"] < 1
    monkeypatch.setitem(overlap.PACKAGES, "rouge_l", "no_such_package")
    left = figures(["a"], ["a"])
    assert "rouge_l" not in left and left["chrf"] == 1
    overlap.require_overlap(["chrf", "token_f1"])
    with pytest.raises(
        UsageError, match=r"(?s)gate asks for rouge_l.*no_such_package is not installed.*kft\[language\]"
    ):
        overlap.require_overlap(["rouge_l"])
