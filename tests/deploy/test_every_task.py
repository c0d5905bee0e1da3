"""Every task ships: the proof of parity holds, and what was opened answers as the run does."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import kft
from kft.deploy.load import open_artifact
from kft.errors import DataError
from kft.records.document import as_document
from kft.search.models import open_model
from kft.tasks.recipes import load_recipe
from tests import embedded, graded, tiny
from tests.cli.planted import write_data

DEEP = {"name": "deep", "unfreeze": "top-2", "epochs": 4, "lr": 1e-3}
BLEND = {"name": "blend", "unfreeze": "none", "solver": "blend"}
LORA = {"name": "lora", "unfreeze": {"lora": {"rank": 2}}, "epochs": 1, "lr": 1e-3}
WAYS = {
    "text-classification": [BLEND],
    "text-multi-label": [tiny.PROBE],
    "text-pairs": [tiny.PROBE, LORA],
    "text-regression": [tiny.PROBE],
    "text-similarity": [embedded.HEAD, LORA],
    "token-tagging": [DEEP, BLEND],
    "image-classification": [tiny.PROBE],
    "image-multi-label": [tiny.PROBE],
}

NUMBERS = ("text-regression", "text-similarity")
PAIRS = ("text-pairs", "text-similarity")
TAKES = {
    "text-classification": ("text",),
    "text-multi-label": ("text",),
    "text-pairs": ("first", "second"),
    "text-regression": ("text",),
}
"""What the graph of a SavedModel reads by itself; the proof asks it so as well."""


@pytest.mark.slow
@pytest.mark.parametrize("task", WAYS)
def test_it_ships(task, tiny_folder, tiny_images, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    if task == "text-classification":
        source, given = tiny.write_table(tmp_path / "rows.csv", 160), ["the battery was great"]
    elif task == "text-similarity":
        source, given = tmp_path / "pairs.csv", ["the battery was great", "--pair", "it was a great phone"]
        graded.write_pairs(source)
    else:
        source, given = write_data(task, tmp_path)
    images = task.startswith("image-")
    recipe = {
        "task": task,
        "data": {"train": str(source)},
        "model": {"backbone": str(tiny_images if images else tiny_folder)},
        "evaluate": {
            **({"label_thresholds": "f1"} if task.endswith("multi-label") else {}),
            **({"out_of_scope": {"keep": 0.8}} if task not in PAIRS else {}),
        },
        "train": {"batch_size": 16, "phases": WAYS[task], **({"augment": {"color": 0.1}} if images else {})},
    }
    run = kft.train(load_recipe(recipe, base=tmp_path), run=tmp_path / "run", quiet=True).run
    for form in ("onnx", "openvino", "litert", "saved-model"):
        capfd.readouterr()
        about = kft.export(run, tmp_path / form, format=form, quiet=True)
        assert "E0000" not in capfd.readouterr().err, "a line of TensorFlow's own"
        assert about.takes == (TAKES.get(task, ()) if form == "saved-model" else ())
        assert about.parity is not None and about.parity.n == about.parity.of >= 9, form
        asked = given[0] if len(given) == 1 else (given[0], given[2])
        opened = open_artifact(tmp_path / form)
        (answer,) = opened.predict([asked])
        assert opened.reference.n_test == about.parity.n and opened.reference.n_valid >= 9, form
        ((same,), seen) = opened.see([asked])
        assert same == answer and set(seen.values) == set(opened.reference.gauges), form
        (wanted,) = kft.predict(run, [asked])
        assert [key for key in answer if key != "why"] == list(as_document(wanted))
        assert (answer["abstain"], answer.get("why", "")) == (wanted.abstain, wanted.why)
        assert ("abstain" in about.outputs) == (task not in PAIRS) or wanted.abstain is False
        if task.endswith("multi-label"):
            thresholds = json.loads((run / "calibration.json").read_text())["labels"]["values"]
            said = [
                name for name, cut in zip(about.labels, thresholds, strict=True) if answer["probabilities"][name] >= cut
            ]
            assert answer["labels"] == said == wanted.labels and set(thresholds) != {0.5}
        if task in NUMBERS:
            assert answer["value"] == pytest.approx(wanted.value, abs=1e-3), form
        if task == "text-similarity":
            first, second = opened.vectors(asked)
            assert answer["value"] == pytest.approx(5 * float(first @ second), abs=1e-3)
            np.testing.assert_allclose(open_model(run).vectors(asked), [first, second], atol=1e-3)
            (tmp_path / "texts.txt").write_text("\n".join(asked))
            command = [sys.executable, tmp_path / form / "run.py", tmp_path / "texts.txt", "--embed", "query"]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
            np.testing.assert_allclose([json.loads(line)["vector"] for line in said], [first, second], atol=1e-5)
    for form, how in (("onnx", "float16"), *((("onnx", "dynamic"), ("openvino", "int8")) if not images else ())):
        cost = kft.export(run, tmp_path / f"{form}-{how}", format=form, quantize=how, quiet=True).quantized
        assert cost is not None and cost.n == cost.of and cost.before.keys() == cost.after.keys()
        assert (cost.labels_changed is None) == (task in NUMBERS)
        if how == "float16":
            assert cost.after[cost.metric] == pytest.approx(cost.before[cost.metric], abs=0.02)


@pytest.mark.slow
def test_a_model_that_answers_numbers_is_watched_and_its_error_estimated(tiny_folder, tmp_path):
    texts = tiny.texts_and_labels(400, seed=3)[0]
    rows = pd.DataFrame({"text": texts, "stars": [float(len(text.split())) for text in texts]})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    recipe = {
        "task": "text-regression",
        "data": {"train": "rows.csv", "text": "text", "label": "stars", "valid": "20%", "test": "40%"},
        "model": {"backbone": str(tiny_folder)},
        "train": {"batch_size": 16, "phases": [tiny.PROBE]},
    }
    run = kft.train(load_recipe(recipe, base=tmp_path), run=tmp_path / "run", quiet=True).run
    kft.export(run, tmp_path / "shipped", quiet=True)
    texts = tiny.texts_and_labels(200, seed=5)[0]
    new = pd.DataFrame(
        {"text": texts, "stars": [str(len(text.split())) if at % 2 else "" for at, text in enumerate(texts)]}
    )
    said = kft.monitor(tmp_path / "shipped", new, labels="stars")
    answers = [answer.value for answer in kft.predict(tmp_path / "shipped", texts[1::2])]
    wanted = np.abs(np.array(answers) - new.stars[1::2].astype(float)).mean()
    assert said.accuracy.metric == "mae" and said.accuracy.labels == 100 and said.accuracy.reference is not None
    assert said.accuracy.value == pytest.approx(wanted, rel=1e-3) and not said.drift
    longer = new.assign(text=new.text + " and " + new.text)
    assert {"tokens", "value"} & set(kft.monitor(tmp_path / "shipped", longer).alarms)
    with pytest.raises(DataError, match="a label is no number"):
        kft.monitor(tmp_path / "shipped", new, labels="text")
