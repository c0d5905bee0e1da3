"""Every family of decoders that a Hugging Face folder can hold writes with its cache what it would without."""

import csv
import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

import kft
from kft.answer.write import writer_on
from kft.errors import ModelError
from kft.model.families import FAMILIES
from kft.model.language import next_token_logits, with_targets
from kft.model.prompts import PromptReader
from kft.tasks.responses import ASKED, LOSS, TARGETS
from tests.model import families

DECODERS = ("gpt2", "llama", "mistral", "gemma", "gemma 2", "gemma 3", "qwen 2", "qwen 3")
IDS = np.array([[5, 9, 7, 3, 11, 6, 8, 4]], np.int32)


def write_folder(folder, name):
    families.write_folder(folder, name)
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    words = {**{f"w{number}": number for number in range(size - 2)}, "<unk>": size - 2, "<eos>": size - 1}
    built = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    built.pre_tokenizer = pre_tokenizers.Whitespace()
    built.save(str(folder / "tokenizer.json"))
    return folder


def test_all_decoders_are_tried_and_others_are_refused_by_name(tmp_path):
    known = {families.REFERENCES[name]["config"]["model_type"] for name in DECODERS}
    assert known == {family.model_type for family in FAMILIES.values() if family.pooling == "last"}
    folder = write_folder(tmp_path / "falcon", "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "falcon"}))
    with pytest.raises(ModelError, match="kft cannot read Hugging Face models of this type") as caught:
        kft.load_backbone(str(folder))
    assert "received: falcon" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODERS)
def test_a_family_is_judged_and_writes_as_without_a_cache(tmp_path, name):
    backbone = kft.load_backbone(str(write_folder(tmp_path, name)))
    targets = np.append(IDS[:, 1:] + 1, [[0]], axis=1).astype(np.int32)
    found = np.asarray(with_targets(backbone)({"token_ids": IDS, "padding_mask": np.ones_like(IDS), TARGETS: targets}))
    assert found[..., ASKED].sum() == 7 and np.isfinite(found).all() and found[..., LOSS].sum() > 0
    reader = PromptReader(backbone.tokenizer, "{prompt}", 12, 8)
    writer, known = writer_on(backbone.model, {}, reader), IDS
    hidden, cache = writer._begin(IDS)
    for _ in range(4):
        given = {"token_ids": known, "padding_mask": np.ones_like(known)}
        anew = np.asarray(next_token_logits(backbone.model, backbone.model(given, training=False)[:, -1:]))[0, 0]
        np.testing.assert_allclose(np.asarray(writer._weigh(hidden))[0], anew, atol=1e-4)
        known = np.append(known, [[anew.argmax()]], axis=1).astype(np.int32)
        hidden, cache = writer._go_on(known[:, -1:], cache, np.int32(known.shape[1] - 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODERS)
def test_a_family_learns_to_write_and_is_loaded_as_it_was(tmp_path, name):
    folder = write_folder(tmp_path / "backbone", name)
    rng = np.random.default_rng(0)
    pairs = [(f"w{first} w{last}", f"w{first}") for first, last in rng.integers(3, 9, (80, 2))]
    lines = [json.dumps({"prompt": prompt, "response": response}) for prompt, response in pairs]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    recipe = {
        "task": "causal-lm",
        "data": {"train": str(tmp_path / "rows.jsonl"), "valid": "20%", "test": "20%"},
        "model": {"backbone": str(folder), "max_tokens": 12, "response_tokens": 3},
        "train": {
            "batch_size": 16,
            "phases": [
                {"name": "lora", "unfreeze": {"lora": {"targets": ["*query*", "*value*"]}}, "epochs": 2, "lr": 1e-2},
                {"name": "all", "unfreeze": "all", "epochs": 6, "lr": 1e-2},
            ],
        },
    }
    result = kft.train(recipe, run=tmp_path / "run", quiet=True)
    found = result.evaluation
    assert found.metrics["token_log_loss"].value < found.baselines["untuned"]["token_log_loss"].value - 0.5
    with (result.run / "predictions.csv").open(newline="") as file:
        written = {int(row["id"].rpartition(":")[2]): row["prediction"] for row in csv.DictReader(file)}
    prompts = [pairs[number - 1][0] for number in written]  # an id is the line of the row
    assert [each.text for each in kft.generate(result.run, prompts)] == list(written.values())
