"""An index that answers: ranks, promises, graphs, duplicates; and one that is damaged, of another model, or newer."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import kft
from kft.deploy.load import open_artifact
from kft.errors import RunError, UsageError
from kft.search.build import IndexSpec, build_index
from kft.search.documents import find_documents
from tests.search.made import rows, write_model


@pytest.fixture(scope="module")
def opened(built):
    return kft.open_index(built.index)


def test_results_name_document_passage_place_and_score(opened, table):
    found = opened.search("number7", k=3)
    first = found.results[0]
    assert (
        first.document == "d7" and first.text == table["text"][7] and (first.start, first.stop) == (0, len(first.text))
    )
    scores = [each.score for each in found.results]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True) and 0 < scores[0] <= 1
    weight = opened.index.about.weighing.words
    assert first.score == pytest.approx((1 - weight) * first.cosine + weight * first.words, abs=1e-5)


def test_vectors_find_what_shares_no_word(opened):
    (near,) = opened.index.find(["violin choir"])
    topics = [int(name[1:]) % 4 for name in np.array(opened.index.contents.ids)[np.argsort(-near.cosines)[:5]]]
    assert topics == [3] * 5


def test_a_bad_answer_is_withheld_by_the_promise(opened):
    promise = opened.index.about.promise
    assert promise.threshold is not None and promise.errors / promise.answered <= 0.3
    assert opened.search("zebra of the unknown").abstain is True
    assert opened.search("number7").abstain is False


def test_without_queries_nothing_is_promised(model, table, tmp_path):
    kft.index(model, table[:5], tmp_path / "i", quiet=True)
    opened = kft.open_index(tmp_path / "i")
    assert opened.index.about.promise is None and opened.search("number7").abstain is None


def test_too_few_queries_promise_nothing_and_say_why(model, table, queries, tmp_path):
    done = kft.index(model, table, tmp_path / "i", queries=queries, error=0.05, quiet=True)
    assert done.about.promise.threshold is None and "cannot be promised from 35 queries" in done.about.promise.why
    assert kft.open_index(tmp_path / "i").search("number7").abstain is None


def test_a_long_query_says_what_is_not_read(opened):
    assert opened.search("the parcel " * 20).unread == 42 - 24


def test_evaluation_has_intervals_and_says_what_it_was_fitted_to(opened, queries):
    found = opened.evaluate(queries)
    assert set(found.metrics) == {"bm25", "vectors", "hybrid"} and set(found.differences) == {"bm25", "vectors"}
    hybrid, vectors = found.metrics["hybrid"]["recall_at_1"], found.metrics["vectors"]["recall_at_1"]
    assert hybrid.low < hybrid.value <= 1 and found.n == found.fitted_to == 70
    difference = found.differences["vectors"]["recall_at_1"]
    assert difference.value == pytest.approx(hybrid.value - vectors.value) and difference.low > 0


def test_through_the_graph_the_same_documents_come_first(model, table, built, tmp_path):
    done = build_index(IndexSpec(find_documents(table), exact_up_to=10), open_artifact(model), tmp_path / "i")
    assert done.about.approximate
    graph, exact = kft.open_index(tmp_path / "i"), kft.open_index(built.index)
    for query in ("number7", "guitar", "the refund"):
        (one,), (two,) = graph.index.find([query]), exact.index.find([query])
        assert np.allclose(one.cosines, two.cosines[one.places], atol=2e-3)
        assert np.allclose(one.shares, two.shares[one.places])
        assert two.weighed(0.5).argmax() in one.places


def test_documents_that_say_nearly_the_same(model, tmp_path):
    long = "My guitar and the violin. " * 6
    texts = ["a refund of the invoice", "refund of the invoice", "my parcel", long, long, "The song is a melody"]
    kft.index(model, pd.DataFrame({"id": list("abcdef"), "text": texts}), tmp_path / "i", passage_tokens=12, quiet=True)
    opened = kft.open_index(tmp_path / "i")
    found = opened.duplicates(0.97)
    assert [(pair.first, pair.second, pair.same) for pair in found.pairs] == [("d", "e", True), ("a", "b", False)]
    assert found.complete
    with pytest.raises(UsageError, match="no cosine to compare with"):
        opened.duplicates(0)


@pytest.mark.parametrize("query", ["", " \n", None])
def test_an_empty_query(opened, query):
    with pytest.raises(UsageError, match="the query is empty"):
        opened.search(query)


def test_no_result_is_wanted(opened):
    with pytest.raises(UsageError, match="there is nothing to find"):
        opened.search("parcel", k=0)


def test_a_query_without_known_words_still_has_neighbours(opened):
    assert len(opened.search("?").results) == 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vectors.npy", "vectors.npy was changed"),
        ("texts.bin", "texts.bin was changed"),
        ("words/vocab.index.json", "words/vocab.index.json was changed"),
    ],
)
def test_a_file_that_was_changed_is_named(built, tmp_path, name, message):
    dest = shutil.copytree(built.index, tmp_path / "index")
    path = dest / "000001" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=f"the index is not as it was built: {message}"):
        kft.open_index(dest)
    path.unlink()
    with pytest.raises(RunError, match=f"{name} is missing"):
        kft.open_index(dest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "index.json was written by a newer kft"),
        ({"documents": "many"}, "index.json is damaged"),
        ({"passages": 7}, "index.json was changed"),
    ],
)
def test_an_index_json_that_cannot_be_believed(built, tmp_path, change, message):
    dest = shutil.copytree(built.index, tmp_path / "index")
    values = json.loads((dest / "index.json").read_text())
    (dest / "index.json").write_text(json.dumps(values | change))
    with pytest.raises(RunError, match=message):
        kft.open_index(dest)


def test_the_artifact_has_to_be_the_one(table, tmp_path):
    model, ids = write_model(tmp_path / "model"), rows(4)
    kft.index(model, pd.DataFrame({"id": ids[0], "text": ids[1]}), tmp_path / "i", quiet=True)
    with pytest.raises(RunError, match="the artifact is not the one that made this index"):
        kft.open_index(tmp_path / "i", artifact=write_model(tmp_path / "other", 1))
    model.rename(tmp_path / "moved")
    with pytest.raises(RunError, match="the artifact that made this index is gone"):
        kft.open_index(tmp_path / "i")
    assert kft.open_index(tmp_path / "i", artifact=tmp_path / "moved").search("parcel").results
    (tmp_path / "moved" / "model.onnx").write_bytes(b"another")
    with pytest.raises(RunError, match=r"model\.onnx was changed"):
        kft.open_index(tmp_path / "i", artifact=tmp_path / "moved")
