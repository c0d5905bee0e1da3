"""What a tuned decoder writes: the same with the cache as without, alone as among others, saved as loaded."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import kft
from kft.answer.decide import Decisions
from kft.answer.fitted import FittedDecisions, write_fitted
from kft.answer.load import load_artifact, read_run
from kft.answer.write import SamplingParams, choose, make_writer
from kft.api.generating import load_generator
from kft.api.predicting import predict_file
from kft.cli.main import run as run_cli
from kft.deploy.writing import read_rule, read_settings, write_settings
from kft.errors import UsageError
from kft.model.language import next_token_logits
from kft.records.manifest import sealing
from kft.records.rules import Promise
from kft.records.run_folder import open_run
from kft.tasks.decode import log_softmax
from tests import decoder, tiny

PROMPTS = ["red old new 3", "x", "green big blue and some more words"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    recipe = decoder.recipe(folder, decoder.write_backbone(folder / "backbone"))
    values = json.loads(recipe.read_text()) | {"evaluate": {"abstain_at": {"error": 0.1}, "retain": "none"}}
    recipe.write_text(json.dumps(values))
    return kft.train(recipe, run=folder / "run", quiet=True).run


@pytest.fixture(scope="module")
def artifact(run):
    return load_artifact(read_run(open_run(run)))


@pytest.fixture(scope="module")
def writer(artifact):
    return make_writer(artifact, rows=2)


def without_cache(artifact, prompt, tokens):
    """Reads all there is anew for each token."""
    reader = artifact.reader.writing
    (ids,), _ = reader.prompts([prompt])
    said = []
    for _ in range(tokens):
        row = np.concatenate([ids, said]).astype(np.int32)[None]
        hidden = artifact.backbone.model({"token_ids": row, "padding_mask": np.ones_like(row)}, training=False)
        said.append(int(np.asarray(next_token_logits(artifact.backbone.model, hidden[:, -1:])).argmax()))
        if said[-1] == reader.end:
            return reader.text(said[:-1])
    return reader.text(said)


@pytest.mark.slow
def test_a_text_is_that_of_reading_everything_anew_alone_and_among_others(artifact, writer):
    found = writer.write(PROMPTS, SamplingParams(max_tokens=10))
    assert [each.text for each in found] == [without_cache(artifact, prompt, 10) for prompt in PROMPTS]
    assert [each.text for each in make_writer(artifact).write(PROMPTS, SamplingParams(max_tokens=10))] == [
        each.text for each in found
    ]
    assert [(each.prompt_tokens, each.cut) for each in found] == [(14, False), (2, False), (32, True)]


def test_nothing_is_traced_again_for_another_request(writer):
    writer.write(["x"])
    before = [each.experimental_get_tracing_count() for each in (writer._begin, writer._go_on, writer._weigh)]
    writer.write(PROMPTS, SamplingParams(max_tokens=3, temperature=1.0))
    traced = [each.experimental_get_tracing_count() for each in (writer._begin, writer._go_on, writer._weigh)]
    assert traced == before == [1, 1, 1]


def test_what_was_evaluated_is_what_the_loaded_run_writes(run, writer):
    kept = pd.read_csv(run / "predictions.csv", keep_default_na=False)
    rows = [json.loads(line) for line in (run.parent / "rows.jsonl").read_text().splitlines()]
    asked = [rows[int(name.rpartition(":")[2]) - 1]["prompt"] for name in kept["id"]]
    assert len(asked) == 8
    said = [each.text for each in writer.write(asked)]
    assert [text.strip("\r\n") for text in said] == [str(text).strip("\r\n") for text in kept["prediction"]]


def test_draws_follow_the_seed_and_stops_are_no_part_of_a_text(writer):
    first, again, other = (
        writer.write(["red"], SamplingParams(max_tokens=12, temperature=1.5, seed=seed))[0] for seed in (1, 1, 2)
    )
    assert first == again and first.text != other.text
    whole = writer.write(["red"], SamplingParams(max_tokens=12))[0]
    stop = whole.text[2:4]
    found = writer.write(["red"], SamplingParams(max_tokens=12, stop=(stop,)))[0]
    assert (found.text, found.finish) == (whole.text[: whole.text.index(stop)], "stop")
    assert writer.write(["red"], SamplingParams(max_tokens=3))[0].finish == "length"


def test_confidence_is_what_the_model_gave_each_token_and_the_end(artifact, writer):
    """Against one pass over prompt and answer, as the right responses are judged."""
    said, ids = writer.write_tokens(["red old new 3"])[0]
    reader = artifact.reader.writing
    (prompt,), _ = reader.prompts(["red old new 3"])
    tokens = np.concatenate([ids, [reader.end]] if said.finish == "end" else [ids]).astype(np.int32)
    row = np.concatenate([prompt, tokens]).astype(np.int32)[None]
    hidden = artifact.backbone.model({"token_ids": row, "padding_mask": np.ones_like(row)}, training=False)
    logits = np.asarray(next_token_logits(artifact.backbone.model, hidden[:, len(prompt) - 1 : -1]))[0]
    likely = log_softmax(logits)[np.arange(len(tokens)), tokens]
    assert said.confidence == pytest.approx(np.exp(likely.mean()), rel=1e-5)


def test_half_of_valid_is_set_aside_and_too_few_rows_are_told(run):
    assert json.loads((run / "receipt.json").read_text())["set_aside"] == 4
    selective = json.loads((run / "metrics.json").read_text())["selective"]
    assert "from 4 rows, half of valid: it takes at least 29 answers" in selective["promise"]["why"]
    assert selective["threshold"] is None and selective["coverage"]["value"] == 1 and selective["right"] == "same"


def test_a_rule_withholds_what_is_below_it(writer):
    sure = [each.confidence for each in writer.write(PROMPTS)]
    found = replace(writer, rule=Promise(0.1, 0.95, max(sure), 60, 50, 1)).write(PROMPTS)
    assert [each.abstain for each in found] == [each < max(sure) for each in sure] and sum(map(bool, sure)) == 3
    assert {each.why for each in found} == {"", "not sure enough"} and all(each.text for each in found)


@pytest.mark.slow
def test_what_is_not_sure_enough_is_withheld_in_every_door(run, artifact, writer, tmp_path, capsys):
    asked = [*PROMPTS, "new new blue 7"]
    sure = [each.confidence for each in writer.write(asked)]
    shutil.copytree(run, tmp_path / "run")
    folder = open_run(tmp_path / "run")
    rule = Promise(0.1, 0.95, float(np.median(sure)), 60, 50, 1)
    with sealing(folder, ("calibration.json",)):
        write_fitted(folder, FittedDecisions(Decisions(rule=rule)), artifact.checkpoint)
    withheld = [each < rule.threshold for each in sure]
    answers = kft.predict(folder.path, asked)
    assert [each.abstain for each in answers] == withheld and sum(withheld) == 2
    np.testing.assert_allclose([each.confidence for each in answers], sure, rtol=1e-5)
    place = withheld.index(True)
    assert answers[place].why == "not sure enough" and answers[place].text
    assert run_cli(["generate", str(folder.path), asked[place]]) == 0
    assert capsys.readouterr().out == f"no answer: not sure enough ({sure[place]:.3f}); --anyway shows it\n"
    assert run_cli(["generate", str(folder.path), asked[place], "--anyway", "--json", "--max-tokens", "3"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["text"] and "the promise is about likeliest answers" in shown.err
    (tmp_path / "shipped").mkdir()
    write_settings(tmp_path / "shipped", read_run(folder).recipe, rule, alone=True)
    assert read_rule(tmp_path / "shipped") == rule and read_settings(tmp_path / "shipped").task == "causal-lm"


def test_predict_writes_a_file_of_answers(run, writer, tmp_path):
    (tmp_path / "asked.csv").write_text("text,prompt\nkept,red old new 3\nkept,x\n")
    done = predict_file(run, tmp_path / "asked.csv", tmp_path / "said.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert (done.n, done.answered) == (2, 2) and [row["input_text"] for row in rows] == ["kept", "kept"]
    assert [row["text"] for row in rows] == [each.text for each in writer.write(["red old new 3", "x"])]


def test_a_stream_comes_to_the_same_text(run, writer):
    *pieces, last = load_generator(run).stream("red old", SamplingParams(max_tokens=12, stop=("zzz",)))
    assert "".join(pieces) == last.text == writer.write(["red old"], SamplingParams(max_tokens=12))[0].text


def test_one_text_that_stops_is_not_each_of_its_letters():
    assert SamplingParams(stop="ab").stop == ("ab",) == SamplingParams(stop=["ab"]).stop


def test_the_line_break_that_echo_adds_is_no_part_of_a_prompt(run, writer, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("red old\n"))
    assert run_cli(["generate", str(run), "-", "--json", "--max-tokens", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["prompt_tokens"] == writer.write(["red old"])[0].prompt_tokens


def test_a_temperature_next_to_nothing_takes_the_likeliest():
    logits = np.array([1.0, 3.0, 2.0], np.float32)
    assert {choose(logits, SamplingParams(temperature=1e-320), np.random.default_rng(seed)) for seed in range(9)} == {1}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"top_p": 0.0}, "above 0"),
        ({"temperature": -1}, "0 to 100"),
        ({"max_tokens": 0}, ">= 1"),
        ({"seed": -1}, ">= 0"),
        ({"stop": ""}, "not empty"),
    ],
)
def test_what_cannot_be_asked_is_refused(given, text):
    with pytest.raises(UsageError, match="cannot be written so") as caught:
        SamplingParams(**given)
    assert text in str(caught.value)


def test_other_runs_and_other_commands_are_refused_by_name(run, tmp_path, tiny_folder):
    with pytest.raises(UsageError, match="is not written as saved-model"):
        kft.export(run, tmp_path / "shipped", format="saved-model", quiet=True)
    other = kft.train(tiny.recipe(tmp_path, tiny_folder, rows=40, phases=[tiny.PROBE]), run=tmp_path / "o", quiet=True)
    with pytest.raises(UsageError, match="this run writes no texts"):
        kft.generate(other.run, "red")
