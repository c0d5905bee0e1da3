"""A tuned embedding through the commands: exported, indexed at a width, asked; and what commands do nothing for it."""

import json

import numpy as np
import pandas as pd
import pytest

import kft
from kft.errors import DataError, RunError, SuiteError, UsageError
from tests import embedded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("embedding")


@pytest.fixture(scope="module")
def shipped(folder, tiny_folder):
    recipe = embedded.recipe(folder, tiny_folder, phases=[embedded.HEAD], pairs={"widths": [8, 32]})
    values = json.loads(recipe.read_text())
    values["model"]["prompts"] = {"query": "very ", "document": "the "}
    recipe.write_text(json.dumps(values))
    run = kft.train(recipe, run=folder / "run", quiet=True).run
    kft.export(run, folder / "shipped", quiet=True)
    return folder / "shipped"


@pytest.mark.slow
def test_it_answers_as_the_run_does_and_reads_documents_otherwise(shipped, folder):
    from kft.answer.load import load_artifact, read_run
    from kft.deploy.load import open_artifact
    from kft.records.run_folder import open_run

    model, run = open_artifact(shipped), load_artifact(read_run(open_run(folder / "run")))
    texts = ["great battery", "poor screen"]
    (answer, _) = model.predict(texts)
    np.testing.assert_allclose(answer["vector"], run.answers(texts)[0], atol=1e-5)
    of_documents = model.vectors(texts, side="document")
    np.testing.assert_allclose(of_documents, run.of_documents().answers(texts), atol=1e-5)
    assert np.abs(of_documents - model.vectors(texts)).max() > 0.01
    assert model.about.widths == (8, 32) and model.about.outputs[-1] == "embedding"


@pytest.mark.slow
def test_an_index_takes_the_widths_that_were_trained(shipped, folder):
    whole = kft.index(shipped, folder / "documents.csv", folder / "whole", quiet=True)
    small = kft.index(shipped, folder / "documents.csv", folder / "small", width=8, quiet=True)
    assert (whole.about.embedding.width, small.about.embedding.width) == (32, 8)
    again = kft.index(shipped, folder / "documents.csv", folder / "small", update=True, quiet=True)
    assert (again.about.embedding.width, again.computed) == (8, 0)
    text = pd.read_csv(folder / "documents.csv")["text"][3]
    for dest in ("whole", "small"):
        assert kft.open_index(folder / dest).search(text, k=1).results[0].document == "d3"
    with pytest.raises(UsageError, match="vectors are not cut to that width") as caught:
        kft.index(shipped, folder / "documents.csv", folder / "other", width=16, quiet=True)
    assert "8, 32, which the model was trained for" in str(caught.value)


@pytest.mark.slow
def test_what_smaller_numbers_cost_is_measured_among_the_documents(shipped, folder):
    from kft.deploy.load import open_artifact
    from kft.metrics.retrieval import METRICS, found_among

    about = kft.export(folder / "run", folder / "small", quantize="float16", quiet=True)
    cost, whole = about.quantized, open_artifact(shipped).about
    assert (cost.n, cost.documents, cost.metric) == (whole.parity.n, 60, "mrr") and about.parity is None
    # All documents take part: before is what evaluation found.
    assert {name: round(value, 6) for name, value in cost.before.items()} == {
        name: pytest.approx(whole.metrics[name].value, abs=1e-4) for name in METRICS
    }
    # After is what the files themselves find.
    model, split = open_artifact(folder / "small"), pd.read_csv(folder / "documents.csv")
    test = pd.read_csv(folder / "run" / "predictions.csv")
    queries = pd.read_csv(folder / "queries.csv").set_index("query")["document"]
    texts = [text for text in queries.index if text in set(_queries_of(folder, test))]
    wanted = [np.flatnonzero(split["id"].isin(np.atleast_1d(queries[text]))) for text in texts]
    documents = model.vectors(list(split["text"]), side="document")
    counts, found = found_among(model.vectors(texts), documents, wanted)
    assert cost.after["mrr"] == pytest.approx(METRICS["mrr"].value(counts, found), abs=1e-6)
    assert cost.drop.value == pytest.approx(cost.before["mrr"] - cost.after["mrr"])
    assert cost.gate_values()["recall_at_1_drop"] == cost.before["recall_at_1"] - cost.after["recall_at_1"]
    assert 0 <= cost.labels_changed <= 0.2 and cost.ships.bytes < 0.7 * cost.whole.bytes


def _queries_of(folder, test):
    """The texts of test's rows, by their ids: file and row number."""
    rows = pd.read_csv(folder / "queries.csv")["query"]
    return [rows[int(name.rpartition(":")[2]) - 1] for name in test["id"]]


@pytest.mark.slow
def test_embeddings_ship_in_every_format_and_cost_little_in_int8(shipped, folder):
    about = kft.export(folder / "run", folder / "openvino", format="openvino", quiet=True)
    assert about.parity.n > 0 and about.parity.largest < 1e-4
    for form in ("litert", "saved-model"):
        assert kft.export(folder / "run", folder / form, format=form, quiet=True).parity.largest < 1e-4
    small = kft.export(folder / "run", folder / "openvino-int8", format="openvino", quantize="int8", quiet=True)
    assert small.quantized.before["mrr"] == pytest.approx(about.metrics["mrr"].value, abs=1e-4)
    assert abs(small.quantized.drop.value) < 0.1 and small.quantized.documents == 60
    for form in ("openvino", "litert"):
        half = kft.export(folder / "run", folder / f"{form}-float16", format=form, quantize="float16", quiet=True)
        assert half.quantized.after["mrr"] == pytest.approx(half.quantized.before["mrr"], abs=0.02), form
    with pytest.raises(UsageError, match="int8"):
        kft.export(folder / "run", folder / "litert-int8", format="litert", quantize="int8", quiet=True)
    dynamic = kft.export(folder / "run", folder / "dynamic", quantize="dynamic", quiet=True)
    assert dynamic.alone and abs(dynamic.quantized.drop.value) < 0.1


def test_a_run_makes_the_same_index_as_what_it_exports(shipped, folder):
    from kft.deploy.load import open_artifact

    run = folder / "run"
    by_run = kft.index(run, folder / "documents.csv", folder / "by-run", width=8, quiet=True)
    said, exported = by_run.about.embedding, open_artifact(shipped).about
    assert (said.of, said.checkpoint, said.width) == ("run", exported.checkpoint, 8)
    by_artifact = kft.index(shipped, folder / "documents.csv", folder / "by-artifact", width=8, quiet=True)
    assert (by_artifact.about.embedding.of, by_artifact.about.embedding.checkpoint) == ("artifact", said.checkpoint)
    vectors = [kft.open_index(folder / dest).index.contents.vectors for dest in ("by-run", "by-artifact")]
    np.testing.assert_allclose(*(each.astype(float) for each in vectors), atol=1e-3)
    query = pd.read_csv(folder / "queries.csv")["query"][3]
    found = [kft.open_index(folder / dest).search(query, k=5).results for dest in ("by-run", "by-artifact")]
    assert [each.document for each in found[0]] == [each.document for each in found[1]]
    assert [each.cosine for each in found[0]] == pytest.approx([each.cosine for each in found[1]], abs=2e-3)
    again = kft.index(run, folder / "documents.csv", folder / "by-run", update=True, quiet=True)
    assert again.computed == 0
    with pytest.raises(RunError, match="the run is not the one that made this index"):
        kft.index(shipped, folder / "documents.csv", folder / "by-run", update=True, quiet=True)


def test_a_pretrained_backbone_makes_an_index_without_any_label(tiny_folder, shipped, folder):
    from kft.features.vectors import pooled_vectors
    from kft.metrics.neighbours import unit_rows
    from kft.model.encode import make_reader
    from kft.recipe.schema import FeaturesSpec, ModelSpec
    from kft.tasks.registry import TASKS

    table = pd.read_csv(folder / "documents.csv")
    built = kft.index(tiny_folder, table, folder / "by-backbone", quiet=True)
    assert built.about.embedding.of == "backbone"
    backbone = kft.load_backbone(str(tiny_folder))
    source = make_reader(TASKS.get("text-embedding"), backbone, ModelSpec()).read(list(table["text"])).source
    frozen = pooled_vectors(backbone, {"all": source}, ModelSpec(), FeaturesSpec())["all"]
    opened = kft.open_index(folder / "by-backbone")
    np.testing.assert_allclose(opened.index.contents.vectors, unit_rows(frozen), atol=2e-3)
    assert opened.search(table["text"][3], k=1).results[0].document == "d3"
    assert kft.index(tiny_folder, table, folder / "by-backbone", update=True, quiet=True).computed == 0
    with pytest.raises(RunError, match="the backbone is not the one that made this index"):
        kft.index(shipped, table, folder / "by-backbone", update=True, quiet=True)
    with pytest.raises(UsageError, match=r"there is no model minilm-l7; did you mean minilm-l6\?"):
        kft.index("minilm-l7", table, folder / "by-nobody", quiet=True)


@pytest.mark.parametrize("task", ["token-tagging", "text-pairs", "image-classification"])
def test_a_run_without_vectors_of_a_text_makes_no_index(task, tmp_path):
    from kft.search.models import require_vectors
    from kft.tasks.registry import TASKS

    with pytest.raises(UsageError, match="the run gives no vector of a text") as caught:
        require_vectors(TASKS.get(task), tmp_path)
    assert caught.value.received == f"task {task}"


def test_what_commands_cannot_do_for_it_they_say(shipped, folder):
    recipe = folder / "recipe.yaml"
    with pytest.raises(UsageError, match="kft choose does nothing for text-embedding"):
        kft.choose(recipe, backbones=["minilm-l6", "bert-tiny"], quiet=True)
    with pytest.raises(UsageError, match="kft queue does nothing for text-embedding") as caught:
        kft.queue(shipped, folder / "queries.csv", folder / "label.csv", quiet=True)
    assert "how sure an answer is" in str(caught.value)
    with pytest.raises(UsageError, match="kft retrain does nothing for text-embedding"):
        kft.retrain(folder / "run", folder / "queries.csv", quiet=True)


def test_queries_have_edge_cases(shipped, folder):
    drafted = kft.draft_suite(folder / "run", folder / "checks.yaml", quiet=True)
    assert {"train rows", "typos", "reorder", "upper"} <= set(drafted.checks) and drafted.of == "documents"
    assert "nothing said" not in drafted.checks
    result = kft.evaluate_suite(folder / "run", folder / "checks.yaml", quiet=True)
    rows, *others = result.checks
    # What was drafted because it came first comes first still.
    assert rows.kind == "must_pass" and rows.passed == rows.n == drafted.rows
    assert all(check.agreement_metric == "mrr" and check.agreement.low <= 1 for check in others)
    with pytest.raises(SuiteError, match="no document of the run: 'd999'"):
        (folder / "wrong.yaml").write_text(
            'checks: [{name: a, kind: must_pass, cases: [{input: "great", label: d999}]}]'
        )
        kft.evaluate_suite(folder / "run", folder / "wrong.yaml", quiet=True)


@pytest.mark.slow
def test_a_recipe_names_its_suite_of_queries(shipped, folder):
    kft.draft_suite(folder / "run", folder / "named.yaml", quiet=True)
    result = kft.evaluate_suite(folder / "run", folder / "named.yaml", quiet=True)
    recipe = json.loads((folder / "recipe.yaml").read_text())
    recipe["evaluate"] = {"suite": str(folder / "named.yaml"), "gates": {"edge_cases.train rows": ">= 1"}}
    for key in ("train", "documents"):
        recipe["data"][key] = str(folder / recipe["data"][key])
    again = kft.train(recipe, run=folder / "with suite", quiet=True).evaluation
    # The same weights, with documents from evaluation: the same answers, and a gate on them.
    assert {check.name: check.passed for check in again.edge_cases.checks} == {c.name: c.passed for c in result.checks}
    assert again.gates["edge_cases.train rows"].passed and again.edge_cases.suite_hash == result.suite_hash


def test_documents_and_queries_are_checked(shipped, folder):
    result = kft.check(folder / "recipe.yaml", features=False, output=folder / "audit", quiet=True)
    assert "documents" in {finding.check for finding in result.findings} or not result.errors
    assert "Length of documents" in (folder / "audit" / "audit.html").read_text()


@pytest.mark.slow
def test_a_column_of_documents_needs_no_table_of_them(tmp_path, tiny_folder):
    embedded.write_tables(tmp_path)
    texts = pd.read_csv(tmp_path / "documents.csv").set_index("id")["text"]
    queries = pd.read_csv(tmp_path / "queries.csv")
    queries["document"] = queries["document"].map(texts)
    queries["apart"] = list(texts[::-1])[: len(queries)] + [""] * (len(queries) - len(texts))
    queries.to_csv(tmp_path / "pairs.csv", index=False)
    values = embedded.values(tiny_folder, phases=[embedded.TOP])
    values["data"] = {"train": str(tmp_path / "pairs.csv"), "valid": "20%", "test": "20%", "negative": "apart"}
    result = kft.train(values, run=tmp_path / "run", quiet=True)
    assert result.evaluation.metrics["mrr"].value > 0
    (tmp_path / "checks.yaml").write_text("checks: [{name: a, kind: invariance, cases: [great], changes: upper}]")
    found = kft.evaluate_suite(tmp_path / "run", tmp_path / "checks.yaml", quiet=True)
    assert found.checks[0].n == 1
    with pytest.raises(DataError, match="other queries are ranked among the documents"):
        kft.evaluate(tmp_path / "run", data=tmp_path / "pairs.csv", quiet=True)


def test_an_index_of_a_run_is_asked_with_what_ships_of_it_and_the_other_way_round(shipped, folder):
    """A run of another recipe has other vectors, though it may have the same weights: it is refused."""
    text = pd.read_csv(folder / "documents.csv")["text"][3]
    found = {}
    for made, asks in ((folder / "run", shipped), (shipped, folder / "run")):
        kft.index(made, folder / "documents.csv", folder / f"of-{made.name}", quiet=True)
        for model in (made, asks):
            opened = kft.open_index(folder / f"of-{made.name}", artifact=model)
            found[made.name, model.name] = [
                (each.document, round(each.score, 2)) for each in opened.search(text).results
            ]
        with pytest.raises(RunError, match="is not the one that made this index"):  # it adds no vectors
            kft.index(asks, folder / "documents.csv", folder / f"of-{made.name}", update=True, quiet=True)
    assert len(found) == 4 and len({tuple(each) for each in found.values()}) == 1
    values = json.loads((folder / "recipe.yaml").read_text())
    values["model"]["prompts"] = {}
    (folder / "plain.yaml").write_text(json.dumps(values))
    other = kft.train(folder / "plain.yaml", run=folder / "plain", quiet=True).run
    with pytest.raises(RunError, match="the artifact is not the one that made this index"):
        kft.open_index(folder / "of-shipped", artifact=other)


def test_the_digest_of_a_model_goes_by_what_changes_a_vector():
    from kft.search.models import _digests

    def digest(**model):
        loaded = kft.load_recipe({"task": "text-embedding", "data": {"train": "a.csv"}, "model": model})
        return _digests("run 1", loaded.spec)[1]

    assert digest() == digest(dropout=0.3) == digest(backbone="e5-base")  # whose weights have a hash of their own
    changed = [{"max_tokens": 64}, {"pooling": "max"}, {"prompts": {"query": "query: "}}, {"blocks": 2}]
    assert len({digest(), *(digest(**each) for each in changed)}) == 1 + len(changed)
