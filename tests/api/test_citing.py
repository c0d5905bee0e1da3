"""Answers from passages: the same prompt in training and in writing, what is cited, what is not answered."""

import json

import pandas as pd
import pytest

import kft
from kft.answer.write import Completion, SamplingParams
from kft.api.citing import NO_PROMISE, NO_ROOM, NOT_FOUND, NOT_GIVEN, UNTRAINED, ground
from kft.api.generating import load_generator
from kft.api.reading import load
from kft.cli.main import run as run_cli
from kft.data.passages import passages_of
from kft.errors import DataError, RecipeError, RunError, UsageError
from kft.model.grounding import Grounding
from kft.model.prompts import prompt_reader
from kft.model.tokenizers import load_tokenizer
from kft.recipe.schema import ModelSpec
from kft.records.document import read_document
from kft.records.receipt import Receipt
from kft.split.labels import prompts_of
from kft.tasks.recipes import load_recipe
from kft.tasks.responses import Grounded
from tests import decoder

DOCUMENTS = pd.DataFrame(
    {"id": ["a", "b", "c"], "text": ["Old red hats cost 7.", "Blue new shoes.", "A big green coat. " * 9]}
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cited")


@pytest.fixture(scope="module")
def recipe(folder):
    backbone = decoder.write_backbone(folder / "backbone")
    kft.index(backbone, DOCUMENTS, folder / "index", quiet=True)
    path = decoder.recipe(folder, backbone, rows=24)
    values = json.loads(path.read_text())
    values["data"] |= {"index": "index", "passages": 2}
    values["model"] |= {"max_tokens": 96}
    values |= {"evaluate": {"write": False, "retain": "none"}}
    path.write_text(json.dumps(values))
    return path


@pytest.fixture(scope="module")
def run(recipe, folder):
    return kft.train(recipe, run=folder / "run", quiet=True).run


@pytest.fixture(scope="module")
def generator(run):
    return load_generator(run)


@pytest.mark.slow
def test_training_reads_what_writing_reads(recipe, generator):
    _, split = load(recipe, (), None)
    asked = prompts_of(split.train)[0]
    assert isinstance(asked, Grounded) and 1 <= len(asked.passages) <= 2
    found = ground(generator, asked.prompt)  # the run's own index, by itself
    reader = generator.writer.reader
    (trained,), _ = reader.prompts([asked])
    (written,), (cut,) = reader.prompts([found.prompt])
    assert trained.tolist() == written.tolist() and cut == 0
    assert found.prompt == "\n".join(f"[{each.number}] {each.text}" for each in found.sources) + "\n\n" + asked.prompt
    source = reader.source([(asked, "x")])
    assert source.left_out == len(asked.passages) - len(found.sources)
    assert any("24 prompts with passages" in note for note in split.notes)


def test_an_answer_says_what_it_was_given_and_what_it_cites(generator):
    found = ground(generator, "old red hats", context=["Old red hats cost 7.", "Blue shoes."])
    said = found.cite(Completion("Hats cost 9 in Lima [2] [4].", "end", 9, 9, False))
    assert [(each.number, each.document, each.cited) for each in said.sources] == [
        (1, "given 1", False),
        (2, "given 2", True),
    ]
    assert said.unknown == (4,) and said.unsupported == ("9", "Lima") and not said.abstain
    assert found.cite(Completion("[1]", "end", 9, 9, False)).sources[0].cited
    *_, last = generator.stream(found.prompt, SamplingParams(max_tokens=3))
    assert found.cite(last).prompt_tokens == len("[1] Old red hats cost 7.\n[2] Blue shoes.\n\nold red hats\n")


def test_offsets_are_those_of_the_document_and_no_promise_is_said(generator):
    found = ground(generator, "old red hats", most=1)
    (source,) = found.sources
    text = dict(zip(DOCUMENTS["id"], DOCUMENTS["text"], strict=True))[source.document]
    assert text[source.start : source.stop] == source.text and 0 <= source.score <= 1
    assert found.notes == (NO_PROMISE,) and found.why == ""


def test_what_has_no_room_is_left_out_whole_and_nothing_is_invented(generator):
    found = ground(generator, "red", context=["x" * 90, "Red."])
    assert [each.text for each in found.sources] == ["Red."] and found.sources[0].number == 1
    assert [each.text for each in found.left_out] == ["x" * 90]
    assert "1 of 2 passages left out: no room in 64 tokens" in found.notes
    none = ground(generator, "red", context=["x" * 90])
    said = none.declined()
    assert (none.why, said.abstain, said.text, said.unsupported) == (NO_ROOM, True, "", None)
    with pytest.raises(DataError, match="a passage is empty"):
        ground(generator, "red", context=[" "])
    with pytest.raises(UsageError, match="an index or are given, not both"):
        ground(generator, "red", index="index", context=["x"])
    with pytest.raises(UsageError, match="received: --passages, which an index is asked for"):
        ground(generator, "red", most=2, context=["x"])


def test_below_the_promise_no_passage_is_good(generator, folder):
    index = folder / "promised"
    kft.index(folder / "backbone", DOCUMENTS, index, quiet=True)
    about = json.loads((index / "index.json").read_text())
    queries = pd.DataFrame(
        {"query": ["old red hats", "blue shoes", "green coat"] * 40, "document": ["a", "b", "c"] * 40}
    )
    queries["query"] += [f" {row}" for row in range(len(queries))]
    kft.index(folder / "backbone", DOCUMENTS, index, queries=queries, update=True, quiet=True)
    about = json.loads((index / "index.json").read_text())
    found = ground(generator, "zzz ~~~ qqq", index=index)
    threshold = about["promise"]["threshold"]
    assert threshold is not None and all(each.score < threshold for each in found.left_out)
    assert found.why == NOT_FOUND and found.notes == () and found.sources == ()


def test_the_command_prints_sources_and_declines(run, folder, capsys):
    assert run_cli(["generate", str(run), "old red", "--passages", "1", "--max-tokens", "2", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {"sources", "left_out", "unknown", "unsupported", "abstain", "notes", "text"} <= set(printed)
    assert run_cli(["generate", str(run), "red", "--context", "x" * 90, "--max-tokens", "2"]) == 0
    shown = capsys.readouterr()
    assert "no answer: no passage has room; --anyway answers" in shown.out and "left out   given 1 [0:90]" in shown.err


def test_other_passages_are_other_data(run, recipe, folder):
    kept = read_document(Receipt, run / "receipt.json").data_hash
    _, split = load(recipe, ("data.passages=1",), None)
    assert split.data_hash != kept and load(recipe, (), None)[1].data_hash == kept
    (folder / "index").rename(folder / "gone")
    with pytest.raises(RunError):
        kft.evaluate(run, quiet=True)
    (folder / "gone").rename(folder / "index")


@pytest.mark.slow
def test_what_is_exported_is_proven_behind_passages_and_declines_without(run, folder):
    dest = folder / "adapters"
    kft.export(run, dest, format="adapters", quiet=True)
    (first, *_) = [json.loads(line) for line in (dest / "golden.jsonl").read_text().splitlines()]
    assert first["input"].startswith("[1] ")
    shipped = load_generator(dest)
    assert ground(shipped, "red").why == NOT_GIVEN and shipped.spec.passages == 2  # it has no index of its own
    found = ground(shipped, "old red", index=folder / "index")
    assert UNTRAINED not in found.notes and found.prompt == ground(load_generator(run), "old red").prompt


def test_passages_of_a_column(recipe, folder):
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    lists = [{**row, "context": ["One.", "Two."] if place % 2 else "Three."} for place, row in enumerate(rows)]
    (folder / "lists.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lists))
    values = json.loads(recipe.read_text())
    values["data"] = {"train": "lists.jsonl", "valid": "20%", "test": "20%", "context": "context"}
    (folder / "lists.yaml").write_text(json.dumps(values))
    _, split = load(folder / "lists.yaml", (), None)
    assert {tuple(own) for own in split.train.passages} == {("One.", "Two."), ("Three.",)}
    assert split.train.columns == {} and isinstance(split.train.inputs[0], str)
    assert passages_of('["a", 1]') == ('["a", 1]',)


def test_what_does_not_fit_is_refused(recipe, folder, tmp_path):
    values = {"task": "causal-lm", "data": {"train": "a.jsonl"}}
    with pytest.raises(RecipeError, match="one of the two"):
        load_recipe({**values, "data": {"train": "a.jsonl", "context": "c", "index": "i"}})
    with pytest.raises(RecipeError, match=r"\{context\} and \{prompt\} in it"):
        load_recipe({**values, "model": {"context_template": "{prompt}"}})
    reader = prompt_reader(load_tokenizer(folder / "backbone", "gpt2"), ModelSpec(max_tokens=40, context_tokens=8))
    texts, kept = reader.composed(["alone", Grounded("q", ("abc", "d"))])
    assert texts == ["alone", "[1] d\n\nq"] and kept == [(), (1,)]  # eight tokens: the first has none
    assert Grounding("{prompt}<{context}>").text_of(Grounded("{context}", ("p",)), [0]) == "{context}<[1] p>"


def test_a_run_without_passages_is_told_so(generator):
    plain = type(generator)(generator.writer, generator.task, generator.spec.model_copy(update={"index": None}))
    assert UNTRAINED in ground(plain, "red", context=["Red."]).notes
    assert ground(plain, "red").why == NOT_GIVEN
