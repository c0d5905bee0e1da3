"""What a task can obey of a recipe: declared by its input kind and its kind of answer, and nowhere else."""

import pytest

from kft.errors import RecipeError
from kft.recipe.schema import RecipeSpec
from kft.tasks.recipes import find_misfits, load_recipe
from kft.tasks.registry import TASKS

SET = {
    "data.text": "body",
    "data.text_pair": "second",
    "data.image": "photo",
    "data.html": "unescape",
    "data.documents": "documents.csv",
    "data.negative": "unlike",
    "data.messages": "chat",
    "data.texts": "body",
    "model.turns": "last",
    "data.time": "day",
    "data.added": ["new.csv"],
    "data.document": "path",
    "data.label_separator": ";",
    "data.tags": "bioes",
    "data.offsets": "utf-16",
    "data.redact": ["email"],
    "data.bins": {"edges": [0], "labels": ["a", "b"]},
    "model.image.size": 64,
    "model.long_text": "windows",
    "model.pooling": "max",
    "model.blocks": 2,
    "train.compile": "on",
    "model.prompts": {"query": "query: "},
    "model.template": "Text: {prompt}",
    "data.context": "context",
    "data.index": "handbook",
    "data.passages": 2,
    "model.context_template": "{prompt} {context}",
    "model.context_tokens": 64,
    "model.response_tokens": 16,
    "model.choices": ["yes", "no"],
    "model.quantize": "int8",
    "evaluate.write": False,
    "evaluate.calibrate": "none",
    "features.precision": "int8",
    "train.augment": {},
    "train.pairs": {"temperature": 0.1},
    "train.graded": {"loss": "squared"},
    "train.gradient_accumulation": 2,
    "train.refit": True,
    "train.teacher": "runs/big",
    "data.unlabelled": "more.csv",
    "train.class_weight": "balanced",
    "train.label_smoothing": 0.1,
    "evaluate.suite": "checks.yaml",
    "evaluate.abstain_at": {"error": 0.05},
    "evaluate.threshold": {"costs": {"wrong": 10, "abstain": 1}},
    "evaluate.out_of_scope": {"keep": 0.9},
    "evaluate.label_thresholds": "f1",
    "compare": {"shots": 4},
    "evaluate.interval": {"coverage": 0.9},
}
"""Every key that some task does not obey, with a value other than its default."""
EVERYWHERE = "time added gradient_accumulation refit"
"""What only text-embedding refuses, and text-similarity in part."""
BUT_WRITING = "blocks compile calibrate"
"""What causal-lm refuses, and masked-lm in part."""
MASKED = {"masked-lm": ["time", "added", "gradient_accumulation"]}
OBEYED = {
    "text-classification": "text document long_text html redact pooling precision bins teacher unlabelled class_weight "
    "label_smoothing suite abstain_at threshold out_of_scope compare",
    "text-multi-label": "text document long_text html redact pooling precision label_separator label_thresholds suite "
    "out_of_scope",
    "text-pairs": "text text_pair html redact pooling precision bins teacher unlabelled class_weight label_smoothing "
    "suite abstain_at threshold out_of_scope",
    "text-regression": "text document long_text html redact pooling precision suite out_of_scope interval",
    "text-embedding": "text html documents negative redact pooling prompts pairs suite",
    "text-similarity": "text text_pair html redact pooling prompts graded",
    "causal-lm": "text messages texts context index passages context_template context_tokens quantize template "
    "response_tokens choices write compare abstain_at suite",
    "masked-lm": "texts html redact",
    "token-tagging": "text tags offsets precision suite out_of_scope",
    "image-classification": "image size pooling augment bins teacher unlabelled class_weight label_smoothing suite "
    "abstain_at threshold out_of_scope",
    "image-multi-label": "image size pooling augment label_separator label_thresholds suite out_of_scope",
}


def spec_with(task, key, value):
    *parents, last = key.split(".")
    values = {last: value}
    for part in reversed(parents):
        values = {part: values}
    needed = {"texts": "text"} if task == "masked-lm" else {}
    values["data"] = {"train": "a.csv", **needed, **values.get("data", {})}
    return RecipeSpec.model_validate({"task": task, **values})


def test_all_keys_that_are_declared_are_tried():
    declared = {key for task in TASKS for key in (*task.keys, *task.refuses)}
    assert declared == set(SET) and set(OBEYED) == set(TASKS.names())


@pytest.mark.parametrize("task", OBEYED)
def test_a_task_obeys_its_keys_and_refuses_those_of_others(task):
    refused = {key for key, value in SET.items() if find_misfits(spec_with(task, key, value))}
    everywhere = {"text-embedding": [], "text-similarity": ["time", "added"], **MASKED}.get(task, EVERYWHERE.split())
    everywhere += {"causal-lm": [], "masked-lm": ["blocks"]}.get(task, BUT_WRITING.split())
    assert {key.split(".")[-1] for key in set(SET) - refused} == {*OBEYED[task].split(), *everywhere}


@pytest.mark.parametrize(
    ("task", "key", "text"),
    [
        ("text-regression", "data.text_pair", "only for text-pairs, text-similarity; the task is text-regression"),
        ("text-pairs", "data.image", "only for image-classification, image-multi-label; the task is text-pairs"),
        (
            "token-tagging",
            "data.html",
            "only for text-classification, text-multi-label, text-pairs, text-regression, text-embedding, "
            "text-similarity, masked-lm; the task is token-tagging",
        ),
        (
            "token-tagging",
            "data.redact",
            "a placeholder would move the labelled spans: redact the texts before they are labelled",
        ),
        ("token-tagging", "model.pooling", "token-tagging answers for each token, so nothing is pooled"),
        (
            "image-multi-label",
            "data.text",
            "image-multi-label reads images: data.image names the column of their paths",
        ),
        (
            "image-classification",
            "data.redact",
            "only texts are searched for personal data; image-classification reads images",
        ),
    ],
)
def test_a_refused_key_says_why(task, key, text):
    assert find_misfits(spec_with(task, key, SET[key])) == [(tuple(key.split(".")), text)]


def test_everything_that_does_not_fit_is_said_at_once():
    values = {
        "task": "image-multi-label",
        "data": {"train": "photos", "text_pair": "b"},
        "train": {"best": "valid_accuracy", "class_weight": "balanced"},
        "evaluate": {"gates": {"forgetting.retained": ">= 0.9", "macro_f1": ">= 0.5"}},
    }
    with pytest.raises(RecipeError) as caught:
        load_recipe(values)
    lines = str(caught.value).splitlines()
    assert lines[:5] == [
        "the recipe is not valid: 4 errors",
        "  - train.best: valid_accuracy is not a metric of image-multi-label, which has valid_loss, valid_micro_f1, "
        "valid_macro_f1, valid_average_precision; did you mean valid_macro_f1?",
        "  - data.text_pair: only for text-pairs, text-similarity; the task is image-multi-label",
        "  - train.class_weight: only for text-classification, text-pairs, image-classification; the task is "
        "image-multi-label",
        "  - evaluate.gates.forgetting.retained: no photos ship with kft: name some in evaluate.retain, such as "
        "{data: FOLDER, label: label}",
    ]


def test_what_chats_do_not_go_with_is_said():
    data = {"train": "a.jsonl", "messages": "messages", "label": "reply", "index": "docs"}
    for values, expected in (
        ({"data": data}, ["data.messages holds prompts and responses already", "passages are put before a prompt"]),
        ({"data": {**data, "label": None, "index": None}, "model": {"template": "Q: {prompt}"}}, ["wants a chat temp"]),
        ({"data": {"train": "a.jsonl"}, "model": {"turns": "last"}}, ["a prompt and its response are one turn"]),
        ({"data": {"train": "a.jsonl"}, "model": {"template": "gema"}}, ["once; or one of own, gemma, chatml, llama3"]),
    ):
        with pytest.raises(RecipeError) as caught:
            load_recipe({"task": "causal-lm", **values})
        assert all(text in str(caught.value) for text in expected), caught.value


@pytest.mark.parametrize("task", TASKS.names())
def test_a_run_is_chosen_by_its_tasks_first_metric(task):
    data = {"train": "a.csv", **({"texts": "text"} if task == "masked-lm" else {})}
    best = load_recipe({"task": task, "data": data}).spec.train.best
    assert best == f"valid_{TASKS.get(task).kind.judging.main.name}"


def test_what_int8_cannot_be_put_together_with_is_said():
    values = {
        "task": "text-classification",
        "data": {"train": "a.csv", "unlabelled": "more.csv"},
        "model": {"weights": "random"},
        "train": {
            "precision": "bfloat16",
            "phases": [
                {"name": "probe", "unfreeze": "none", "solver": "lbfgs"},
                {"name": "top", "unfreeze": "top-2", "epochs": 1},
                {"name": "own", "unfreeze": "none", "epochs": 1, "unlabelled": "confident"},
            ],
        },
        "features": {"precision": "int8"},
    }
    with pytest.raises(RecipeError) as caught:
        load_recipe(values)
    without = (
        "in float32, which features.precision int8 leaves out: use a probe or a blend, or --set features.precision"
    )
    assert str(caught.value).splitlines()[:6] == [
        "the recipe is not valid: 5 errors",
        "  - features.precision: int8 is for frozen blocks, and with random weights all blocks train: use float32",
        "  - features.precision: int8 takes the place of train.precision bfloat16: leave one of the two out",
        "  - features.precision: rows without labels are learned from by blocks that train, and int8 freezes all: use "
        "float32",
        f"  - train.phases[1]: trains top-2, {without}=float32",
        f"  - train.phases[2]: labels rows by the run's own answers, {without}=float32",
    ]


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ({"windows": {"most": 8}}, "long_text: windows, which the keys of `windows` belong to"),
        ({"long_text": "windows", "max_tokens": 16, "windows": {"overlap": 9}}, "at most half of max_tokens, 8"),
    ],
)
def test_windows_that_do_not_fit_are_refused(model, text):
    with pytest.raises(RecipeError, match="recipe") as caught:
        load_recipe({"task": "text-classification", "data": {"train": "a.csv"}, "model": model})
    assert text in str(caught.value)


def test_windows_are_not_computed_in_int8_and_bound_the_tokens_of_a_step():
    asked = {"task": "text-classification", "data": {"train": "a.csv"}, "model": {"long_text": "windows"}}
    with pytest.raises(RecipeError, match="recipe") as caught:
        load_recipe({**asked, "features": {"precision": "int8"}})
    assert "int8 has not been measured on windows" in str(caught.value)
    assert load_recipe(asked).spec.train.gradient_accumulation == 8
    assert load_recipe({**asked, "train": {"gradient_accumulation": 2}}).spec.train.gradient_accumulation == 2
