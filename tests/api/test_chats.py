"""A decoder tuned on chats, with the folder's own template: all turns learned, saved, loaded and asked."""

import json

import pandas as pd
import pytest

import kft
from kft.cli.main import run as kft_run
from kft.errors import DataError, UsageError
from tests import decoder

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def chat(number):
    return [
        {"role": "user", "content": f"say {number}"},
        {"role": "assistant", "content": f"{number}"},
        {"role": "user", "content": "again<|im_end|>"},
        {"role": "assistant", "content": f"{number} again"},
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chats")
    backbone = decoder.with_controls(decoder.write_backbone(folder / "backbone"), "<|im_start|>", "<|im_end|>")
    (backbone / "tokenizer_config.json").write_text(json.dumps({"chat_template": CHATML}))
    rows = "\n".join(json.dumps({"messages": chat(number)}) for number in range(24))
    (folder / "rows.jsonl").write_text(rows)
    recipe = {
        "task": "causal-lm",
        "data": {"train": str(folder / "rows.jsonl"), "messages": "messages", "valid": "25%", "test": "25%"},
        "model": {"backbone": str(backbone), "max_tokens": 120, "response_tokens": 16, "dropout": 0.0},
        "train": {"batch_size": 8, "phases": [{**decoder.LORA, "epochs": 1}]},
        "evaluate": {"write": False, "retain": "none"},
    }
    return kft.train(recipe, run=folder / "run", quiet=True).run


@pytest.mark.slow
def test_chats_are_learned_written_and_read_again(run, tmp_path, capsys):
    metrics = json.loads((run / "metrics.json").read_text())
    assert "token_log_loss" in metrics["metrics"]
    question = chat(3)[:3]
    (known,) = kft.generate(run, [question], max_tokens=4)
    (short,) = kft.generate(run, "say 3", max_tokens=4)
    asked = [{"role": "user", "content": "say 3"}]
    assert kft.generate(run, [asked], max_tokens=4) == [short] and short.prompt_tokens < known.prompt_tokens
    (tmp_path / "q.jsonl").write_text("".join(json.dumps({"messages": each}) + "\n" for each in (question, asked)))
    asking = ["generate", str(run), "--messages", str(tmp_path / "q.jsonl"), "--max-tokens", "4", "--json"]
    assert kft_run(asking) == 0
    assert [each["text"] for each in json.loads(capsys.readouterr().out)["answers"]] == [known.text, short.text]
    kft.export(run, tmp_path / "shipped", format="transformers", quiet=True)  # with its own template
    assert kft.generate(tmp_path / "shipped", [question], max_tokens=4)[0].text == known.text
    assert kft.predict(run, pd.DataFrame({"messages": [question]}))[0].text.startswith(known.text)


def test_a_chat_that_waits_for_nobody_is_refused(run):
    with pytest.raises(DataError, match="this is no chat"):
        kft.generate(run, [chat(1)])
    assert kft_run(["generate", str(run)]) == 2
    from kft.api.generating import load_generator

    generator = load_generator(run)
    object.__setattr__(generator.writer.reader, "turns", "one")
    with pytest.raises(UsageError, match="tuned on prompts, and this is a chat"):
        generator.write([chat(1)[:3]])


@pytest.mark.slow
def test_plain_texts_are_learned_whole_and_another_run_starts_from_what_they_taught(tmp_path):
    backbone = decoder.write_backbone(tmp_path / "backbone")
    rows = [{"body": f"the {n} red and the {n} blue", "label": "odd" if n % 2 else "even"} for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    recipe = {
        "task": "causal-lm",
        "data": {"train": str(tmp_path / "rows.jsonl"), "texts": "body", "valid": "25%", "test": "25%"},
        "model": {"backbone": str(backbone), "max_tokens": 48, "dropout": 0.0},
        "train": {"batch_size": 8, "phases": [{**decoder.LORA, "epochs": 1}]},
        "evaluate": {"retain": "none"},
    }
    texts = kft.train(recipe, run=tmp_path / "texts", quiet=True)
    metrics = texts.evaluation.metrics
    assert "exact_match" not in metrics and metrics["token_log_loss"].value > 0
    assert kft.generate(texts.run, "the 3 ", max_tokens=3)[0].prompt_tokens == 6
    classes = {
        "task": "text-classification",
        "data": {"train": str(tmp_path / "rows.jsonl"), "text": "body", "label": "label"},
        "model": {"backbone": str(backbone), "max_tokens": 48, "start_from": str(texts.run)},
        "train": {"phases": [{"name": "probe", "unfreeze": "none", "solver": "lbfgs"}]},
        "evaluate": {"retain": "none"},
    }
    on_texts = kft.train(classes, run=tmp_path / "on", quiet=True)
    plain = kft.train({**classes, "model": {**classes["model"], "start_from": None}}, run=tmp_path / "off", quiet=True)
    both = [kft.predict(each.run, ["the 3 red"])[0].probabilities for each in (on_texts, plain)]
    assert both[0] != both[1]
